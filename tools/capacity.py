#!/usr/bin/env python3
"""Error that codes and N:M sparsity leave in random weights, as a table in Markdown.

usage: capacity.py [BLOCKS]

Draws BLOCKS (2000) blocks of 32 values from a normal distribution and prints, for each way of storing them, the bits a
weight and the squared error relative to the squares of the values. Codes use the best of many scales of each block,
unrounded; N:M keeps the N largest of each M values as they are. "Worth" is the number of bits with which the best
possible code of normal values has that error: -log2(error) / 2. Standard library only.
"""

import bisect
import math
import random
import sys

LEVELS = {
    "q4n, iq4_nl": [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113],
    "q3n": [-63, -40, -23, -10, 1, 13, 28, 47],
    "8 even levels": [-4, -3, -2, -1, 0, 1, 2, 3],
    "16 even levels": list(range(-8, 8)),
    "32 even levels": list(range(-16, 16)),
}
BITS = {"q4n, iq4_nl": "4.2, 4.5", "q3n": "3.2", "8 even levels": "3.2", "16 even levels": "4.2", "32 even levels": "5.2"}
# Bits of a kept value in bf16 and of the mask, a weight.
PATTERNS = {(2, 4): "9", (4, 8): "9", (3, 4): "12.5", (6, 8): "12.6"}


def code_error(block, levels):
    """Returns the squared error of the block with the best of many scales of either sign."""
    middles = [(low + high) / 2 for low, high in zip(levels, levels[1:])]
    largest = max(abs(value) for value in block)
    best = math.inf
    for step in range(40):
        for sign in (-1, 1):
            scale = sign * largest * (0.55 + 0.55 * step / 39) / max(-levels[0], levels[-1])
            codes = [levels[bisect.bisect(middles, value / scale)] for value in block]
            power = sum(code * code for code in codes)
            product = sum(code * value for code, value in zip(codes, block))
            if power > 0:  # the scale of least error for these codes
                best = min(best, sum(value * value for value in block) - product * product / power)
    return best


def pattern_error(block, kept, of):
    """Returns the squares of the values that an N:M pattern leaves out."""
    groups = [sorted(value * value for value in block[first : first + of]) for first in range(0, len(block), of)]
    return sum(sum(group[: of - kept]) for group in groups)


def main():
    generator = random.Random(1)
    blocks = [[generator.gauss(0, 1) for _ in range(32)] for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)]
    total = sum(value * value for block in blocks for value in block)
    rows = [(name, BITS[name], sum(code_error(block, levels) for block in blocks)) for name, levels in LEVELS.items()]
    rows += [
        (f"{kept}:{of} of bf16", bits, sum(pattern_error(block, kept, of) for block in blocks))
        for (kept, of), bits in PATTERNS.items()
    ]
    print("| stored as | bits a weight | relative squared error | worth |\n|---|---:|---:|---:|")
    for name, bits, error in sorted(rows, key=lambda row: row[2]):
        print(f"| {name} | {bits} | {error / total:.4f} | {-math.log2(error / total) / 2:.2f} bits |")


if __name__ == "__main__":
    main()
