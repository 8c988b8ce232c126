#!/usr/bin/env python3
"""Loads what pare wrote in another program and compares logits with `pare logits`.

A directory is loaded by stock Hugging Face transformers (with trust_remote_code where config.json has an auto_map), a
.gguf by llama-cpp-python. Prints the largest absolute difference, the same relative to the spread of the logits, and how
often both put the same token first. Exit 1 beyond the tolerance, or when a tensor is missing or left over.

usage: check_export.py MODEL [--pare PROGRAM] [--against MODEL] [--tokens 1,2,3 | --golden FILE | --length N --seed N]
  --pare PROGRAM    the pare to compare with (default: pare)
  --against MODEL   compare with `pare logits` of this model instead of MODEL itself (say, the directory a GGUF came from)
  --logits FILE     compare with this JSON file ({"logits": [[...], ...]}) instead of running pare
  --golden FILE     take the tokens from a golden.safetensors
  --tolerance X     of the difference relative to the spread (default 1e-4; .gguf: 1e-3, as llama.cpp rounds activations
                    to the type of the weights)

Needs numpy; torch, transformers and safetensors for directories, llama-cpp-python for .gguf.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import llama_cpp_model
import numpy as np


def transformers_logits(directory, tokens, dtype):
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    remote = "auto_map" in json.loads((directory / "config.json").read_text())
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=getattr(torch, dtype), trust_remote_code=remote, output_loading_info=True
    )
    wrong = {key: sorted(map(str, value)) for key, value in info.items() if value}
    if wrong:
        raise SystemExit(f"{directory}: tensors do not fit the model: {wrong}")
    print(
        f"{type(model).__name__} in transformers {transformers.__version__}, "
        f"{sum(p.numel() for p in model.parameters())} parameters"
    )
    with torch.no_grad():
        return model.eval()(torch.tensor([tokens])).logits[0].float().numpy()


def llama_cpp_logits(file, tokens, threads):
    model = llama_cpp_model.load(file, max(len(tokens), 64), threads)
    print(llama_cpp_model.version())
    model.eval(tokens)
    return np.array(model.scores[: len(tokens)], dtype=np.float32)


def pare_logits(program, model, tokens):
    command = [
        program,
        "logits",
        str(model),
        "--tokens",
        ",".join(map(str, tokens)),
        "--dtype",
        "f32",
        "--json",
    ]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(command[:3])}: exit code {result.returncode}")
    return np.array(json.loads(result.stdout)["logits"], dtype=np.float32)


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


def compare(other, ours, tolerance):
    if other.shape != ours.shape:
        print(f"shapes differ: {other.shape} there, {ours.shape} by pare")
        return False
    if not (np.isfinite(other).all() and np.isfinite(ours).all()):
        print("logits are not finite")
        return False
    difference = np.abs(other.astype(np.float64) - ours)
    relative = difference.max() / max(other.std(), 1e-30)
    row, column = np.unravel_index(difference.argmax(), difference.shape)
    same = (other.argmax(1) == ours.argmax(1)).mean()
    print(f"logits {other.shape}, spread {other.std():.3g}")
    print(
        f"largest difference {difference.max():.3e} (token {row}, logit {column}), mean {difference.mean():.3e}"
    )
    print(f"relative to the spread {relative:.3e}, tolerance {tolerance:.0e}; same first choice {same:.1%}")
    return relative <= tolerance


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--pare", default="pare")
    parser.add_argument("--against", type=Path)
    parser.add_argument("--logits", type=Path)
    parser.add_argument("--tokens")
    parser.add_argument("--golden", type=Path)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dtype", default="float32", help="what transformers computes in (default float32)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tolerance", type=float)
    args = parser.parse_args()
    tokens = choose_tokens(args)
    gguf = args.model.suffix == ".gguf"
    if gguf:
        other = llama_cpp_logits(args.model, tokens, args.threads)
    else:
        other = transformers_logits(args.model, tokens, args.dtype)
    if args.logits:
        ours = np.array(json.loads(args.logits.read_text())["logits"], dtype=np.float32)
    else:
        ours = pare_logits(args.pare, args.against or args.model, tokens)
    tolerance = args.tolerance if args.tolerance is not None else 1e-3 if gguf else 1e-4
    sys.exit(0 if compare(other, ours, tolerance) else 1)


if __name__ == "__main__":
    main()
