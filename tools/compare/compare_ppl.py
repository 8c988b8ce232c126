#!/usr/bin/env python3
"""Perplexity by another program, to compare with `pare eval MODEL --ppl FILE`: a Hugging Face directory by transformers, a
.gguf by llama-cpp-python.

The protocol is pare's: the whole text is tokenised once with the tokenizer's own special tokens, cut into consecutive
windows of --seqlen tokens, the tail dropped; the mean negative log-likelihood of targets 1..L-1 in each window; the
exponential of the mean over windows. transformers runs in f32; llama.cpp multiplies as the file is quantised, rounding
activations to 8 bits where weights are, with keys and values in f32. Log-softmax and means are in f64.

usage: compare_ppl.py MODEL TEXT [--seqlen N] [--windows N] [--no-special-tokens] [--threads N] [--pare PROGRAM]
  --pare PROGRAM   run `PROGRAM eval` in f32 with the same setting too; exit 1 if the two differ by more than --tolerance

Needs numpy; torch and transformers for directories, llama-cpp-python for .gguf.
"""

import argparse
import hashlib
import json
import math
import subprocess
import sys
import time
from pathlib import Path

import llama_cpp_model
import numpy as np


def negative_log_likelihood(logits, targets):
    """Mean over the rows of logits (rows, vocabulary), in f64."""
    total = 0.0
    # In pieces: a window of logits in f64 would be gigabytes for a large vocabulary.
    for start in range(0, len(targets), 128):
        piece = logits[start : start + 128].astype(np.float64)
        top = piece.max(axis=1)
        log_sum = top + np.log(np.exp(piece - top[:, None]).sum(axis=1))
        total += (log_sum - piece[np.arange(len(piece)), targets[start : start + 128]]).sum()
    return total / len(targets)


class Transformers:
    def __init__(self, args):
        import torch
        import transformers

        torch.set_num_threads(args.threads)
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            args.model, dtype=torch.float32, trust_remote_code=True
        ).eval()
        self.name = f"transformers {transformers.__version__}"

    def tokens(self, text, special):
        return self.tokenizer(text, add_special_tokens=special, verbose=False).input_ids

    def logits(self, window):
        import torch

        with torch.no_grad():
            return self.model(torch.tensor([window]), use_cache=False).logits[0].numpy()


class LlamaCpp:
    def __init__(self, args):
        self.model = llama_cpp_model.load(args.model, args.seqlen, args.threads)
        self.name = llama_cpp_model.version()

    def tokens(self, text, special):
        return self.model.tokenize(text.encode(), add_bos=special, special=True)

    def logits(self, window):
        self.model.reset()
        self.model.eval(window)
        return self.model.scores[: len(window)]


def window_losses(reference, tokens, seqlen, count):
    """Mean NLL of each window, in f64."""
    losses = []
    for i in range(count):
        window = tokens[i * seqlen : (i + 1) * seqlen]
        losses.append(negative_log_likelihood(reference.logits(window)[:-1], window[1:]))
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
    reference = (LlamaCpp if args.model.suffix == ".gguf" else Transformers)(args)
    data = args.text.read_bytes()
    ids = reference.tokens(data.decode(), not args.no_special_tokens)
    count = len(ids) // args.seqlen
    if args.windows:
        count = min(count, args.windows)
    if count == 0:
        raise SystemExit(f"{args.text}: {len(ids)} tokens, less than one window of {args.seqlen}")
    start = time.time()
    losses = window_losses(reference, ids, args.seqlen, count)
    answer = {
        "model": str(args.model),
        "text": str(args.text),
        "sha256": hashlib.sha256(data).hexdigest()[:16],
        "seqlen": args.seqlen,
        "windows": count,
        "perplexity": math.exp(sum(losses) / count),
        "seconds": round(time.time() - start, 1),
        "by": reference.name,
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
