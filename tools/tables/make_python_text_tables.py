#!/usr/bin/env python3
"""Writes src/text/jinja/python_tables.cpp: the character classes and case mappings of Python's str, probed code point
by code point, so that string methods in templates agree with Python's.

    tools/tables/make_python_text_tables.py src/text/jinja/python_tables.cpp
"""
import sys
import unicodedata

import cpp_table



def cased(char):
    return not ignorable(char) and ("." + char + "\u03a3").lower()[-1] == "\u03c2"


def ignorable(char):
    """Case-ignorable: the rule of the final sigma looks through it."""
    return ("a" + char + "\u03a3").lower()[-1] == "\u03c2" and ("." + char + "\u03a3").lower()[-1] != "\u03c2"


# The bits of PythonClass in src/text/jinja/python_text.h.
CLASSES = [str.isprintable, str.isalpha, str.isdecimal, str.isdigit, str.isnumeric, str.isupper, str.islower,
           lambda c: unicodedata.category(c) == "Lt", cased, ignorable, str.isspace, str.isidentifier,
           lambda c: ("a" + c).isidentifier()]


def class_of(code):
    if 0xD800 <= code < 0xE000:
        return 0
    char = chr(code)
    return sum(1 << bit for bit, member in enumerate(CLASSES) if member(char))


def class_ranges():
    ranges = []
    for code in range(128, 0x110000):
        flags = class_of(code)
        if not flags:
            continue
        if ranges and ranges[-1][1] == code - 1 and ranges[-1][2] == flags:
            ranges[-1][1] = code
        else:
            ranges.append([code, code, flags])
    return ["{0x%x, 0x%x, 0x%x}" % tuple(entry) for entry in ranges]


def mappings(mapped):
    """Runs of characters, a step apart, whose mapping adds the same; and those that become several characters."""
    runs, several = [], []
    for code in range(128, 0x110000):
        if 0xD800 <= code < 0xE000:
            continue
        to = mapped(chr(code))
        if len(to) > 1:
            several.append([code] + [ord(char) for char in to] + [0] * (3 - len(to)))
        elif ord(to) != code:
            delta = ord(to) - code
            last = runs[-1] if runs else None
            if last and last[3] == delta and (
                    code - last[1] == last[2] or (last[0] == last[1] and code - last[1] in (1, 2))):
                last[2] = code - last[1]
                last[1] = code
            else:
                runs.append([code, code, 1, delta])
    return (["{0x%x, 0x%x, %d, %d}" % tuple(run) for run in runs],
            ["{0x%x, {0x%x, 0x%x, 0x%x}}" % tuple(entry) for entry in several])


def digits():
    """The first of each ten decimal digits."""
    return ["0x%x" % code for code in range(128, 0x110000)
            if chr(code).isdecimal() and unicodedata.decimal(chr(code)) == 0]


def table(kind, name, entries):
    return cpp_table.array(kind, name, entries) + cpp_table.count(name + "Count", name)


def main(path):
    parts = [table("PythonClassRange", "kPythonClasses", class_ranges())]
    for name, mapped in (("Lower", str.lower), ("Upper", str.upper), ("Title", str.title)):
        runs, several = mappings(mapped)
        parts.append(table("CaseRun", "kPython%s" % name, runs))
        parts.append(table("PythonCaseSpecial", "kPython%sSpecial" % name, several))
    parts.append(table("char32_t", "kPythonZeros", digits()))
    cpp_table.write(path, "make_python_text_tables.py",
                    "Python %s (Unicode %s)" % (sys.version.split()[0], unicodedata.unidata_version),
                    "text/jinja/python_tables.h", "\n".join(parts))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
