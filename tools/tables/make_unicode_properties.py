#!/usr/bin/env python3
"""Writes src/text/unicode/unicode_properties.cpp: what the regexes of the `tokenizers` library know of every code point,
asked of the library itself, so that a regex means the same for every character.

    pip install tokenizers && tools/tables/make_unicode_properties.py src/text/unicode/unicode_properties.cpp
"""
import sys

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

import cpp_table

# In the order of kCategories and kScripts in src/text/unicode/char_set.cpp; the bits are those of src/text/unicode/char_set.h.
CATEGORIES = "Cn Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs".split()
SCRIPTS = ("Han Hiragana Katakana Hangul Bopomofo Latin Greek Cyrillic Armenian Hebrew Arabic Devanagari Bengali "
           "Gurmukhi Gujarati Oriya Tamil Telugu Kannada Malayalam Sinhala Thai Lao Tibetan Myanmar Georgian Ethiopic "
           "Khmer Mongolian Common Inherited").split()
SCRIPT_SHIFT = 5
ALPHABETIC, UPPERCASE, LOWERCASE, WORD, PUNCTUATION = 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14
SPACE, DIGIT, TOKEN_WORD, ACCENT = 1 << 15, 1 << 16, 1 << 17, 1 << 18
CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
ALL = "".join(map(chr, CODES))


def members(splitter):
    """Indices into CODES of the characters that `splitter` keeps."""
    return {i for _, (begin, end) in splitter.pre_tokenize_str(ALL) for i in range(begin, end)}


def regex_members(pattern):
    return members(pre_tokenizers.Split(Regex(pattern), "removed", invert=True))


def digits():
    """What the pre-tokenizer Digits cuts out: each of two alike behind a letter is a piece."""
    pieces = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str
    return {i for i, code in enumerate(CODES) if len(pieces("a" + 2 * chr(code))) == 3}


def token_words():
    """Characters that keep an added token with single_word from matching beside them."""
    tokenizer = Tokenizer(models.BPE(vocab={"x": 0}, merges=[]))
    tokenizer.add_tokens([AddedToken("Q", single_word=True, normalized=False)])
    wanted = tokenizer.token_to_id("Q")
    return {i for i, code in enumerate(CODES) if wanted not in tokenizer.encode("Q" + chr(code)).ids}


def main(path):
    values = [0] * len(CODES)

    def add(indices, value):
        for i in indices:
            values[i] |= value

    for number, name in enumerate(CATEGORIES):
        if name not in ("Cn", "Cs"):
            add(regex_members(r"\p{%s}+" % name), number)
    for number, name in enumerate(SCRIPTS, 1):
        add(regex_members(r"\p{%s}+" % name), number << SCRIPT_SHIFT)
    named = {name: regex_members("[[:%s:]]+" % name) for name in ("alpha", "upper", "lower", "punct", "alnum")}
    add(named["alpha"], ALPHABETIC)
    add(named["upper"], UPPERCASE)
    add(named["lower"], LOWERCASE)
    add(regex_members(r"\w+"), WORD)  # not what [:word:] holds
    # What char_set.cpp puts together from these.
    assert named["alnum"] == named["alpha"] | regex_members(r"\d+")
    assert named["punct"] == regex_members(r"[\p{P}\p{S}]+")
    assert regex_members(r"\d+") == regex_members(r"\p{Nd}+")
    assert regex_members(r"\h+") == regex_members("[0-9a-fA-F]+")
    add(regex_members(r"\s+"), SPACE)
    # These parts of the library have Unicode versions of their own.
    add(set(range(len(CODES))) - members(pre_tokenizers.Punctuation("removed")), PUNCTUATION)
    add(digits(), DIGIT)
    add(token_words(), TOKEN_WORD)
    without_accents = normalizers.StripAccents().normalize_str
    add({i for i, code in enumerate(CODES) if not without_accents(chr(code))}, ACCENT)

    tiles = []
    surrogates = CATEGORIES.index("Cs")
    for code, value in [*zip(CODES[:0xD800], values), (0xD800, surrogates), *zip(CODES[0xD800:], values[0xD800:])]:
        if not tiles or tiles[-1][1] != value:
            tiles.append((code, value))
    cpp_table.write(path, "make_unicode_properties.py", "tokenizers " + tokenizers.__version__, "text/unicode/char_set.h",
                    cpp_table.array("PropertyTile", "kPropertyTiles", ("{0x%x, 0x%x}" % tile for tile in tiles)),
                    cpp_table.count("kPropertyTileCount", "kPropertyTiles"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
