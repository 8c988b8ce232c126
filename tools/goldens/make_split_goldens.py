#!/usr/bin/env python3
"""Writes how the `tokenizers` library cuts texts with every case of tools/goldens/pretokenizer_cases.py.

    pip install tokenizers && tools/goldens/make_split_goldens.py tests/golden/tokenizer/splits.json

The file holds the version, the seed, the texts, and for each case its name, its tokenizer.json parts, and for every text
the bytes of its words.
"""
import json
import sys

import tokenizers
from pretokenizer_cases import PARTS, PUBLIC, tokenizer_json, words
from random_text import generator, random_text
from tokenizers import Tokenizer

SEED = 20240602
TEXTS = ["", " ", "Hello world, it's 12345678 o'clock!", "  don't  CamelCaseWord\r\n\r\n\tx", "a1b22c333 d4444", "x = [1, 2];  // ok\n\n",
         "\u4f60\u597d\u4e16\u754c\uff0c\u6a21\u578b1.5 \u3053\u3093\u306b\u3061\u306f", "\u0439\u043e\u0301\u0436 \u0916\u093c\u0967\u0968 \u0661\u0662", "'S 'T \u017f THE kelvin\u212aX",
         "\u00b2\u00b3\u00bd \u2167 \u20ac$+<=>^`|~ \u201cq\u201d\u2026", "line one\nline two\n", "\U0001f469\u200d\U0001f4bb\u2764\ufe0f ok"]


def main(path):
    rng = generator(SEED)
    texts = TEXTS + [random_text(rng, parts=8) for _ in range(12)]
    cases = []
    for name, parts in {**PUBLIC, **PARTS}.items():
        data = tokenizer_json(parts)
        pre_tokenizer = Tokenizer.from_str(json.dumps(data)).pre_tokenizer
        cases.append({"name": name, "tokenizer": data, "words": [words(pre_tokenizer, text) for text in texts]})
    with open(path, "w", encoding="ascii") as out:
        out.write('{"tokenizers": "%s", "seed": %d, "texts": %s, "cases": [\n' % (tokenizers.__version__, SEED, json.dumps(texts)))
        out.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases))
        out.write("\n]}\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
