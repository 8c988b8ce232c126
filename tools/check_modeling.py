#!/usr/bin/env python3
"""Checks share/pare/hf (the modeling files that go with sliced models) against plain numpy, and writes goldens.

For each case below a random sliced model is written with the modeling files beside it, loaded by stock transformers
with trust_remote_code, and compared with the f64 numpy forward pass of this file, which shares no code with it: logits,
padded batches, the KV cache, generate(), gradients, save_pretrained(). Exit 1 when anything differs.

usage: check_modeling.py [--golden DIR]
  --golden DIR   also write the cases as DIR/NAME/{config.json, model.safetensors, golden.safetensors} and DIR/README.md
                 (tests/golden/sliced of this checkout)
Needs numpy, torch, transformers, safetensors.
"""

import argparse
import functools
import json
import math
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import safetensors
import torch
import transformers
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

SEED = 20240301
LENGTH = 40
VOCAB = 89
HF_FILES = Path(__file__).resolve().parent.parent / "share/pare/hf"


def layer(before, middle, after, values, hidden):
    return {
        "input_width": before,
        "attention_output_width": middle,
        "output_width": after,
        "value_head_dim": values,
        "intermediate_size": hidden,
        "attention_skip": before != middle,
        "mlp_skip": middle != after,
    }


def parallel_layer(before, after, values, hidden):
    return {**layer(before, after, after, values, hidden), "attention_skip": True}


def square_skips(entry):
    return {**entry, "attention_skip": True, "mlp_skip": True}


# name: (what it covers, config keys, `pare` keys)
CASES = {
    "block-rotation": (
        "SliceGPT: one width, square skips in both stages of every layer, untied head on the last width",
        dict(
            num_attention_heads=4,
            num_key_value_heads=4,
            head_dim=6,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dict(
            norm_width=24,
            embedding_width=18,
            head_transform=False,
            layers=[square_skips(layer(18, 18, 18, 6, 32)), square_skips(layer(18, 18, 18, 6, 32))],
        ),
    ),
    "all-streams": (
        "widths differ by layer and stage, grouped heads with value_head_dim != head_dim, o and down biases only, "
        "one layer without MLP, one without attention, tied head behind head_transform",
        dict(
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            rms_norm_eps=1e-6,
            tie_word_embeddings=True,
            rope_parameters=dict(
                rope_type="llama3",
                rope_theta=20000.0,
                factor=4.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=24,
            ),
        ),
        dict(
            norm_width=32,
            embedding_width=20,
            head_transform=True,
            biases={"o": True, "down": True},
            layers=[
                layer(20, 18, 22, 5, 26),
                layer(22, 22, 22, 3, 0),
                layer(22, 22, 17, 0, 19),
                layer(17, 17, 15, 8, 31),
            ],
        ),
    ),
    "global-rotation": (
        "one width, no skips, tied head behind a square head_transform, every bias, linear rope in the older spelling",
        dict(
            num_attention_heads=3,
            num_key_value_heads=1,
            head_dim=8,
            rms_norm_eps=1e-4,
            tie_word_embeddings=True,
            rope_theta=1000.0,
            rope_scaling=dict(type="linear", factor=2.0),
        ),
        dict(
            norm_width=24,
            embedding_width=17,
            head_transform=True,
            biases={key: True for key in ("q", "k", "v", "o", "gate", "up", "down")},
            layers=[layer(17, 17, 17, 8, 20), layer(17, 17, 17, 4, 12)],
        ),
    ),
    "first-layer-bare": (
        "the first layer has no attention and the last lacks both, a stage without linears keeps its skip, a square "
        "head_transform before an untied head on a width that differs from the embedding's",
        dict(
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dict(
            norm_width=16,
            embedding_width=14,
            head_transform=True,
            layers=[layer(14, 14, 12, 0, 10), layer(12, 13, 13, 8, 22), layer(13, 11, 11, 0, 0)],
        ),
    ),
    "opt-rotated": (
        "OPT with skips: RMS norms, learned positions, relu without a gate, biases, tied head with a bias of its own",
        dict(
            num_attention_heads=4,
            num_key_value_heads=4,
            head_dim=5,
            hidden_act="relu",
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            max_position_embeddings=48,
        ),
        dict(
            family="opt",
            norm="rms",
            gated=False,
            rotary_dim=0,
            learned_positions=True,
            position_offset=2,
            norm_width=20,
            embedding_width=16,
            head_transform=True,
            head_bias=True,
            biases={key: True for key in ("q", "k", "v", "o", "up", "down")},
            layers=[square_skips(layer(16, 16, 16, 5, 24)), square_skips(layer(16, 16, 20, 5, 24))],
        ),
    ),
    "opt-streams": (
        "OPT with layer norms: streams inside the stages cut, one layer without MLP",
        dict(
            num_attention_heads=4,
            num_key_value_heads=4,
            head_dim=4,
            hidden_act="gelu",
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            max_position_embeddings=48,
        ),
        dict(
            family="opt",
            norm="layer",
            gated=False,
            rotary_dim=0,
            learned_positions=True,
            position_offset=2,
            norm_width=16,
            embedding_width=16,
            layers=[layer(16, 16, 16, 3, 20), layer(16, 16, 16, 4, 0)],
        ),
    ),
    "phi-rotated": (
        "Phi with skips: parallel RMS stages of changing width, half of each head rotated, gelu_new, biases, head bias; "
        "one layer without attention",
        dict(
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            hidden_act="gelu_new",
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dict(
            family="phi",
            norm="rms",
            gated=False,
            parallel=True,
            rotary_dim=4,
            norm_width=16,
            embedding_width=12,
            head_bias=True,
            biases={key: True for key in ("q", "k", "v", "o", "up", "down")},
            layers=[parallel_layer(12, 13, 8, 22), parallel_layer(13, 11, 0, 18), parallel_layer(11, 14, 6, 0)],
        ),
    ),
    "phi-streams": (
        "Phi with layer norms: streams inside the stages cut, grouped heads",
        dict(
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=6,
            hidden_act="gelu_new",
            rms_norm_eps=1e-3,
            tie_word_embeddings=False,
            rope_parameters=dict(rope_type="linear", rope_theta=1000.0, factor=2.0),
        ),
        dict(
            family="phi",
            norm="layer",
            gated=False,
            parallel=True,
            rotary_dim=2,
            norm_width=16,
            embedding_width=16,
            head_bias=True,
            biases={key: True for key in ("q", "k", "v", "o", "up", "down")},
            layers=[layer(16, 16, 16, 5, 20), layer(16, 16, 16, 6, 9)],
        ),
    ),
    "qwen3-rotated": (
        "Qwen3 with skips: norms of each head's queries and keys, heads wider than their share, q, k and v cut, tied head",
        dict(
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            rms_norm_eps=1e-6,
            tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        ),
        dict(
            family="qwen3",
            query_key_norm="head",
            norm_width=24,
            embedding_width=18,
            head_transform=True,
            layers=[layer(18, 17, 18, 6, 30), layer(18, 18, 16, 8, 22)],
        ),
    ),
    "olmo2-streams": (
        "OLMo-2: norms behind the branches and of all queries and keys; streams inside the stages cut, one layer without MLP",
        dict(
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=4,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            rope_parameters=dict(rope_type="default", rope_theta=500000.0),
        ),
        dict(
            family="olmo2",
            norm_place="branch",
            query_key_norm="whole",
            norm_width=16,
            embedding_width=16,
            layers=[layer(16, 16, 16, 3, 20), layer(16, 16, 16, 4, 0), layer(16, 16, 16, 2, 14)],
        ),
    ),
    "opt-post-norm": (
        "OPT-350m: layer norms behind the sums, none behind the layers, matrices at both ends; streams inside the stages cut",
        dict(
            num_attention_heads=4,
            num_key_value_heads=4,
            head_dim=5,
            hidden_act="relu",
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            max_position_embeddings=48,
        ),
        dict(
            family="opt",
            norm="layer",
            norm_place="sum",
            final_norm=False,
            gated=False,
            rotary_dim=0,
            learned_positions=True,
            position_offset=2,
            norm_width=20,
            embedding_width=12,
            embedding_transform=True,
            head_transform=True,
            biases={key: True for key in ("q", "k", "v", "o", "up", "down")},
            layers=[layer(20, 20, 20, 5, 24), layer(20, 20, 20, 3, 17)],
        ),
    ),
}


def full_config(config, pare):
    return {
        "architectures": ["PareForCausalLM"],
        "auto_map": {
            "AutoConfig": "configuration_pare.PareConfig",
            "AutoModel": "modeling_pare.PareModel",
            "AutoModelForCausalLM": "modeling_pare.PareForCausalLM",
        },
        "bos_token_id": 1,
        "dtype": "float32",
        "eos_token_id": 2,
        "hidden_size": pare["embedding_width"],
        "hidden_act": "silu",
        "max_position_embeddings": 256,
        "model_type": "pare",
        "num_hidden_layers": len(pare["layers"]),
        "vocab_size": VOCAB,
        **config,
        "pare": pare,
    }


def random_tensors(config, rng):
    pare, heads, kv, dim = (
        config["pare"],
        config["num_attention_heads"],
        config["num_key_value_heads"],
        config["head_dim"],
    )
    biases, tensors = pare.get("biases", {}), {}

    def matrix(name, rows, columns, scale=1.2):
        tensors[name + ".weight"] = scale * rng.standard_normal((rows, columns)) / math.sqrt(columns)

    def linear(name, rows, columns):
        matrix(name, rows, columns)
        if biases.get(name.split(".")[-1].removesuffix("_proj"), False):
            tensors[name + ".bias"] = 0.3 * rng.standard_normal(rows)

    def norm(name, width):
        tensors[name + ".weight"] = 1 + 0.4 * rng.standard_normal(width)
        if pare.get("norm", "rms") == "layer":
            tensors[name + ".bias"] = 0.3 * rng.standard_normal(width)

    def head_norm(name, count):
        whole = pare["query_key_norm"] == "whole"
        tensors[name + ".weight"] = 1 + 0.4 * rng.standard_normal(dim * (count if whole else 1))

    gated, parallel = pare.get("gated", True), pare.get("parallel", False)
    behind = pare.get("norm_place", "input") != "input"
    stream = pare["layers"][0]["input_width"]
    tensors["model.embed_tokens.weight"] = 0.7 * rng.standard_normal((VOCAB, pare["embedding_width"]))
    if pare.get("embedding_transform", False):
        matrix("model.embedding_transform", stream, pare["embedding_width"])
    if pare.get("learned_positions", False):
        rows = config["max_position_embeddings"] + pare["position_offset"]
        tensors["model.embed_positions.weight"] = 0.7 * rng.standard_normal((rows, stream))
    for i, entry in enumerate(pare["layers"]):
        prefix = f"model.layers.{i}."
        before, middle, after = entry["input_width"], entry["attention_output_width"], entry["output_width"]
        values, hidden = entry["value_head_dim"], entry["intermediate_size"]
        if values or (parallel and hidden):
            norm(prefix + "input_layernorm", middle if behind else before)
        if values:
            linear(prefix + "self_attn.q_proj", heads * dim, before)
            linear(prefix + "self_attn.k_proj", kv * dim, before)
            linear(prefix + "self_attn.v_proj", kv * values, before)
            linear(prefix + "self_attn.o_proj", middle, heads * values)
            if pare.get("query_key_norm", "none") != "none":
                head_norm(prefix + "self_attn.q_norm", heads)
                head_norm(prefix + "self_attn.k_norm", kv)
        if hidden:
            read = before if parallel else middle
            if not parallel:
                norm(prefix + "post_attention_layernorm", after if behind else read)
            if gated:
                linear(prefix + "mlp.gate_proj", hidden, read)
            linear(prefix + "mlp.up_proj", hidden, read)
            linear(prefix + "mlp.down_proj", after, hidden)
        if entry["attention_skip"]:
            matrix(prefix + "attention_skip", middle, before, 1.0)
        if entry["mlp_skip"]:
            matrix(prefix + "mlp_skip", after, middle, 1.0)
    last = pare["layers"][-1]["output_width"]
    if pare.get("final_norm", True):
        norm("model.norm", last)
    if pare.get("head_transform", False):
        ends = config["tie_word_embeddings"] or pare.get("embedding_transform", False)
        head_width = pare["embedding_width"] if ends else last
        matrix("model.head_transform", head_width, last)
        last = head_width
    if not config["tie_word_embeddings"]:
        matrix("lm_head", VOCAB, last)
    if pare.get("head_bias", False):
        tensors["lm_head.bias"] = 0.3 * rng.standard_normal(VOCAB)
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def numpy_logits(config, stored, tokens):
    """The definition, token by token and head by head, in f64. Returns (tokens, vocabulary)."""
    w = {name: tensor.astype(np.float64) for name, tensor in stored.items()}
    pare, heads, kv, dim = (
        config["pare"],
        config["num_attention_heads"],
        config["num_key_value_heads"],
        config["head_dim"],
    )

    def norm(name, x):
        if pare.get("norm", "rms") == "layer":
            x = x - x.mean(1, keepdims=True)
        scale = np.sqrt((x * x).sum(1, keepdims=True) / pare["norm_width"] + config["rms_norm_eps"])
        return x / scale * w[name + ".weight"] + w.get(name + ".bias", 0.0)

    def linear(name, x):
        return x @ w[name + ".weight"].T + w.get(name + ".bias", 0.0)

    rope = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    kind, theta = rope.get("rope_type", rope.get("type")), rope.get("rope_theta", config.get("rope_theta"))
    frequencies = []
    turns = pare.get("rotary_dim", dim)
    for pair in range(turns // 2):  # none: no rotary embedding
        f = theta ** (-2.0 * pair / turns)
        if kind == "linear":
            f /= rope["factor"]
        elif kind == "llama3":
            length, wave = rope["original_max_position_embeddings"], 2 * math.pi / f
            if wave > length / rope["low_freq_factor"]:
                f /= rope["factor"]
            elif wave > length / rope["high_freq_factor"]:
                smooth = (length / wave - rope["low_freq_factor"]) / (
                    rope["high_freq_factor"] - rope["low_freq_factor"]
                )
                f = (1 - smooth) * f / rope["factor"] + smooth * f
        frequencies.append(f)

    def turned(x, position):
        """Pairs (i, i + turns/2) as complex numbers, turned by the position's angles."""
        half = turns // 2
        z = (x[:half] + 1j * x[half:turns]) * np.exp(1j * position * np.array(frequencies))
        return np.concatenate((z.real, z.imag, x[turns:]))

    def head_norm(name, x):
        """Of each head's slice of a token, or of the token's whole row."""
        kind = pare.get("query_key_norm", "none")
        if kind == "none":
            return x
        pieces = np.split(x, x.shape[1] // dim, axis=1) if kind == "head" else [x]
        scales = [np.sqrt((p * p).mean(1, keepdims=True) + config["rms_norm_eps"]) for p in pieces]
        return np.concatenate([p / s * w[name + ".weight"] for p, s in zip(pieces, scales)], axis=1)

    def attention(prefix, x, values):
        q, k, v = (linear(f"{prefix}.{s}_proj", x) for s in "qkv")
        q, k = head_norm(prefix + ".q_norm", q), head_norm(prefix + ".k_norm", k)
        out = np.zeros((len(x), heads * values))
        for h in range(heads):
            g = h // (heads // kv)
            qs = [turned(q[t, h * dim : (h + 1) * dim], t) for t in range(len(x))]
            ks = np.array([turned(k[t, g * dim : (g + 1) * dim], t) for t in range(len(x))])
            for t in range(len(x)):
                scores = ks[: t + 1] @ qs[t] / math.sqrt(dim)
                p = np.exp(scores - scores.max())
                out[t, h * values : (h + 1) * values] = (
                    p / p.sum() @ v[: t + 1, g * values : (g + 1) * values]
                )
        return linear(f"{prefix}.o_proj", out)

    def mlp(prefix, x):
        up = linear(prefix + ".up_proj", x)
        if pare.get("gated", True):
            gate = linear(prefix + ".gate_proj", x)
            hidden = gate / (1 + np.exp(-gate)) * up
        elif config["hidden_act"] == "relu":
            hidden = np.maximum(up, 0)
        elif config["hidden_act"] == "gelu":
            hidden = 0.5 * up * (1 + np.vectorize(math.erf)(up / math.sqrt(2)))
        else:
            hidden = 0.5 * up * (1 + np.tanh(math.sqrt(2 / math.pi) * (up + 0.044715 * up**3)))
        return linear(prefix + ".down_proj", hidden)

    def stage(residual, x, name, branch):
        place = pare.get("norm_place", "input")
        if place == "input":
            return residual + branch(norm(name, x))
        if place == "branch":
            return residual + norm(name, branch(x))
        return norm(name, residual + branch(x))

    x = w["model.embed_tokens.weight"][tokens]
    if pare.get("embedding_transform", False):
        x = linear("model.embedding_transform", x)
    if pare.get("learned_positions", False):
        x = x + w["model.embed_positions.weight"][pare["position_offset"] :][: len(tokens)]
    for i, entry in enumerate(pare["layers"]):
        prefix = f"model.layers.{i}."
        residual = linear(prefix + "attention_skip", x) if entry["attention_skip"] else x
        if entry["value_head_dim"]:
            attend = functools.partial(attention, prefix + "self_attn", values=entry["value_head_dim"])
            residual = stage(residual, x, prefix + "input_layernorm", attend)
        if pare.get("parallel", False):
            if entry["intermediate_size"]:
                residual = residual + mlp(prefix + "mlp", norm(prefix + "input_layernorm", x))
            x = residual
            continue
        x = residual
        residual = linear(prefix + "mlp_skip", x) if entry["mlp_skip"] else x
        if entry["intermediate_size"]:
            feed = functools.partial(mlp, prefix + "mlp")
            residual = stage(residual, x, prefix + "post_attention_layernorm", feed)
        x = residual
    if pare.get("final_norm", True):
        x = norm("model.norm", x)
    if pare.get("head_transform", False):
        x = linear("model.head_transform", x)
    head = w["model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"]
    return x @ head.T + w.get("lm_head.bias", 0.0)


def write_model(directory, config, tensors):
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def load(directory, dtype):
    """The directory in stock transformers, from a copy that has the modeling files beside it."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(directory, copy, dirs_exist_ok=True)
        for file in HF_FILES.glob("*.py"):
            shutil.copy(file, copy)
        model, info = AutoModelForCausalLM.from_pretrained(
            copy, trust_remote_code=True, torch_dtype=dtype, output_loading_info=True
        )
    wrong = {key: value for key, value in info.items() if value}
    if wrong:
        raise SystemExit(f"{directory.name}: tensors do not fit the model: {wrong}")
    return model.eval()


def check_case(name, directory, config, tensors, rng):
    """Returns the f32 logits of transformers and prints how far everything was off."""
    model = load(directory, torch.float32)
    wide = load(directory, torch.float64)
    tokens = rng.integers(0, VOCAB, LENGTH)
    ids = torch.tensor(tokens)[None]
    reference = numpy_logits(config, tensors, tokens)
    failures = []

    def expect(what, difference, limit):
        if not difference <= limit:
            failures.append(f"{name}: {what} differs by {difference:.2e} (limit {limit:.0e})")
        return difference

    with torch.no_grad():
        logits = model(ids).logits[0].numpy()
        # Rotary tables and norms are f32 inside, so even the f64 model is only good to about 1e-6 of the spread.
        off = expect(
            "f64 model", np.abs(wide(ids).logits[0].numpy() - reference).max(), 2e-5 * reference.std()
        )
        off32 = expect("f32 model", np.abs(logits - reference).max(), 1e-4 * reference.std())
        # Left padding must not change what the real tokens see.
        padded = torch.cat((torch.zeros(1, 5, dtype=torch.long), ids[:, :20]), 1)
        mask = torch.cat((torch.zeros(1, 5, dtype=torch.long), torch.ones(1, 20, dtype=torch.long)), 1)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        shifted = model(padded, attention_mask=mask, position_ids=positions).logits[0, 5:].numpy()
        expect("left-padded batch", np.abs(shifted - logits[:20]).max(), 1e-4)
        # Cache: in two pieces, then one token at a time.
        first = model(ids[:, :17], use_cache=True)
        cache, pieces = first.past_key_values, [first.logits]
        for t in range(17, LENGTH):
            out = model(ids[:, t : t + 1], past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            pieces.append(out.logits)
        expect("decoding with the cache", np.abs(torch.cat(pieces, 1)[0].numpy() - logits).max(), 1e-4)
        options = dict(max_new_tokens=12, min_new_tokens=12, do_sample=False, pad_token_id=0)
        batch, keep = torch.cat((padded, ids[:, :25])), torch.cat((mask, torch.ones(1, 25, dtype=torch.long)))
        cached = model.generate(batch, attention_mask=keep, use_cache=True, **options)
        plain = model.generate(batch, attention_mask=keep, use_cache=False, **options)
        if not torch.equal(cached, plain):
            failures.append(f"{name}: generate() with the cache gives other tokens than without")
    model.train()
    model.gradient_checkpointing_enable()
    loss = model(ids, labels=ids).loss
    loss.backward()
    missing = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    if missing or not torch.isfinite(loss):
        failures.append(f"{name}: no gradient for {missing}, loss {loss.item()}")
    with tempfile.TemporaryDirectory() as saved:
        model.eval().save_pretrained(saved)
        again = load_file(Path(saved) / "model.safetensors")
        if set(again) != set(tensors) or any(not np.array_equal(again[key], tensors[key]) for key in tensors):
            failures.append(
                f"{name}: save_pretrained() writes other tensors: {sorted(set(again) ^ set(tensors))}"
            )
        if json.loads((Path(saved) / "config.json").read_text())["pare"] != config["pare"]:
            failures.append(f"{name}: save_pretrained() changes `pare` in config.json")
    print(f"{name}: spread {reference.std():.2f}, off by {off:.1e} in f64, {off32:.1e} in f32")
    return tokens, logits, off32, failures


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--golden", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    rows, failures = [], []
    with tempfile.TemporaryDirectory() as scratch:
        out = args.golden or Path(scratch)
        for i, (name, (about, keys, pare)) in enumerate(CASES.items()):
            rng = np.random.default_rng(SEED + i)
            config = full_config(keys, pare)
            tensors = random_tensors(config, rng)
            write_model(out / name, config, tensors)
            tokens, logits, off, wrong = check_case(name, out / name, config, tensors, rng)
            failures += wrong
            save_file(
                {"tokens": tokens.astype(np.float32), "logits": logits}, out / name / "golden.safetensors"
            )
            rows.append(f"| {name} | {about} | {logits.std():.2f} | {off:.1e} |\n")
            for file in (out / name).iterdir():
                file.chmod(0o644)
        (out / "README.md").write_text(
            "# Tiny random sliced models and their logits\n\n"
            f"Written by `tools/check_modeling.py --golden` (seed {SEED} + index of the case; torch {torch.__version__}, "
            f"transformers {transformers.__version__}, safetensors {safetensors.__version__}, numpy {np.__version__}).\n"
            f"`golden.safetensors`: `tokens` ({LENGTH}) and `logits` ({LENGTH}, {VOCAB}), both F32, by transformers with "
            "share/pare/hf in f32.\nSpread: standard deviation of the logits. Rounding: largest difference from an independent "
            "f64 forward pass.\n\n| case | covers | spread | rounding |\n|---|---|---|---|\n" + "".join(rows)
        )
    print("\n".join(failures))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
