#!/usr/bin/env python3
"""Tokens a second that a running `pare serve` gives to several clients at once.

usage: bench_serve.py [--url URL] [--model ID] [--clients 1,2,4] [--tokens 64] [--rounds 3]

Every client sends one completion of its own prompt, all at the same time; medians over the rounds, in which the
numbers of clients take turns. Needs nothing but Python.
"""

import argparse
import json
import secrets
import statistics
import threading
import time
import urllib.request


def complete(url, body):
    request = urllib.request.Request(url + "/v1/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)["usage"]["completion_tokens"]


def together(url, model, clients, tokens, round_number):
    """Tokens a second of all clients."""
    counts = [0] * clients

    def run(i):
        # Prompts begin with words of their own, in other runs too: nothing is taken from an earlier one.
        word = secrets.token_hex(8)
        counts[i] = complete(url, {"model": model, "prompt": f"{word} {round_number} Once upon a time",
                                   "max_tokens": tokens, "temperature": 0, "ignore_eos": True})

    threads = [threading.Thread(target=run, args=(i,)) for i in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--model", default="")
    parser.add_argument("--clients", default="1,2,4", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--tokens", default=64, type=int)
    parser.add_argument("--rounds", default=3, type=int)
    options = parser.parse_args()
    rates = {clients: [] for clients in options.clients}
    for number in range(options.rounds):
        for clients in options.clients:
            rates[clients].append(together(options.url, options.model, clients, options.tokens, number))
    first = statistics.median(rates[options.clients[0]])
    for clients in options.clients:
        rate = statistics.median(rates[clients])
        print(f"{clients:3d} at once: {rate:8.1f} tokens/s, {rate / first:5.2f} times the first")


if __name__ == "__main__":
    main()
