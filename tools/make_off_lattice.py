#!/usr/bin/env python3
"""Writes a model of the same function whose weights lie on no lattice, because its residual stream is rotated.

A model that was stored in 4 bits once has weights on a lattice afterwards, which flatters formats that have that lattice. Here
the weights of the norms go into the linears that read them (the head, which is untied, too), and then the residual stream is
rotated in embedding, readers, writers and head. A round pairs all its channels at random and turns every pair by a random
angle. One round within 30 degrees leaves no lattice; 20 rounds within 180 degrees mix all channels with all.

usage: make_off_lattice.py MODEL OUT [--rounds N] [--degrees D] [--seed N] [--dtype bf16|f32]
MODEL is a Hugging Face folder of a LLaMA, Mistral, Qwen2 or Qwen3 model, in bf16, f16 or f32. Needs numpy.
"""

import argparse
import json
import shutil
import struct
from pathlib import Path

import numpy as np

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
EMBEDDING, FINAL_NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
# The norm that each reader of the residual stream has before it, by their names in a layer.
READERS = {f"self_attn.{part}_proj.weight": "input_layernorm.weight" for part in "qkv"}
READERS |= {f"mlp.{part}_proj.weight": "post_attention_layernorm.weight" for part in ("gate", "up")}
WRITERS = ("self_attn.o_proj.weight", "mlp.down_proj.weight")
NORMS = (*READERS.values(), FINAL_NORM)
STORED = {"BF16": "<u2", "F16": "<f2", "F32": "<f4"}


def rotation(width, rounds, degrees, seed):
    """Returns an orthogonal matrix (width, width), which x becomes R x by. With an odd width a channel of each round stays."""
    source = np.random.default_rng(seed)
    matrix = np.eye(width)
    for _ in range(rounds):
        first, second = source.permutation(width)[: width // 2 * 2].reshape(2, -1)
        angle = np.radians(source.uniform(-degrees, degrees, (first.size, 1)))
        a, b = matrix[first], matrix[second]
        matrix[first], matrix[second] = np.cos(angle) * a - np.sin(angle) * b, np.sin(angle) * a + np.cos(angle) * b
    return matrix


class Checkpoint:
    """The tensors of a folder, read when they are asked for."""

    def __init__(self, folder):
        self.entries = {}
        for path in sorted(folder.glob("*.safetensors")):
            with path.open("rb") as file:
                (size,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(size))
            header.pop("__metadata__", None)
            self.entries |= {name: (path, 8 + size, entry) for name, entry in header.items()}
        if EMBEDDING not in self.entries:
            raise SystemExit(f"{folder}: no {EMBEDDING} in its .safetensors files")

    def shape(self, name):
        return self.entries[name][2]["shape"]

    def __getitem__(self, name):
        path, start, entry = self.entries[name]
        if entry["dtype"] not in STORED:
            raise SystemExit(f"{path}: {name} is {entry['dtype']}, expected one of {', '.join(STORED)}")
        begin, end = entry["data_offsets"]
        stored = np.fromfile(path, np.uint8, end - begin, offset=start + begin).view(STORED[entry["dtype"]])
        if entry["dtype"] == "BF16":
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(np.float64).reshape(entry["shape"])


def rotated(name, tensors, turn):
    """Returns the tensor of that name in the new model. What knows no residual stream stays as it is."""
    if name == EMBEDDING:
        return tensors[name] @ turn.T
    if name == HEAD:
        return tensors[HEAD if HEAD in tensors.entries else EMBEDDING] * tensors[FINAL_NORM] @ turn.T
    if name.endswith(NORMS):
        return np.ones(tensors.shape(name))
    layer, _, part = name.removeprefix("model.layers.").partition(".")
    if part in READERS:
        return tensors[name] * tensors[f"model.layers.{layer}.{READERS[part]}"] @ turn.T
    return turn @ tensors[name] if part in WRITERS else tensors[name]


def stored(values, dtype):
    """Returns the bytes of values, rounded to nearest even."""
    bits = values.astype("<f4").view(np.uint32)
    if dtype == "f32":
        return bits.tobytes()
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()


def write(path, names, tensors, turn, dtype):
    header, offset = {}, 0
    for name in names:
        shape = tensors.shape(name if name in tensors.entries else EMBEDDING)
        end = offset + int(np.prod(shape)) * (4 if dtype == "f32" else 2)
        header[name] = {"dtype": dtype.upper(), "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(stored(rotated(name, tensors, turn), dtype))


def make(model, out, rounds=1, degrees=30.0, seed=1, dtype="bf16"):
    config = json.loads((model / "config.json").read_text())
    if config.get("model_type") not in FAMILIES:
        raise SystemExit(f"{model}: model_type is {config.get('model_type')}, expected one of {', '.join(FAMILIES)}")
    tensors = Checkpoint(model)
    biases = [name for name in tensors.entries if name.endswith(("o_proj.bias", "down_proj.bias"))]
    if biases:
        raise SystemExit(f"{model}: {biases[0]} writes to the residual stream, which is not supported")
    turn = rotation(tensors.shape(EMBEDDING)[1], rounds, degrees, seed)
    out.mkdir(parents=True)
    for path in model.iterdir():
        if path.is_file() and path.suffix != ".safetensors" and not path.name.endswith(".index.json"):
            shutil.copy(path, out / path.name)
    write(out / "model.safetensors", [*tensors.entries, *({HEAD} - set(tensors.entries))], tensors, turn, dtype)
    type_key = "dtype" if "dtype" in config else "torch_dtype"
    config |= {"tie_word_embeddings": False, type_key: {"bf16": "bfloat16", "f32": "float32"}[dtype]}
    (out / "config.json").write_text(json.dumps(config, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--degrees", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
    a = parser.parse_args()
    if a.rounds < 0:
        parser.error("--rounds is negative")
    make(**vars(a))


if __name__ == "__main__":
    main()
