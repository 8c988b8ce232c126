#!/usr/bin/env python3
"""Bits a weight that llama.cpp's labels come to on models of published shapes, as a table in Markdown.

usage: label_bits.py [--imatrix] [--twice] [--mb] [MODEL...]

Follows the rules by which llama-quantize chooses a type for each matrix (src/llama-quant.cpp, November 2026) for dense
models of LLaMA's layout. --imatrix: with an importance matrix, which changes a few of them. --twice: a tied head is
stored as a matrix of its own, as some conversions do. --mb: megabytes of all tensors instead of bits. Sizes are those of
the tensors; a file also holds its vocabulary. Without MODEL all models are shown. Standard library only.
"""

import argparse
import collections

Shape = collections.namedtuple("Shape", "width layers hidden heads kv_heads head_dim vocab tied qkv_bias head_norms")

# Sizes as the models' config.json has them.
SHAPES = {
    "SmolLM2-135M": Shape(576, 30, 1536, 9, 3, 64, 49152, True, False, False),
    "Gemma-3-270M": Shape(640, 18, 2048, 4, 1, 256, 262144, True, False, True),
    "SmolLM2-360M": Shape(960, 32, 2560, 15, 5, 64, 49152, True, False, False),
    "Qwen2.5-0.5B": Shape(896, 24, 4864, 14, 2, 64, 151936, True, True, False),
    "Qwen3-0.6B": Shape(1024, 28, 3072, 16, 8, 128, 151936, True, False, True),
    "TinyLlama-1.1B": Shape(2048, 22, 5632, 32, 4, 64, 32000, False, False, False),
    "Llama-3.2-1B": Shape(2048, 16, 8192, 32, 8, 64, 128256, True, False, False),
    "Qwen2.5-1.5B": Shape(1536, 28, 8960, 12, 2, 128, 151936, True, True, False),
    "Llama-3.1-8B": Shape(4096, 32, 14336, 32, 8, 128, 128256, False, False, False),
}
FOUR_NORMS = {"Gemma-3-270M"}  # norms of a layer before and behind both branches

# Values of a block, bytes of a block.
TYPES = {
    "q2_k": (256, 84), "q3_k": (256, 110), "q4_k": (256, 144), "q5_k": (256, 176), "q6_k": (256, 210),
    "iq4_xs": (256, 136), "q4_0": (32, 18), "q4_1": (32, 20), "q5_0": (32, 22), "q5_1": (32, 24),
    "q8_0": (32, 34), "iq4_nl": (32, 18), "f16": (1, 2),
}
# Type that takes the place of one with blocks of 256 where 256 does not divide a row.
NARROW = {"iq4_xs": "iq4_nl", "q2_k": "q4_0", "q3_k": "q4_0", "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0"}

# Type that most matrices get.
LABELS = {
    "Q2_K": "q2_k", "Q3_K_M": "q3_k", "IQ4_XS": "iq4_xs", "Q4_0": "q4_0", "Q4_K_M": "q4_k",
    "Q5_K_M": "q5_k", "Q6_K": "q6_k", "Q8_0": "q8_0",
}


def is_rich(layer, layers):
    """The layers whose v and down get more bits in Q4_K_M and Q5_K_M."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def head_type(label, width):
    """Of the head, and of an embedding that is the head too."""
    base = LABELS[label]
    if width % TYPES[base][0] or base == "q8_0":
        return "q8_0"
    return "q6_k"


def layer_type(label, role, layer, shape, imatrix):
    base = LABELS[label]
    shared = shape.heads // shape.kv_heads
    if role == "v":
        if label == "Q2_K":
            return "q4_k" if shared >= 4 else "q3_k"
        if label == "Q3_K_M":
            return "q5_k" if layer < 2 else "q4_k"
        if label == "IQ4_XS" and shared >= 4:
            return "q5_k"
        if label in ("Q4_K_M", "Q5_K_M") and is_rich(layer, shape.layers):
            return "q6_k"
    if role == "down":
        if label == "Q2_K":
            return "q3_k"
        if label == "Q3_K_M":
            return "q5_k" if layer < shape.layers // 16 else "q4_k"
        if label in ("Q4_K_M", "Q5_K_M") and is_rich(layer, shape.layers):
            return "q6_k"
        if layer < shape.layers // 8 and label == "IQ4_XS" and not imatrix:
            return "q5_k"
        if layer < shape.layers // 8 and label == "Q4_0" and imatrix:
            return "q4_1"
    if role == "o":
        return {"Q2_K": "q3_k", "Q3_K_M": "q4_k"}.get(label, base)
    return base


def matrices(label, shape, imatrix, twice):
    """(rows, columns, wanted type) of every matrix."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    embedding = head_type(label, shape.width) if shape.tied and not twice else LABELS[label]
    yield shape.vocab, shape.width, embedding
    if twice or not shape.tied:
        yield shape.vocab, shape.width, head_type(label, shape.width)
    sizes = {
        "q": (queries, shape.width), "k": (keys, shape.width), "v": (keys, shape.width), "o": (shape.width, queries),
        "gate": (shape.hidden, shape.width), "up": (shape.hidden, shape.width), "down": (shape.width, shape.hidden),
    }
    for layer in range(shape.layers):
        for role, (rows, columns) in sizes.items():
            yield rows, columns, layer_type(label, role, layer, shape, imatrix)


def vector_values(name, shape):
    """Values of norms and biases, which stay in f32."""
    layer = shape.width * (4 if name in FOUR_NORMS else 2)
    if shape.head_norms:
        layer += 2 * shape.head_dim
    if shape.qkv_bias:
        layer += (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    return shape.layers * layer + shape.width


def stored_bytes(rows, columns, kind):
    if columns % TYPES[kind][0]:
        kind = NARROW[kind]
    if columns % TYPES[kind][0]:
        kind = "f16"
    block, size = TYPES[kind]
    return rows * columns // block * size


def parameters(name, shape):
    once = sum(rows * columns for rows, columns, _ in matrices("Q8_0", shape, False, False))
    return once + vector_values(name, shape)


def file_bytes(name, label, imatrix, twice):
    shape = SHAPES[name]
    return 4 * vector_values(name, shape) + sum(stored_bytes(*m) for m in matrices(label, shape, imatrix, twice))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--imatrix", action="store_true")
    parser.add_argument("--twice", action="store_true")
    parser.add_argument("--mb", action="store_true")
    args = parser.parse_args()
    for name in args.models:
        if name not in SHAPES:
            parser.error(f"{name} is not one of {', '.join(SHAPES)}")
    print(f"| model | {' | '.join(LABELS)} |")
    print(f"|---|{'---:|' * len(LABELS)}")
    for name in args.models or SHAPES:
        sizes = [file_bytes(name, label, args.imatrix, args.twice) for label in LABELS]
        cells = [f"{size / 1e6:.1f}" if args.mb else f"{8 * size / parameters(name, SHAPES[name]):.2f}" for size in sizes]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
