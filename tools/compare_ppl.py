#!/usr/bin/env python3
"""Perplexity of a Hugging Face directory by transformers, to compare with `pare eval MODEL --ppl FILE`.

The protocol is pare's: the whole text is tokenised once with the tokenizer's own special tokens, cut into consecutive
windows of --seqlen tokens, the tail dropped; the mean negative log-likelihood of targets 1..L-1 in each window; the
exponential of the mean over windows. Everything in f32 (log-softmax and means in f64).

usage: compare_ppl.py MODEL TEXT [--seqlen N] [--windows N] [--no-special-tokens] [--threads N] [--pare PROGRAM]
  --pare PROGRAM   run `PROGRAM eval` with the same setting too; exit 1 if the two differ by more than --tolerance

Needs torch and transformers.
"""

import argparse
import hashlib
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer


def window_losses(model, tokens, seqlen, count):
    """Mean NLL of each window, in f64."""
    losses = []
    for i in range(count):
        window = tokens[i * seqlen : (i + 1) * seqlen]
        with torch.no_grad():
            logits = model(window[None], use_cache=False).logits[0, :-1]
        total = 0.0
        # In pieces: a window of logits in f64 would be gigabytes for a large vocabulary.
        for piece, targets in zip(logits.split(128), window[1:].split(128)):
            total += torch.nn.functional.cross_entropy(piece.double(), targets, reduction="sum").item()
        losses.append(total / (seqlen - 1))
        print(
            f"  window {i + 1}/{count}: {math.exp(sum(losses) / len(losses)):.4f}",
            file=sys.stderr,
            flush=True,
        )
    return losses


def perplexity_of(value):
    """The first number called "perplexity" or "ppl" in a parsed JSON answer."""
    if isinstance(value, dict):
        for key in ("perplexity", "ppl"):
            if isinstance(value.get(key), (int, float)):
                return float(value[key])
        value = list(value.values())
    if isinstance(value, list):
        return next((found for found in map(perplexity_of, value) if found is not None), None)
    return None


def pare_perplexity(program, args, count):
    command = [program, "eval", str(args.model), "--ppl", str(args.text), "--seqlen", str(args.seqlen)]
    command += ["--windows", str(count), "--dtype", "f32", "--threads", str(args.threads), "--json"]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {result.returncode}")
    return perplexity_of(json.loads(result.stdout))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--seqlen", type=int, default=2048)
    parser.add_argument("--windows", type=int, help="only the first N windows")
    parser.add_argument("--no-special-tokens", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pare", metavar="PROGRAM")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="relative (default 1e-3)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(
        args.model, dtype=torch.float32, trust_remote_code=True
    ).eval()
    data = args.text.read_bytes()
    ids = tokenizer(data.decode(), add_special_tokens=not args.no_special_tokens, verbose=False).input_ids
    count = len(ids) // args.seqlen
    if args.windows:
        count = min(count, args.windows)
    if count == 0:
        raise SystemExit(f"{args.text}: {len(ids)} tokens, less than one window of {args.seqlen}")
    start = time.time()
    losses = window_losses(model, torch.tensor(ids), args.seqlen, count)
    answer = {
        "model": str(args.model),
        "text": str(args.text),
        "sha256": hashlib.sha256(data).hexdigest()[:16],
        "seqlen": args.seqlen,
        "windows": count,
        "parameters": sum(p.numel() for p in model.parameters()),
        "perplexity": math.exp(sum(losses) / count),
        "seconds": round(time.time() - start, 1),
        "transformers": transformers.__version__,
    }
    failed = False
    if args.pare:
        answer["pare_perplexity"] = pare_perplexity(args.pare, args, count)
        if answer["pare_perplexity"] is None:
            raise SystemExit("pare's answer has no perplexity")
        answer["relative_difference"] = answer["pare_perplexity"] / answer["perplexity"] - 1
        failed = not abs(answer["relative_difference"]) <= args.tolerance
    print(json.dumps(answer, indent=1))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
