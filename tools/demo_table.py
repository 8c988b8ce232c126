#!/usr/bin/env python3
"""One table from the JSON that pare eval, pare bench and pare generate print for the same models.

usage: demo_table.py EVAL.json BENCH.json SAMPLE.json...     one sample per model, in the order of the models
"""

import json
import os
import sys
import textwrap

ROWS = [
    # title, which file, key, format of the value
    ("parameters", "eval", "parameters", lambda v: f"{v / 1e6:.2f} M"),
    ("of the first", "eval", "parameter_ratio", lambda v: f"{100 * v:.1f} %"),
    ("stored bytes", "eval", "bytes", lambda v: f"{v / 1e6:.1f} MB"),
    ("perplexity", "eval", "perplexity", lambda v: f"{v:.2f}"),
    ("KL from the first, nats", "eval", "kl", lambda v: f"{v:.3f}"),
    ("decode, tokens/s", "bench", "decode_tokens_per_second", lambda v: f"{v:.1f}"),
    ("prefill, tokens/s", "bench", "prefill_tokens_per_second", lambda v: f"{v:.0f}"),
    ("weights read per token", "bench", "weight_bytes_per_token", lambda v: f"{v / 1e6:.1f} MB"),
    ("peak memory", "bench", "peak_rss", lambda v: f"{v / 1e6:.0f} MB"),
]


def table(evaluation, bench):
    """Lines of the table: a column per model, a row per figure."""
    models = {"eval": evaluation["models"], "bench": bench["models"]}
    paths = [model["path"] for model in models["eval"]]
    if [model["path"] for model in models["bench"]] != paths:
        raise ValueError(f"pare eval measured {paths}, pare bench other models")
    cells = [[""] + [os.path.basename(path.rstrip("/")) for path in paths]]
    for title, source, key, text in ROWS:
        cells.append([title] + [text(model[key]) for model in models[source]])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join([row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])])
            for row in cells]


def samples_text(evaluation, samples):
    """What each model wrote, wrapped and indented under its name."""
    lines = []
    for model, sample in zip(evaluation["models"], samples, strict=True):
        lines += ["", os.path.basename(model["path"].rstrip("/")) + ":"]
        for paragraph in sample["text"].strip().split("\n"):
            lines += textwrap.wrap(paragraph, 100, initial_indent="  ", subsequent_indent="  ")
    return lines


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main(arguments):
    if len(arguments) < 3:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    evaluation, bench = read(arguments[0]), read(arguments[1])
    text = evaluation["text"]
    print("\n".join(table(evaluation, bench)))
    print(f"\nperplexity: {text['windows']} windows of {text['seqlen']} tokens of {text['path']}"
          f" (sha256 {text['sha256'][:12]})")
    print("\n".join(samples_text(evaluation, [read(path) for path in arguments[2:]])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
