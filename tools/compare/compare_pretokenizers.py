#!/usr/bin/env python3
"""Compares how this project and the `tokenizers` library cut text, for every case of tools/goldens/pretokenizer_cases.py.

    tools/compare/compare_pretokenizers.py --random 3000 --command "build/test/tests/text/pare_tokenize {model} {text} --words"

The command prints, for each of the texts that NUL bytes part, a line with the bytes of each word; {model} is a
tokenizer.json that has the case's pre-tokenizer.
Needs: pip install tokenizers
"""
import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenizers import Tokenizer

# The cases that the goldens are made of.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "goldens"))

from pretokenizer_cases import PARTS, PUBLIC, tokenizer_json, words  # noqa: E402
from random_text import generator, random_text  # noqa: E402

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--random", type=int, default=3000, help="number of random texts for each case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--command", required=True)
    args = parser.parse_args()
    rng = generator(args.seed)
    texts = [random_text(rng) for _ in range(args.random)]
    cases = {**PUBLIC, **PARTS}
    different = 0
    for name in args.names or cases:
        data = json.dumps(tokenizer_json(cases[name]))
        pre_tokenizer = Tokenizer.from_str(data).pre_tokenizer
        with tempfile.TemporaryDirectory() as folder:
            model, text = os.path.join(folder, "tokenizer.json"), os.path.join(folder, "texts")
            for path, content in ((model, data), (text, "\0".join(texts))):
                with open(path, "w", encoding="utf-8", newline="") as file:
                    file.write(content)
            command = [part.format(model=model, text=text) for part in shlex.split(args.command)]
            lines = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
        bad = [(text, words(pre_tokenizer, text), line) for text, line in zip(texts, lines)
               if words(pre_tokenizer, text) != [int(word) for word in line.split()]]
        print("%-30s %d texts, %s" % (name, len(texts), "%d differ" % len(bad) if bad else "equal"), flush=True)
        for text, expected, got in bad[:3]:
            print("    %r\n    expected %s\n    got      %s" % (text, " ".join(map(str, expected)), got))
        different += len(bad) + (len(lines) != len(texts))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
