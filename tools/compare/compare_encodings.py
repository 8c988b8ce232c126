#!/usr/bin/env python3
"""Compares how pare and the Python package `gguf` read and write the tensors of a GGUF file, bit for bit.

pare converts the file to a folder in f32, whose values must be those of gguf.quants.dequantize; then that folder to GGUF in
each type that pare writes, whose blocks must be those of gguf.quants.quantize. Exit 1 when a tensor differs.

usage: compare_encodings.py MODEL.gguf [--pare PROGRAM] [--types q8_0,q4_0]
Needs gguf, numpy, safetensors.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize, quantize
from safetensors import safe_open

NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def hf_name(name):
    parts = name.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{NAMES[parts[2]]}.{parts[3]}"
    return f"{NAMES[parts[0]]}.{parts[1]}"


def heads_of(reader, architecture, name):
    """Heads whose rows lie interleaved, or 0."""
    if architecture != "llama" or not (".attn_q." in name or ".attn_k." in name):
        return 0
    key = "head_count" if ".attn_q." in name else "head_count_kv"
    field = reader.get_field(f"{architecture}.attention.{key}")
    return int(field.contents())


def interleaved(values, heads):
    """From rows i, i + half of a head to neighbours."""
    if heads == 0:
        return values
    shape = values.shape
    return values.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def same_bits(a, b):
    return a.shape == b.shape and np.array_equal(
        np.ascontiguousarray(a).view(np.uint8), np.ascontiguousarray(b).view(np.uint8)
    )


def compare(reader, folder, expected):
    """Counts tensors by type; `expected` is applied to (tensor, values that pare read)."""
    architecture = reader.get_field("general.architecture").contents()
    same, differ = Counter(), []
    with safe_open(folder / "model.safetensors", framework="np") as values:
        for tensor in reader.tensors:
            if tensor.name == "rope_freqs.weight":
                continue
            ours = values.get_tensor(hf_name(tensor.name))
            ours = interleaved(ours, heads_of(reader, architecture, tensor.name))
            if expected(tensor, ours):
                same[tensor.tensor_type.name] += 1
            else:
                differ.append(f"{tensor.name} ({tensor.tensor_type.name})")
    print(", ".join(f"{count} {name}" for name, count in sorted(same.items())), "the same")
    for name in differ:
        print("DIFFERENT:", name)
    return not differ


def is_decoded(tensor, ours):
    # A file without blocks comes as typed arrays, in the shape of the tensor.
    theirs = dequantize(tensor.data, tensor.tensor_type)
    return same_bits(theirs.reshape(ours.shape).astype(np.float32, copy=False), ours)


def is_encoded(tensor, ours):
    if tensor.tensor_type == GGMLQuantizationType.F32:
        return same_bits(tensor.data, ours)
    return same_bits(tensor.data, quantize(ours, tensor.tensor_type))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--pare", default="pare")
    parser.add_argument("--types", default="q8_0,q4_0")
    args = parser.parse_args()
    ok = True
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "f32"
        convert = [args.pare, "convert"]
        size = ["--dtype", "f32", "--shard-size", "1000GB"]
        subprocess.run([*convert, str(args.model), "-o", str(folder), *size], check=True)
        print("read: ", end="")
        ok &= compare(GGUFReader(args.model), folder, is_decoded)
        for name in filter(None, args.types.split(",")):
            written = Path(scratch) / f"{name}.gguf"
            subprocess.run([*convert, str(folder), "-o", str(written), "--dtype", name], check=True)
            print(f"written as {name}: ", end="")
            ok &= compare(GGUFReader(written), folder, is_encoded)
            written.unlink()
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
