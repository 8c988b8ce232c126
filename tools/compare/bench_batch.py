#!/usr/bin/env python3
"""Tokens a second of `pare serve` for several clients at once, beside llama.cpp decoding as many sequences.

usage: bench_batch.py FILE.gguf [--pare PROGRAM] [--clients 1,2,4,8] [--tokens 64] [--rounds 3] [--threads 2]

In every round `pare serve` answers so many clients at once (bench_serve.py); then llama.cpp decodes as many sequences, one
token of each in every batch, without a server and without sampling, which is less work. Medians over the rounds.

Needs llama-cpp-python, built for this machine's instruction sets.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROMPT = 8  # tokens before the first that is timed


def decode_together(path, sequences, tokens, threads):
    """Tokens a second of llama.cpp."""
    import llama_cpp

    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = sequences * 256
    settings.n_batch = settings.n_ubatch = 512
    settings.n_seq_max = sequences
    settings.n_threads = settings.n_threads_batch = threads
    context = llama_cpp.llama_init_from_model(model, settings)
    batch = llama_cpp.llama_batch_init(512, 0, 1)

    def step(entries):
        batch.n_tokens = len(entries)
        for i, (token, position, sequence) in enumerate(entries):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = True
        if llama_cpp.llama_decode(context, batch) != 0:
            raise SystemExit("llama_decode failed")
        llama_cpp.llama_synchronize(context)

    for sequence in range(sequences):
        step([(100 + sequence, position, sequence) for position in range(PROMPT)])
    start = time.perf_counter()
    for position in range(PROMPT, PROMPT + tokens):
        step([(100 + position, position, sequence) for sequence in range(sequences)])
    return sequences * tokens / (time.perf_counter() - start)


def serve_together(a, sequences):
    """Tokens a second of `pare serve`."""
    command = [a.pare, "serve", a.gguf, "--port", "0", "--threads", str(a.threads), "--parallel", str(sequences)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        url = None
        for line in server.stderr:
            if found := re.search(r"serving on (http://\S+)", line):
                url = found.group(1)
                break
        if url is None:
            raise SystemExit("pare serve did not start")
        client = [sys.executable, str(Path(__file__).with_name("bench_serve.py")), "--url", url, "--rounds", "2"]
        client += ["--clients", str(sequences), "--tokens", str(a.tokens)]
        out = subprocess.run(client, check=True, capture_output=True, text=True).stdout
        return float(re.search(r"at once:\s+([\d.]+)", out).group(1))
    finally:
        server.kill()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("gguf")
    parser.add_argument("--pare", default="pare")
    parser.add_argument("--clients", default="1,2,4,8", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", type=int, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.peer:
        print(decode_together(a.gguf, a.peer, a.tokens, a.threads))
        return
    rates = {(name, n): [] for name in ("pare", "llama.cpp") for n in a.clients}
    environment = dict(os.environ, OMP_NUM_THREADS=str(a.threads))
    peer = [sys.executable, __file__, a.gguf, "--tokens", str(a.tokens), "--threads", str(a.threads)]
    for _ in range(a.rounds):
        for n in a.clients:
            rates["pare", n].append(serve_together(a, n))
            done = subprocess.run([*peer, "--peer", str(n)], capture_output=True, text=True, env=environment)
            if done.returncode != 0:
                raise SystemExit(f"llama.cpp failed:\n{done.stderr[-2000:]}")
            rates["llama.cpp", n].append(float(done.stdout.splitlines()[-1]))
    print("| at once | pare serve | llama.cpp | ratio |")
    print("|---:|---:|---:|---:|")
    for n in a.clients:
        pare, llama = (statistics.median(rates[name, n]) for name in ("pare", "llama.cpp"))
        print(f"| {n} | {pare:.1f} | {llama:.1f} | {pare / llama:.2f}× |")


if __name__ == "__main__":
    main()
