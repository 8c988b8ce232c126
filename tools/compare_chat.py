#!/usr/bin/env python3
"""Compares conversations as this project writes them with what transformers makes of the same Jinja template, id by id.

    tools/compare_chat.py MODEL TEMPLATE... --command "build/tests/text/pare_tokenize {model} {chats} --chat"

MODEL is what tools/library_tokenizer.py reads. TEMPLATE is a file with a Jinja template; "FILE:BOS:EOS" names its tokens
(default <s> and </s>), which are added to the tokenizer for the comparison when it does not have them.
Needs: pip install tokenizers transformers jinja2 gguf
"""
import argparse
import itertools
import json
import shlex
import subprocess
import sys
import tempfile
import time

from transformers import PreTrainedTokenizerFast

import library_tokenizer
from random_text import generator, random_text

SYSTEMS = [None, "You are terse.", " spaced \n"]
FIXED = ["Hello", "What is 2+2?", " leading and trailing \n", "two\nlines", "caf\u00e9 \u6f22\u5b57 \U0001f600", "it's"]


def conversations(seed):
    """Every system message with one to three turns; texts without special tokens in them."""
    rng = generator(seed)
    for system, turns, _ in itertools.product(SYSTEMS, (1, 2, 3), range(6)):
        messages = [] if system is None else [{"role": "system", "content": system}]
        for turn in range(2 * turns - 1):
            text = rng.choice(FIXED) if rng.random() < 0.5 else random_text(rng, parts=6)
            messages.append({"role": "assistant" if turn % 2 else "user", "content": text.replace("<unk>", "")})
        yield messages


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("templates", nargs="+")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--command", required=True)
    args = parser.parse_args()
    different = 0
    for name in args.templates:
        path, bos, eos = (name.split(":") + ["<s>", "</s>"])[:3] if ":" not in name else name.split(":")
        with open(path, encoding="utf-8") as file:
            template = file.read()
        library = PreTrainedTokenizerFast(tokenizer_object=library_tokenizer.load(args.model), bos_token=bos, eos_token=eos)
        library.chat_template = template
        chats, expected, refused = [], [], 0
        for messages in conversations(args.seed):
            try:
                out = library.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
            except Exception as error:  # raise_exception of the template: a system message it does not take
                refused += 1
                last = error
                continue
            expected.append(list(out))
            chats.append({"template": template, "bos": bos, "eos": eos, "messages": messages,
                          "date": time.strftime("%d %b %Y")})
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            json.dump(chats, file)
            file.flush()
            command = [part.format(model=args.model, chats=file.name) for part in shlex.split(args.command)]
            result = subprocess.run(command, stdout=subprocess.PIPE)
        lines = result.stdout.decode().splitlines()
        bad = 0 if len(lines) == len(chats) else 1
        for chat, want, line in zip(chats, expected, lines):
            got = [int(word) for word in line.split()]
            if got != want:
                bad += 1
                if bad <= 3:
                    print("  %r\n    expected %s\n    got      %s" % (chat["messages"], want, got))
        print("%s: %d conversations, %s%s" % (path, len(chats), "equal" if not bad else "%d differ" % bad,
                                              ", %d refused by the template (%s)" % (refused, last) if refused else ""))
        different += bad
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
