#!/usr/bin/env python3
"""Checks share/pare/hf (the modeling files that go with sliced models) against plain numpy, and writes goldens.

For each case of modeling_cases.py a random sliced model is written with the modeling files beside it, loaded by stock
transformers with trust_remote_code, and compared with the f64 numpy forward pass of modeling_reference.py: logits, padded
batches, the KV cache, generate(), gradients, save_pretrained(). Then the same model with packed matrices, in each way that
pare packs them: logits must be those of the dense model, and without trust_remote_code nothing may load. Blocks of GGUF
are decoded as tests/golden/encodings/blocks.gguf says, to the bit. Exit 1 when anything differs.

usage: check_modeling.py [--golden DIR]
  --golden DIR   also write the cases as DIR/NAME/{config.json, model.safetensors, golden.safetensors} and DIR/README.md
                 (tests/golden/sliced of this checkout)
Needs numpy, torch, transformers, safetensors, gguf.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import safetensors
import torch
import transformers
from safetensors.numpy import load_file, save_file
from gguf import GGUFReader
from transformers import AutoModelForCausalLM

from modeling_cases import BLOCK_CASES, CASES, LONGROPE_ORIGINAL
from modeling_reference import VOCAB, full_config, numpy_logits, random_tensors
from modeling_storage import STORAGES, stored

SEED = 20240301
LENGTH = 40
ROOT = Path(__file__).resolve().parent.parent.parent
HF_FILES = ROOT / "share/pare/hf"


def write_model(directory, config, tensors):
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def load(directory, dtype):
    """The directory in stock transformers, from a copy that has the modeling files beside it."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(directory, copy, dirs_exist_ok=True)
        for file in HF_FILES.glob("*.py"):
            shutil.copy(file, copy)
        model, info = AutoModelForCausalLM.from_pretrained(
            copy, trust_remote_code=True, torch_dtype=dtype, output_loading_info=True
        )
    wrong = {key: value for key, value in info.items() if value}
    if wrong:
        raise SystemExit(f"{directory.name}: tensors do not fit the model: {wrong}")
    return model.eval()


def check_case(name, directory, config, tensors, rng):
    """Returns the f32 logits of transformers and prints how far everything was off."""
    model = load(directory, torch.float32)
    wide = load(directory, torch.float64)
    tokens = rng.integers(0, VOCAB, LENGTH)
    ids = torch.tensor(tokens)[None]
    reference = numpy_logits(config, tensors, tokens)
    failures = []

    def expect(what, difference, limit):
        if not difference <= limit:
            failures.append(f"{name}: {what} differs by {difference:.2e} (limit {limit:.0e})")
        return difference

    with torch.no_grad():
        logits = model(ids).logits[0].numpy()
        # Rotary tables and norms are f32 inside, so even the f64 model is only good to about 1e-6 of the spread.
        off = expect(
            "f64 model", np.abs(wide(ids).logits[0].numpy() - reference).max(), 2e-5 * reference.std()
        )
        off32 = expect("f32 model", np.abs(logits - reference).max(), 1e-4 * reference.std())
        short = model(ids[:, :20]).logits[0].numpy()
        expect(
            "shorter text", np.abs(short - numpy_logits(config, tensors, tokens[:20])).max(), 1e-4 * reference.std()
        )
        longer = np.concatenate((tokens, tokens))
        if not config["pare"].get("learned_positions", False):
            there = wide(torch.tensor(longer)[None]).logits[0].numpy()
            expect("longer text", np.abs(there - numpy_logits(config, tensors, longer)).max(), 4e-5 * reference.std())
        # Left padding must not change what the real tokens see, nor count as length.
        padded = torch.cat((torch.zeros(1, 15, dtype=torch.long), ids[:, :20]), 1)
        mask = torch.cat((torch.zeros(1, 15, dtype=torch.long), torch.ones(1, 20, dtype=torch.long)), 1)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        shifted = model(padded, attention_mask=mask, position_ids=positions).logits[0, 15:].numpy()
        expect("left-padded batch", np.abs(shifted - short).max(), 1e-4)
        # Cache: in two pieces, then one token at a time; all of them long in the sense of longrope.
        begin = LONGROPE_ORIGINAL + 1
        first = model(ids[:, :begin], use_cache=True)
        name_of_cache = "cache" if "cache" in first else "past_key_values"
        cache, pieces = first[name_of_cache], [first.logits]
        for t in range(begin, LENGTH):
            out = model(ids[:, t : t + 1], **{name_of_cache: cache}, use_cache=True)
            cache = out[name_of_cache]
            pieces.append(out.logits)
        expect("decoding with the cache", np.abs(torch.cat(pieces, 1)[0].numpy() - logits).max(), 1e-4)
        options = dict(max_new_tokens=12, min_new_tokens=12, do_sample=False, pad_token_id=0)
        batch = torch.cat((padded[:, 10:], ids[:, :25]))
        keep = torch.cat((mask[:, 10:], torch.ones(1, 25, dtype=torch.long)))
        cached = model.generate(batch, attention_mask=keep, use_cache=True, **options)
        plain = model.generate(batch, attention_mask=keep, use_cache=False, **options)
        if not torch.equal(cached, plain):
            failures.append(f"{name}: generate() with the cache gives other tokens than without")
    model.train()
    model.gradient_checkpointing_enable()
    loss = model(ids, labels=ids).loss
    loss.backward()
    missing = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    if missing or not torch.isfinite(loss):
        failures.append(f"{name}: no gradient for {missing}, loss {loss.item()}")
    with tempfile.TemporaryDirectory() as saved:
        model.eval().save_pretrained(saved)
        again = load_file(Path(saved) / "model.safetensors")
        if set(again) != set(tensors) or any(not np.array_equal(again[key], tensors[key]) for key in tensors):
            failures.append(
                f"{name}: save_pretrained() writes other tensors: {sorted(set(again) ^ set(tensors))}"
            )
        if json.loads((Path(saved) / "config.json").read_text())["pare"] != config["pare"]:
            failures.append(f"{name}: save_pretrained() changes `pare` in config.json")
    print(f"{name}: spread {reference.std():.2f}, off by {off:.1e} in f64, {off32:.1e} in f32")
    return tokens, logits, off32, failures


def check_stored(name, scratch, config, tensors):
    """What differs when the linears of the model are packed."""
    failures = []
    ids = torch.arange(LENGTH)[None] % VOCAB
    for storage in STORAGES:
        what = f"{name}, {storage}"
        dense, packed, packed_config = stored(storage, config, tensors)
        if packed is None:
            continue
        write_model(scratch / "dense", config, dense)
        write_model(scratch / "packed", packed_config, packed)
        model = load(scratch / "packed", torch.float32)
        with torch.no_grad():
            logits = model(ids).logits
            difference = (logits - load(scratch / "dense", torch.float32)(ids).logits).abs().max().item()
            # Not expanded, as a model that is made without from_pretrained().
            with tempfile.TemporaryDirectory() as saved:
                model.save_pretrained(saved)
                again = load_file(Path(saved) / "model.safetensors")
                if "quantization_config" in json.loads((Path(saved) / "config.json").read_text()):
                    failures.append(f"{what}: save_pretrained() of the expanded model says that it is packed")
            if any(not np.array_equal(again[key], dense[key]) for key in dense):
                failures.append(f"{what}: save_pretrained() writes other tensors")
            unexpanded = type(model)(type(model.config).from_pretrained(scratch / "packed"))
            state = {key: torch.tensor(value) for key, value in packed.items()}
            if config["tie_word_embeddings"] and "model.embed_tokens.weight" in packed:
                state["lm_head.weight"] = state["model.embed_tokens.weight"]
            unexpanded.load_state_dict(state)
            difference = max(difference, (unexpanded.eval()(ids).logits - logits).abs().max().item())
        if not difference <= 1e-5:
            failures.append(f"{what}: logits differ by {difference:.2e} from those of the dense model")
        # Scales are f32 until they have done their work.
        narrow = load(scratch / "packed", torch.bfloat16).state_dict()
        if any(not torch.equal(narrow[key], torch.tensor(dense[key]).bfloat16()) for key in dense):
            failures.append(f"{what}: other weights in bf16")
        try:
            AutoModelForCausalLM.from_pretrained(scratch / "packed", trust_remote_code=False)
            failures.append(f"{what}: loads without trust_remote_code")
        except ValueError:
            pass
    return failures


def check_blocks():
    """What of the block encodings of GGUF is decoded to other values than the package gguf says."""
    sys.path.insert(0, str(HF_FILES.parent))
    from hf import modeling_pare

    tensors = {t.name: t.data for t in GGUFReader(ROOT / "tests/golden/encodings/blocks.gguf").tensors}
    failures = []
    for name in modeling_pare.BLOCKS:
        values = modeling_pare.decode_blocks(name, torch.tensor(tensors[name + ".blocks"])).numpy()
        if not np.array_equal(values.view(np.uint32), tensors[name + ".values"].view(np.uint32)):
            failures.append(f"{name}: other values than the golden ones")
    return failures


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--golden", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    rows, failures = [], check_blocks()
    with tempfile.TemporaryDirectory() as scratch:
        out = args.golden or Path(scratch)
        for i, (name, (about, keys, pare)) in enumerate(CASES.items()):
            rng = np.random.default_rng(SEED + i)
            config = full_config(keys, pare)
            tensors = random_tensors(config, rng)
            write_model(out / name, config, tensors)
            tokens, logits, off, wrong = check_case(name, out / name, config, tensors, rng)
            failures += wrong + check_stored(name, Path(scratch) / "stored", config, tensors)
            save_file(
                {"tokens": tokens.astype(np.float32), "logits": logits}, out / name / "golden.safetensors"
            )
            rows.append(f"| {name} | {about} | {logits.std():.2f} | {off:.1e} |\n")
            for file in (out / name).iterdir():
                file.chmod(0o644)
        for i, (name, (keys, pare)) in enumerate(BLOCK_CASES.items()):
            config = full_config(keys, pare)
            tensors = random_tensors(config, np.random.default_rng(SEED - 1 - i))
            failures += check_stored(name, Path(scratch) / "stored", config, tensors)
        (out / "README.md").write_text(
            "# Tiny random sliced models and their logits\n\n"
            f"Written by `tools/compare/check_modeling.py --golden` (seed {SEED} + index of the case; torch {torch.__version__}, "
            f"transformers {transformers.__version__}, safetensors {safetensors.__version__}, numpy {np.__version__}).\n"
            f"`golden.safetensors`: `tokens` ({LENGTH}) and `logits` ({LENGTH}, {VOCAB}), both F32, by transformers with "
            "share/pare/hf in f32.\nSpread: standard deviation of the logits. Rounding: largest difference from an independent "
            "f64 forward pass.\n`gradient.safetensors`: written by `tools/goldens/make_gradient_goldens.py`, which says what it "
            "holds.\n\n| case | covers | spread | rounding |\n|---|---|---|---|\n" + "".join(rows)
        )
    print("\n".join(failures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
