#!/usr/bin/env python3
"""Compares this project's tokenizer with the `tokenizers` library, token for token.

    tools/compare/compare_tokenizer.py MODEL TEXT_FILE... --command "build/tests/text/pare_tokenize {model} {text}"
    tools/compare/compare_tokenizer.py MODEL --random 100000 --command "build/tests/text/pare_tokenize {model} {text} --nul"

MODEL is what tools/compare/library_tokenizer.py reads: a folder with a tokenizer.json (or vocab.json and merges.txt), the file
itself, or a .gguf file. The command prints the ids of a text file, separated by white space; {model} is MODEL, {text} the
file. With --random it is given seeded random texts, separated by NUL bytes, and prints a line of ids for each. Special
tokens written in the text are read as such, unless --plain; BOS and EOS are added only with --template (the command must
be told the same).
Needs: pip install tokenizers gguf
"""
import argparse
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

# The cases that the goldens are made of.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "goldens"))

import library_tokenizer  # noqa: E402
from random_text import generator, random_text  # noqa: E402


def run(args, text_path):
    places = {"model": args.model, "text": text_path}
    command = [part.format(**places) for part in shlex.split(args.command)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()


def report(library, name, expected, got):
    """Whether the ids are equal; prints the first difference."""
    if got == expected:
        return True
    pairs = enumerate(zip(expected, got))
    at = next((i for i, (a, b) in pairs if a != b), min(len(expected), len(got)))
    print("%s: expected %d tokens, got %d; first difference at token %d" % (name, len(expected), len(got), at))
    for what, ids in (("expected", expected), ("got", got)):
        around = ids[max(0, at - 3):at + 5]
        print("  %-8s %s" % (what, " ".join("%d=%r" % (i, library.id_to_token(i)) for i in around)))
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts", nargs="*")
    parser.add_argument("--random", type=int, default=0, help="number of random texts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--template", action="store_true")
    parser.add_argument("--command", default="pare tokenize {model} {text}")
    args = parser.parse_args()
    library = library_tokenizer.load(args.model)
    library.no_truncation()
    library.no_padding()
    library.encode_special_tokens = args.plain

    def expect(text):
        return library.encode(text, add_special_tokens=args.template).ids

    different = 0
    for text_path in args.texts:
        with open(text_path, encoding="utf-8", newline="") as file:
            expected = expect(file.read())
        got = [int(word) for word in run(args, text_path).split()]
        if report(library, text_path, expected, got):
            print("%s: %d tokens, equal" % (text_path, len(got)))
        else:
            different += 1
    if args.random:
        rng = generator(args.seed)
        added = [token.content for token in library.get_added_tokens_decoder().values()]
        texts = [random_text(rng, added) for _ in range(args.random)]
        with tempfile.NamedTemporaryFile() as file:
            file.write("\0".join(texts).encode())
            file.flush()
            lines = run(args, file.name).splitlines()
        if len(lines) != len(texts):
            sys.exit("the command printed %d lines for %d texts" % (len(lines), len(texts)))
        bad = 0
        for text, line in zip(texts, lines):
            if bad < 10:
                bad += not report(library, repr(text), expect(text), [int(word) for word in line.split()])
        print("%d random texts, %s" % (len(texts), "equal" if not bad else "at least %d differ" % bad))
        different += bad
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
