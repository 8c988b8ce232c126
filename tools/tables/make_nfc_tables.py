#!/usr/bin/env python3
"""Writes src/text/unicode/nfc_tables.cpp: decompositions, combining classes and lower case of the `tokenizers` library's
normalizers, probed code point by code point.

    pip install tokenizers && tools/tables/make_nfc_tables.py src/text/unicode/nfc_tables.cpp
"""
import sys
import unicodedata

import tokenizers
from tokenizers import normalizers

import cpp_table
import make_python_text_tables

HANGUL = range(0xAC00, 0xAC00 + 11172)
HIGHEST = unicodedata.combining(chr(0x345))
NFC = normalizers.NFC().normalize_str
NFD = normalizers.NFD().normalize_str
NFKD = normalizers.NFKD().normalize_str
LOWER = normalizers.Lowercase().normalize_str


def code_points():
    return (code for code in range(0x110000) if not 0xD800 <= code < 0xE000)


def decompositions():
    """(code, first, second, composes) of all characters that decompose, Hangul apart."""
    rows = []
    whole = {NFD(chr(code)): chr(code) for code in code_points() if NFD(chr(code)) != chr(code)}
    for code in code_points():
        char = chr(code)
        parts = NFD(char)
        if parts == char or code in HANGUL:
            continue
        if len(parts) == 1:
            rows.append((code, ord(parts), 0, False))
            continue
        first = NFC(parts[:-1])
        if len(first) != 1:  # the character it goes through is itself never composed
            first = whole[parts[:-1]]
        rows.append((code, ord(first), ord(parts[-1]), NFC(parts) == char))
    return rows


def combining_classes():
    """By probing the order in which NFD puts each character and one of each class: (first, last, class)."""
    def swaps(a, b):
        return NFD("x" + a + b) == "x" + b + a

    example = {}
    for code in code_points():
        value = unicodedata.combining(chr(code))
        # The library's version of Unicode may be older than Python's: an example must be one that it knows.
        if value and NFD(chr(code)) == chr(code) and (value == HIGHEST or swaps(chr(0x345), chr(code))):
            example.setdefault(value, chr(code))
    values = sorted(example)

    values_of_examples = {char: value for value, char in example.items()}

    def class_of(char):
        if char in values_of_examples:
            return values_of_examples[char]
        # Behind the example of a class it moves forward if its own is lower, but not 0.
        if not swaps(example[values[-1]], char) and not swaps(char, example[values[0]]):
            return values[0] if swaps(example[values[1]], char) else 0
        at = next(i for i, value in enumerate(values + [None]) if value is None or swaps(example[value], char))
        return values[at - 1]

    ranges = []
    for code in code_points():
        char = chr(code)
        value = class_of(char) if NFD(char) == char else 0
        if not value:
            continue
        if ranges and ranges[-1][1] == code - 1 and ranges[-1][2] == value:
            ranges[-1][1] = code
        else:
            ranges.append([code, code, value])
    return ranges


def compatible():
    """The characters whose form KD is not their form D, with the end of that form in the text of all; and that text."""
    rows, text = [], []
    for code in code_points():
        form = NFKD(chr(code))
        if form == NFD(chr(code)):
            continue
        text.extend(form)
        rows.append((code, len(text)))
    return rows, text


def lower_case():
    runs, several = make_python_text_tables.mappings(LOWER)
    assert several == ["{0x130, {0x69, 0x307, 0x0}}"]  # in src/text/unicode/nfc.cpp
    return runs


def main(path):
    compatible_rows, compatible_text = compatible()
    pairs = ("{0x%x, 0x%x, 0x%x, %s}" % (code, first, second, str(composes).lower())
             for code, first, second, composes in decompositions())
    classes = ("{0x%x, 0x%x, %d}" % tuple(row) for row in combining_classes())
    cpp_table.write(path, "make_nfc_tables.py", "tokenizers " + tokenizers.__version__, "text/unicode/nfc.h",
                    cpp_table.array("Decomposition", "kDecompositions", pairs)
                    + cpp_table.array("CombiningClass", "kCombiningClasses", classes)
                    + cpp_table.array("Compatibility", "kCompatibilities", ("{0x%x, %d}" % row for row in compatible_rows))
                    + cpp_table.array("char32_t", "kCompatibleText", ("0x%x" % ord(char) for char in compatible_text))
                    + cpp_table.array("CaseRun", "kLowercase", lower_case()),
                    cpp_table.count("kDecompositionCount", "kDecompositions")
                    + cpp_table.count("kCombiningClassCount", "kCombiningClasses")
                    + cpp_table.count("kCompatibilityCount", "kCompatibilities")
                    + cpp_table.count("kLowercaseCount", "kLowercase"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
