#!/usr/bin/env python3
"""Writes a checkpoint of any shape with random bf16 weights: good for nothing but timing and sizes.

usage: make_random_model.py OUT [--shape NAME] [--family llama|qwen3|olmo2|opt|phi] [--hidden N] [--layers N] [--intermediate N]
                            [--heads N] [--kv-heads N] [--vocab N] [--tied] [--pattern 2:4] [--sliced N] [--shard-size GB] [--seed N]
Shapes are those of published models; single sizes override them. The default is a LLaMA of 1.02 billion parameters.
With --pattern 2:4 two random values of every four neighbours in the rows of the blocks' linears are zero. With
--sliced N a LLaMA has what `pare slice --rotation block` makes of it: a residual stream of N channels, and a shortcut
matrix beside every stage. The tokenizer has a token a byte. Weights are written shard by shard; memory stays below 100 MB.
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


# family, hidden, layers, intermediate, heads, key/value heads, vocabulary, tied head
SHAPES = {
    "1b": ("llama", 2048, 16, 5632, 32, 32, 49152, False),
    "llama-2-7b": ("llama", 4096, 32, 11008, 32, 32, 32000, False),
    "llama-2-70b": ("llama", 8192, 80, 28672, 64, 8, 32000, False),
    "qwen3-0.6b": ("qwen3", 1024, 28, 3072, 16, 8, 151936, True),
    "olmo-2-1b": ("olmo2", 2048, 16, 8192, 16, 16, 100352, False),
    "opt-125m": ("opt", 768, 12, 3072, 12, 12, 50272, True),
    "opt-350m": ("opt", 1024, 24, 4096, 16, 16, 50272, True),
    "opt-6.7b": ("opt", 4096, 32, 16384, 32, 32, 50272, True),
    "phi-2": ("phi", 2560, 32, 10240, 32, 32, 51200, False),
}
SIZES = ("hidden", "layers", "intermediate", "heads", "kv_heads", "vocab")
POSITIONS = {"llama": 4096, "qwen3": 40960, "olmo2": 4096, "opt": 2048, "phi": 2048}
# Columns of the embedding where they differ from the hidden size; norms then stand behind the residual sums.
NARROW_EMBEDDING = {"opt-350m": 512}
QWEN3_HEAD_DIM = 128


def linear(name, rows, columns, bias):
    yield name + ".weight", (rows, columns)
    if bias:
        yield name + ".bias", (rows,)


def norm(name, width, bias):
    yield name + ".weight", (width,)
    if bias:
        yield name + ".bias", (width,)


def head_dim(a):
    return QWEN3_HEAD_DIM if a.family == "qwen3" else a.hidden // a.heads


def llama_tensors(a):
    queries, keys = a.heads * head_dim(a), a.kv_heads * head_dim(a)
    norms = {
        "olmo2": ("post_attention_layernorm", "post_feedforward_layernorm"),
    }.get(a.family, ("input_layernorm", "post_attention_layernorm"))
    head_norms = {"qwen3": (head_dim(a), head_dim(a)), "olmo2": (queries, keys)}.get(a.family)
    width = a.sliced or a.hidden
    yield "model.embed_tokens.weight", (a.vocab, width)
    for layer in range(a.layers):
        name = f"model.layers.{layer}."
        if a.sliced:
            yield name + "attention_skip.weight", (width, width)
            yield name + "mlp_skip.weight", (width, width)
        yield from norm(name + norms[0], width, False)
        yield from linear(name + "self_attn.q_proj", queries, width, False)
        yield from linear(name + "self_attn.k_proj", keys, width, False)
        yield from linear(name + "self_attn.v_proj", keys, width, False)
        yield from linear(name + "self_attn.o_proj", width, queries, False)
        if head_norms:
            yield from norm(name + "self_attn.q_norm", head_norms[0], False)
            yield from norm(name + "self_attn.k_norm", head_norms[1], False)
        yield from norm(name + norms[1], width, False)
        yield from linear(name + "mlp.gate_proj", a.intermediate, width, False)
        yield from linear(name + "mlp.up_proj", a.intermediate, width, False)
        yield from linear(name + "mlp.down_proj", width, a.intermediate, False)
    yield from norm("model.norm", width, False)
    if not a.tied:
        yield "lm_head.weight", (a.vocab, width)


def opt_tensors(a):
    yield "model.decoder.embed_tokens.weight", (a.vocab, a.embedding)
    if a.embedding != a.hidden:
        yield "model.decoder.project_in.weight", (a.hidden, a.embedding)
        yield "model.decoder.project_out.weight", (a.embedding, a.hidden)
    yield "model.decoder.embed_positions.weight", (POSITIONS["opt"] + 2, a.hidden)
    for layer in range(a.layers):
        name = f"model.decoder.layers.{layer}."
        yield from norm(name + "self_attn_layer_norm", a.hidden, True)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(name + "self_attn." + part, a.hidden, a.hidden, True)
        yield from norm(name + "final_layer_norm", a.hidden, True)
        yield from linear(name + "fc1", a.intermediate, a.hidden, True)
        yield from linear(name + "fc2", a.hidden, a.intermediate, True)
    if a.embedding == a.hidden:
        yield from norm("model.decoder.final_layer_norm", a.hidden, True)
    if not a.tied:
        yield "lm_head.weight", (a.vocab, a.embedding)


def phi_tensors(a):
    yield "model.embed_tokens.weight", (a.vocab, a.hidden)
    for layer in range(a.layers):
        name = f"model.layers.{layer}."
        yield from norm(name + "input_layernorm", a.hidden, True)
        for part in ("q_proj", "k_proj", "v_proj", "dense"):
            yield from linear(name + "self_attn." + part, a.hidden, a.hidden, True)
        yield from linear(name + "mlp.fc1", a.intermediate, a.hidden, True)
        yield from linear(name + "mlp.fc2", a.hidden, a.intermediate, True)
    yield from norm("model.final_layernorm", a.hidden, True)
    yield from linear("lm_head", a.vocab, a.hidden, True)


TENSORS = {
    "llama": llama_tensors,
    "qwen3": llama_tensors,
    "olmo2": llama_tensors,
    "opt": opt_tensors,
    "phi": phi_tensors,
}


def values(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def mask_two_of_four(piece, source):
    choice = source.randbytes(len(piece) // 8)
    mask = bytearray(len(piece))
    for i in range(4):
        mask[2 * i :: 8] = mask[2 * i + 1 :: 8] = choice.translate(KEPT[i])
    both = int.from_bytes(piece, "little") & int.from_bytes(mask, "little")
    return both.to_bytes(len(piece), "little")


def write_values(file, name, shape, sparse, source):
    left = values(shape)
    if len(shape) == 1:  # ones where a norm multiplies, zeros where something is added
        file.write((b"\x00\x00" if name.endswith(".bias") else b"\x80\x3f") * left)
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
    for name, shape in TENSORS[a.family](a):
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
            write_values(file, name, shape, sparse and ".layers." in name and "_skip" not in name, source)
    return offset


def config(a):
    common = {
        "model_type": a.family,
        "num_hidden_layers": a.layers,
        "num_attention_heads": a.heads,
        "hidden_size": a.hidden,
        "vocab_size": a.vocab,
        "max_position_embeddings": POSITIONS[a.family],
        "tie_word_embeddings": a.tied,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }
    gated = {
        "intermediate_size": a.intermediate,
        "num_key_value_heads": a.kv_heads,
        "hidden_act": "silu",
    }
    own = {
        "llama": gated
        | {
            "architectures": ["LlamaForCausalLM"],
            "head_dim": head_dim(a),
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
        },
        "qwen3": gated
        | {
            "architectures": ["Qwen3ForCausalLM"],
            "head_dim": head_dim(a),
            "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0,
            "attention_bias": False,
        },
        "olmo2": gated
        | {
            "architectures": ["Olmo2ForCausalLM"],
            "rms_norm_eps": 1e-6,
            "rope_theta": 500000.0,
            "attention_bias": False,
        },
        "opt": {
            "architectures": ["OPTForCausalLM"],
            "ffn_dim": a.intermediate,
            "word_embed_proj_dim": a.embedding,
            "do_layer_norm_before": a.embedding == a.hidden,
            "activation_function": "relu",
            "enable_bias": True,
            "layer_norm_elementwise_affine": True,
        },
        "phi": {
            "architectures": ["PhiForCausalLM"],
            "intermediate_size": a.intermediate,
            "num_key_value_heads": a.kv_heads,
            "layer_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.4,
            "hidden_act": "gelu_new",
            "qk_layernorm": False,
        },
    }
    return common | own[a.family] | (sliced_config(a) if a.sliced else {})


def sliced_config(a):
    layer = {
        "input_width": a.sliced,
        "attention_output_width": a.sliced,
        "output_width": a.sliced,
        "value_head_dim": head_dim(a),
        "intermediate_size": a.intermediate,
        "attention_skip": True,
        "mlp_skip": True,
    }
    pare = {"family": "llama", "norm_width": a.hidden, "embedding_width": a.sliced, "layers": [layer] * a.layers}
    return {"model_type": "pare", "architectures": ["PareForCausalLM"], "hidden_size": a.sliced, "pare": pare}


def byte_tokenizer():
    """A token a byte: no merges. Printable bytes stand for themselves, the others for code points from 256 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    vocab = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}
    return {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="1b")
    parser.add_argument("--family", choices=TENSORS)
    for size in SIZES:
        parser.add_argument("--" + size.replace("_", "-"), type=int)
    parser.add_argument("--tied", action="store_true", default=None)
    parser.add_argument("--pattern", choices=["dense", "2:4"], default="dense")
    parser.add_argument("--sliced", type=int, help="channels of the residual stream")
    parser.add_argument("--shard-size", type=float, default=4.0, help="GB")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    if a.heads and not a.kv_heads:
        a.kv_heads = a.heads
    for name, value in zip(("family", *SIZES, "tied"), SHAPES[a.shape]):
        if getattr(a, name) is None:
            setattr(a, name, value)
    a.embedding = NARROW_EMBEDDING.get(a.shape, a.hidden)
    sparse = a.pattern == "2:4"
    if sparse and (a.hidden % 4 or a.intermediate % 4 or (a.sliced or 0) % 4):
        parser.error("--pattern 2:4 needs sizes that are multiples of 4")
    if a.sliced and a.family != "llama":
        parser.error("--sliced is for the family llama")
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
    (a.out / "tokenizer.json").write_text(json.dumps(byte_tokenizer()))
    print(f"{a.out}: {total // 2} parameters, {total / 1e9:.2f} GB in {len(parts)} file(s)")


if __name__ == "__main__":
    main()
