#!/usr/bin/env python3
"""Decode and prefill speed of pare, llama.cpp and torch on the same model, taking turns.

usage: compare_speed.py DIRECTORY --gguf FILE [--pare PROGRAM] [--prefill 512] [--decode 32] [--rounds 3] [--threads 1]
                        [--dtypes bf16,int8] [--torch-dtypes bf16]
DIRECTORY is a Hugging Face folder, FILE the same model for llama.cpp (`pare convert DIRECTORY -o FILE`); a second --gguf
(say, --dtype q8_0) becomes a row of its own. Each round starts every program once, one after the other, each alone on the
machine; medians over the rounds. The prompt is the same random ids for all peers; decoding starts behind it.
Without bf16 instructions torch is faster in f32: --torch-dtypes bf16,f32 runs both, "" neither.

Needs numpy, llama-cpp-python (built for this machine's instruction sets), and torch with transformers.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path


def run_pare(a, dtype):
    command = [a.pare, "bench", a.directory, "--json", "--dtype", dtype, "--repeats", "1"]
    command += ["--prefill", str(a.prefill), "--decode", str(a.decode), "--threads", str(a.threads)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    model = report["models"][0]
    return model["prefill_tokens_per_second"], model["decode_tokens_per_second"], model["bandwidth_share"]


def prompt(a, vocab):
    import random

    source = random.Random(1)
    return [source.randrange(3, vocab) for _ in range(a.prefill)]


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peer_llama_cpp(a):
    import llama_cpp

    model = llama_cpp.Llama(
        a.model,
        n_ctx=a.prefill + a.decode + 64,
        n_batch=a.prefill,
        n_ubatch=a.prefill,
        n_threads=a.threads,
        n_threads_batch=a.threads,
        verbose=False,
    )
    tokens = prompt(a, model.n_vocab())

    def decode():
        for token in tokens[: a.decode]:
            model.eval([token])

    model.eval(tokens)  # once for what happens only once
    decode()
    model.reset()
    prefill_seconds = timed(lambda: model.eval(tokens))
    return a.prefill / prefill_seconds, a.decode / timed(decode)


def peer_torch(a):
    import torch
    import transformers

    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[a.peer.split()[1]]
    torch.set_num_threads(a.threads)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(a.model, dtype=dtype).eval()
    tokens = prompt(a, model.config.vocab_size)
    with torch.inference_mode():

        def prefill():
            return model(torch.tensor([tokens]), use_cache=True, logits_to_keep=1)

        def decode(cache):
            for token in tokens[: a.decode]:
                model(torch.tensor([[token]]), past_key_values=cache, use_cache=True)

        decode(prefill().past_key_values)  # once for what happens only once
        prefill_seconds = timed(prefill)
        cache = prefill().past_key_values
        return a.prefill / prefill_seconds, a.decode / timed(lambda: decode(cache))


def run_peer(a, peer, model):
    command = [sys.executable, __file__, model, "--peer", peer]
    command += ["--prefill", str(a.prefill), "--decode", str(a.decode), "--threads", str(a.threads)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(a.threads))
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{peer} failed:\n{done.stderr}")
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory")
    parser.add_argument("--gguf", action="append", default=[])
    parser.add_argument("--pare", default="pare")
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtypes", default="bf16,int8")
    parser.add_argument("--torch-dtypes", default="bf16")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.peer:
        a.model = a.directory
        print(json.dumps({"llama.cpp": peer_llama_cpp, "torch": peer_torch}[a.peer.split()[0]](a)))
        return

    contestants = {f"pare {dtype}": (lambda dtype=dtype: run_pare(a, dtype)) for dtype in a.dtypes.split(",")}
    for gguf in a.gguf:
        contestants[f"llama.cpp {Path(gguf).stem}"] = lambda gguf=gguf: run_peer(a, "llama.cpp", gguf)
    for dtype in filter(None, a.torch_dtypes.split(",")):
        peer = f"torch {dtype}"
        contestants[peer] = lambda peer=peer: run_peer(a, peer, a.directory)
    results = {name: [] for name in contestants}
    for number in range(a.rounds):
        for name, run in contestants.items():
            results[name].append(run())
            print(f"round {number + 1}: {name}: {results[name][-1]}", file=sys.stderr)

    def median(name, i):
        return statistics.median(result[i] for result in results[name])

    first = next(iter(contestants))
    print(f"{a.directory}, prefill {a.prefill}, decode {a.decode} after it, {a.threads} thread(s), {a.rounds} rounds")
    print(f"| | prefill tokens/s | {first} is | decode tokens/s | {first} is | of memory bandwidth |")
    print("|---|---|---|---|---|---|")
    for name in contestants:
        share = f"{median(name, 2):.0%}" if len(results[name][0]) > 2 else ""
        print(
            f"| {name} | {median(name, 0):.1f} | {median(first, 0) / median(name, 0):.2f}× "
            f"| {median(name, 1):.2f} | {median(first, 1) / median(name, 1):.2f}× | {share} |"
        )


if __name__ == "__main__":
    main()
