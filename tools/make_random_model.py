#!/usr/bin/env python3
"""Writes a LLaMA checkpoint of any shape with random bf16 weights: good for nothing but timing.

usage: make_random_model.py OUT [--hidden N] [--layers N] [--intermediate N] [--heads N] [--kv-heads N] [--vocab N]
                            [--tied] [--pattern 2:4] [--shard-size GB] [--seed N]
The default shape has 1.02 billion parameters. With --pattern 2:4 two random values of every four neighbours in the
rows of the blocks' linears are zero. Weights are written shard by shard; memory stays below 100 MB.
Standard library only.
"""

import argparse
import json
import random
import struct
from pathlib import Path

PIECE = 1 << 24  # values at a time
# A bf16 is sign, 8 bits of exponent, 7 of mantissa. Upper bytes of magnitudes between 2^-7 and 2^-5, either sign.
HIGH = bytes(0x3C | (b & 0x80) for b in range(256))
# Which two of four values are kept, by a random byte.
PAIRS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
KEPT = [bytes(0xFF if i in PAIRS[b % 6] else 0 for b in range(256)) for i in range(4)]


def tensors(a):
    head_dim = a.hidden // a.heads
    yield "model.embed_tokens.weight", (a.vocab, a.hidden)
    for layer in range(a.layers):
        name = f"model.layers.{layer}."
        yield name + "input_layernorm.weight", (a.hidden,)
        yield name + "self_attn.q_proj.weight", (a.hidden, a.hidden)
        yield name + "self_attn.k_proj.weight", (a.kv_heads * head_dim, a.hidden)
        yield name + "self_attn.v_proj.weight", (a.kv_heads * head_dim, a.hidden)
        yield name + "self_attn.o_proj.weight", (a.hidden, a.hidden)
        yield name + "post_attention_layernorm.weight", (a.hidden,)
        yield name + "mlp.gate_proj.weight", (a.intermediate, a.hidden)
        yield name + "mlp.up_proj.weight", (a.intermediate, a.hidden)
        yield name + "mlp.down_proj.weight", (a.hidden, a.intermediate)
    yield "model.norm.weight", (a.hidden,)
    if not a.tied:
        yield "lm_head.weight", (a.vocab, a.hidden)


def values(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def mask_two_of_four(piece, source):
    choice = source.randbytes(len(piece) // 8)
    mask = bytearray(len(piece))
    for i in range(4):
        mask[2 * i :: 8] = mask[2 * i + 1 :: 8] = choice.translate(KEPT[i])
    both = int.from_bytes(piece, "little") & int.from_bytes(mask, "little")
    return both.to_bytes(len(piece), "little")


def write_values(file, shape, sparse, source):
    left = values(shape)
    if len(shape) == 1:  # a norm: ones
        file.write(b"\x80\x3f" * left)
        return
    while left > 0:
        n = min(left, PIECE)
        piece = bytearray(2 * n)
        piece[0::2] = source.randbytes(n)
        piece[1::2] = source.randbytes(n).translate(HIGH)
        file.write(mask_two_of_four(piece, source) if sparse else piece)
        left -= n


def shards(a):
    limit = int(a.shard_size * 1e9)
    shard, size = [], 0
    for name, shape in tensors(a):
        nbytes = 2 * values(shape)
        if shard and size + nbytes > limit:
            yield shard
            shard, size = [], 0
        shard.append((name, shape))
        size += nbytes
    yield shard


def write_shard(path, shard, sparse, source):
    header, offset = {}, 0
    for name, shape in shard:
        end = offset + 2 * values(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shard:
            write_values(file, shape, sparse and "_proj" in name, source)
    return offset


def config(a):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": a.hidden,
        "num_hidden_layers": a.layers,
        "intermediate_size": a.intermediate,
        "num_attention_heads": a.heads,
        "num_key_value_heads": a.kv_heads,
        "head_dim": a.hidden // a.heads,
        "vocab_size": a.vocab,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": a.tied,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--intermediate", type=int, default=5632)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--kv-heads", type=int)
    parser.add_argument("--vocab", type=int, default=49152)
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--pattern", choices=["dense", "2:4"], default="dense")
    parser.add_argument("--shard-size", type=float, default=4.0, help="GB")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    a.kv_heads = a.kv_heads or a.heads
    sparse = a.pattern == "2:4"
    if sparse and (a.hidden % 4 or a.intermediate % 4):
        parser.error("--pattern 2:4 needs sizes that are multiples of 4")
    a.out.mkdir(parents=True)
    source = random.Random(a.seed)
    parts = list(shards(a))
    weight_map, total = {}, 0
    for i, shard in enumerate(parts):
        name = "model.safetensors" if len(parts) == 1 else f"model-{i + 1:05}-of-{len(parts):05}.safetensors"
        total += write_shard(a.out / name, shard, sparse, source)
        weight_map.update({tensor: name for tensor, _ in shard})
    if len(parts) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (a.out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))
    (a.out / "config.json").write_text(json.dumps(config(a), indent=1))
    print(f"{a.out}: {total // 2} parameters, {total / 1e9:.2f} GB in {len(parts)} file(s)")


if __name__ == "__main__":
    main()
