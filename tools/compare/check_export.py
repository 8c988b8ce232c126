#!/usr/bin/env python3
"""Loads what pare wrote in other programs and compares logits with `pare logits`.

A folder is loaded by stock Hugging Face transformers (with trust_remote_code where config.json has an auto_map; without it
a folder of type `pare` must be refused), and continues a text with generate(**tokenizer(...)). A .gguf is loaded by
llama.cpp (the wheel xllamacpp). Prints the largest absolute difference relative to the spread of the logits (of a .gguf:
of the log-probabilities), and how often both put the same token first. Exit 1 beyond the tolerance, or when a tensor is
missing or left over.

usage: check_export.py MODEL [--pare PROGRAM] [--against MODEL] [--tokens 1,2,3 | --golden FILE | --length N --seed N]
       check_export.py MODEL --all OUT --calib FILE [--pare PROGRAM] [--python NAME=PYTHON ...]
  --pare PROGRAM    the pare to compare with (default: pare)
  --against MODEL   compare with `pare logits` of this model instead of MODEL itself (say, the folder a GGUF came from)
  --golden FILE     take the tokens from a golden.safetensors
  --tolerance X     of the relative difference (default 1e-3; of a .gguf by the type of its matrices and its depth)
  --all OUT         make every kind of output of MODEL (export_cases.py) in the folder OUT, those that are not there yet,
                    try each, and print a table
  --python N=P      for --all, any number of times: try folders in the interpreter P, called N in the table; that with
                    xllamacpp is found by trying (default: this one)
  --nsamples, --seqlen   of the compressions of --all (default 4 of 128 tokens: nobody measures quality here)

Needs numpy; torch, transformers and safetensors for folders, xllamacpp for .gguf.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from export_cases import CASES, file_name

PROMPT = "The tide went out and"

# By what share of itself llama.cpp rounds an activation that meets a matrix of a type (root of the mean square): to the
# matrix's own type, or to q8_0 where that is made of blocks. 2^-11 / sqrt(6) for f16, 2^-8 / sqrt(6) for bf16; blocks are
# steps of 1/127 of the largest of 32 values, which is 2.5 times their spread: 2.5 / 127 / sqrt(12).
GGUF_ROUNDING = {"f32": 0.0, "f16": 2.0e-4, "bf16": 1.6e-3}
GGUF_ROUNDING_OF_BLOCKS = 5.7e-3
# Of logits in f32, where only the order of sums differs.
TOLERANCE = 1e-3


def folder_logits(folder, tokens, dtype):
    """(logits, what loaded it). Raises when it does not load as it should."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    config = json.loads((folder / "config.json").read_text())
    remote = "auto_map" in config
    auto = transformers.AutoModelForCausalLM
    if config["model_type"] == "pare":
        try:
            auto.from_pretrained(folder, trust_remote_code=False)
        except ValueError:
            pass
        else:
            raise RuntimeError("loads without trust_remote_code")
    model, info = auto.from_pretrained(
        folder, dtype=getattr(torch, dtype), trust_remote_code=remote, output_loading_info=True
    )
    wrong = {key: sorted(map(str, value))[:3] for key, value in info.items() if value}
    if wrong:
        raise RuntimeError(f"tensors do not fit the model: {wrong}")
    with torch.no_grad():
        logits = model.eval()(torch.tensor([tokens])).logits[0].float().numpy()
    if (folder / "tokenizer.json").exists():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=remote)
        inputs = tokenizer(PROMPT, return_tensors="pt")
        if model.generate(**inputs, max_new_tokens=4, do_sample=False).shape[1] <= inputs["input_ids"].shape[1]:
            raise RuntimeError("generates nothing")
    return logits, type(model).__name__ + (", its own code" if remote else "")


def log_softmax(logits):
    wide = logits.astype(np.float64)
    wide = wide - wide.max(-1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(-1, keepdims=True))


def gguf_log_probabilities(file, tokens, threads):
    """After each of the tokens: (tokens, vocabulary), NaN where llama.cpp leaves a token out."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx, params.n_gpu_layers, params.warmup = 256, 0, False
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)
    rows = []
    for count in range(1, len(tokens) + 1):
        request = {"prompt": tokens[:count], "n_predict": 1, "temperature": 0, "n_probs": 1 << 20}
        answer = server.handle_completions(request)
        answer = json.loads(answer) if isinstance(answer, str) else answer
        row = {}
        for entry in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
            row[entry["id"]] = entry["logprob"]
        rows.append(row)
    result = np.full((len(tokens), max(max(row) for row in rows) + 1), np.nan)
    for i, row in enumerate(rows):
        result[i, list(row)] = list(row.values())
    return result, "xllamacpp"


def pare_logits(program, model, tokens):
    ids = ",".join(map(str, tokens))
    command = [program, "logits", str(model), "--tokens", ids, "--dtype", "f32", "--json"]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(command[:3])}: exit code {result.returncode}")
    return np.array(json.loads(result.stdout)["logits"], dtype=np.float32)


def tolerance_of(program, model):
    """Of the relative difference of a model's logits, or of a .gguf's log-probabilities.

    With its cache in f32 llama.cpp differs by its rounding alone. Rounding by a share e changes a sum of independent products
    by e of its spread, all 7 matrices of all layers by sqrt(7 layers) e, and the largest difference of some thousand values
    is about 4 times the usual one.
    """
    if model.suffix != ".gguf":
        return TOLERANCE
    result = subprocess.run([program, "inspect", str(model), "--json"], stdout=subprocess.PIPE, check=True)
    facts = json.loads(result.stdout)
    encodings = [name for name, entry in facts["encodings"].items() if entry["matrices"]]
    rounding = max(GGUF_ROUNDING.get(name, GGUF_ROUNDING_OF_BLOCKS) for name in encodings)
    return max(TOLERANCE, 4 * (7 * facts["layers"]) ** 0.5 * rounding)


def vocabulary_of(model):
    if model.suffix == ".gguf":
        return 256  # every tokenizer in use has as many; asking for the real size means parsing the file
    return json.loads((model / "config.json").read_text())["vocab_size"]


def choose_tokens(args):
    if args.tokens:
        return [int(token) for token in args.tokens.split(",")]
    if args.golden:
        from safetensors.numpy import load_file

        return load_file(args.golden)["tokens"].astype(int).tolist()
    return np.random.default_rng(args.seed).integers(0, vocabulary_of(args.model), args.length).tolist()


def check(model, tokens, ours, tolerance, args):
    """One model in this interpreter: {"by", "relative", "same"}, or {"error"}."""
    gguf = model.suffix == ".gguf"
    try:
        if gguf:
            other, by = gguf_log_probabilities(model, tokens, args.threads)
            ours = log_softmax(ours)[:, : other.shape[1]]
        else:
            other, by = folder_logits(model, tokens, args.dtype)
    except Exception as error:  # whatever the other program has to say
        return {"error": f"{type(error).__name__}: {error}"}
    if other.shape != ours.shape:
        return {"error": f"shapes differ: {other.shape} there, {ours.shape} by pare"}
    there = ~np.isnan(other)
    if not np.isfinite(ours[there]).all():
        return {"error": "logits are not finite"}
    relative = float(np.abs(other - ours)[there].max() / max(ours.std(), 1e-30))
    same = float((np.where(there, other, -np.inf).argmax(1) == ours.argmax(1)).mean())
    result = {"by": by, "relative": relative, "same": same}
    if not relative <= tolerance:
        result["error"] = f"differs by {relative:.1e}, more than {tolerance:.1e}"
    return result


def make(case, args, made):
    """Makes the output of a case; returns why that cannot be, or nothing."""
    out = args.all / file_name(case)
    made[case.name] = out
    if out.exists():
        return ""
    source = made[case.source] if case.source else args.model
    if not Path(source).exists():
        return f"there is no {case.source}"
    command = [args.pare, case.command, str(source), "-o", str(out), *case.options]
    if case.calibrated:
        command += ["--nsamples", str(args.nsamples), "--seqlen", str(args.seqlen), "--calib", str(args.calib)]
        command += ["--restart"]
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return "" if result.returncode == 0 else result.stderr.strip().splitlines()[-1]


def cell(result, gguf):
    if "error" in result:
        return "**" + result["error"].replace("|", "/").replace("\n", " ")[:120] + "**"
    same = "" if result["same"] == 1 else f", same first choice {result['same']:.0%}"
    by = "" if gguf else f" ({result['by'].replace('ForCausalLM', '')})"
    return f"{result['relative']:.0e}{same}{by}"


def versions(python):
    """What of the packages an interpreter has."""
    code = (
        "import importlib.metadata as m\n"
        "for p in ('transformers', 'torch', 'compressed-tensors', 'xllamacpp'):\n"
        "    try: print(p, m.version(p))\n"
        "    except m.PackageNotFoundError: pass"
    )
    lines = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(line.split() for line in lines.splitlines())


def check_all(args):
    pythons = [entry.split("=", 1) for entry in args.python or [f"here={sys.executable}"]]
    packages = {name: versions(python) for name, python in pythons}
    for name, found in packages.items():
        print(f"{name}: " + ", ".join(f"{package} {version}" for package, version in found.items()))
    args.all.mkdir(parents=True, exist_ok=True)
    folders = [name for name, _ in pythons if "transformers" in packages[name]]
    llama = [name for name, _ in pythons if "xllamacpp" in packages[name]][:1]
    made, refused = {}, {}
    for case in CASES:
        if why := make(case, args, made):
            refused[case.name] = why
            print(f"{case.name}: {why}", file=sys.stderr)
    cells, failed = {}, False
    with tempfile.TemporaryDirectory() as scratch:
        jobs = {name: [] for name in folders + llama}
        tokens = np.random.default_rng(args.seed).integers(0, 256, args.length).tolist()
        for i, case in enumerate(CASES):
            if case.name in refused:
                continue
            logits = Path(scratch) / f"{i}.npy"
            np.save(logits, pare_logits(args.pare, made[case.name], tokens))
            tolerance = args.tolerance or tolerance_of(args.pare, made[case.name])
            for name in llama if case.gguf else folders:
                jobs[name].append([case.name, str(made[case.name]), str(logits), tolerance])
        for name, python in pythons:
            work = Path(scratch) / f"{name}.json"
            work.write_text(json.dumps({"tokens": tokens, "jobs": jobs.get(name, [])}))
            command = [python, __file__, str(args.model), "--worker", str(work), "--threads", str(args.threads)]
            result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            for line in result.stdout.splitlines():
                if line.startswith("{"):
                    entry = json.loads(line)
                    cells[entry["case"], name] = entry
    print("| output | " + " | ".join(folders) + " | llama.cpp |\n|---|" + "---|" * (len(folders) + 1))
    for case in CASES:
        row = [""] * (len(folders) + 1)
        for i, name in enumerate(llama if case.gguf else folders):
            result = cells.get((case.name, name), {"error": "no result"})
            failed |= "error" in result and case.name not in refused
            row[-1 if case.gguf else i] = "pare refuses" if case.name in refused else cell(result, case.gguf)
        print(f"| `{case.name}` | " + " | ".join(row) + " |")
    return failed


def work(args):
    """Tries the jobs of a file, in one process that has loaded its packages once."""
    task = json.loads(args.worker.read_text())
    for case, model, logits, tolerance in task["jobs"]:
        result = check(Path(model), task["tokens"], np.load(logits), tolerance, args)
        print("\n" + json.dumps({"case": case, **result}), flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--pare", default="pare")
    parser.add_argument("--against", type=Path)
    parser.add_argument("--tokens")
    parser.add_argument("--golden", type=Path)
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dtype", default="float32", help="what transformers computes in (default float32)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tolerance", type=float)
    parser.add_argument("--all", type=Path)
    parser.add_argument("--calib", type=Path)
    parser.add_argument("--python", action="append")
    parser.add_argument("--nsamples", type=int, default=4)
    parser.add_argument("--seqlen", type=int, default=128)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(args)
    if args.all:
        sys.exit(check_all(args))
    tokens = choose_tokens(args)
    ours = pare_logits(args.pare, args.against or args.model, tokens)
    tolerance = args.tolerance or tolerance_of(args.pare, args.model)
    result = check(args.model, tokens, ours, tolerance, args)
    if "relative" in result:
        print(f"{result['by']}: relative to the spread {result['relative']:.3e}, same first choice {result['same']:.1%}")
    if "error" in result:
        print(result["error"])
    sys.exit("error" in result)


if __name__ == "__main__":
    main()
