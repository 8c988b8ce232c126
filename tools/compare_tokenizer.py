#!/usr/bin/env python3
"""Compares this project's tokenizer with the `tokenizers` library, token for token.

    tools/compare_tokenizer.py MODEL_DIR TEXT_FILE... [--command "build/tests/text/pare_tokenize {tokenizer} {text}"]

The command prints the ids of the file, separated by white space; {tokenizer} is MODEL_DIR/tokenizer.json, {model}
MODEL_DIR, {text} the file. Special tokens written in the text are read as such, no BOS or EOS is added.
Needs: pip install tokenizers
"""
import argparse
import os
import shlex
import subprocess
import sys

from tokenizers import Tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--command", default="pare tokenize {model} {text}")
    args = parser.parse_args()
    path = os.path.join(args.model, "tokenizer.json")
    library = Tokenizer.from_file(path)
    library.no_truncation()
    library.no_padding()
    different = 0
    for text_path in args.texts:
        with open(text_path, encoding="utf-8", newline="") as file:
            text = file.read()
        expected = library.encode(text, add_special_tokens=False).ids
        places = {"tokenizer": path, "model": args.model, "text": text_path}
        command = [part.format(**places) for part in shlex.split(args.command)]
        result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        got = [int(word) for word in result.stdout.split()]
        if got == expected:
            print("%s: %d tokens, equal" % (text_path, len(got)))
            continue
        different += 1
        at = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
        print("%s: expected %d tokens, got %d; first difference at token %d" %
              (text_path, len(expected), len(got), at))
        for name, ids in (("expected", expected), ("got", got)):
            around = ids[max(0, at - 3):at + 5]
            print("  %-8s %s" % (name, " ".join("%d=%r" % (i, library.id_to_token(i)) for i in around)))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
