"""What a sliced model computes, in f64 numpy, and random ones to try it on. Shares no code with share/pare/hf."""

import functools
import math

import numpy as np

VOCAB = 89


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


def rope_frequencies(rope, theta, turns, length, config):
    """Angle per position of each pair (turns / 2) in a sequence of so many tokens."""
    kind, original = rope.get("rope_type", rope.get("type")), rope.get("original_max_position_embeddings")

    def divisor(pair):
        f = theta ** (-2.0 * pair / turns)
        if kind == "linear":
            return rope["factor"]
        if kind == "longrope":
            return rope["short_factor" if length <= original else "long_factor"][pair]
        if kind == "dynamic" and length > config["max_position_embeddings"]:
            base = theta * (
                rope["factor"] * length / config["max_position_embeddings"] - rope["factor"] + 1
            ) ** (turns / (turns - 2))
            return f * base ** (2.0 * pair / turns)
        if kind == "llama3":
            wave = 2 * math.pi / f
            if wave > original / rope["low_freq_factor"]:
                return rope["factor"]
            if wave > original / rope["high_freq_factor"]:
                smooth = (original / wave - rope["low_freq_factor"]) / (
                    rope["high_freq_factor"] - rope["low_freq_factor"]
                )
                return 1 / ((1 - smooth) / rope["factor"] + smooth)
        if kind == "yarn":
            # The pairs that turn beta_fast and beta_slow times within the original context.
            ends = [
                turns / 2 * math.log(original / (2 * math.pi * rope[key])) / math.log(theta)
                for key in ("beta_fast", "beta_slow")
            ]
            low, high = max(math.floor(ends[0]), 0), min(math.ceil(ends[1]), turns - 1)
            ramp = min(max((pair - low) / (high - low), 0), 1)
            return 1 / (1 - ramp + ramp / rope["factor"])
        return 1

    return [theta ** (-2.0 * pair / turns) / divisor(pair) for pair in range(turns // 2)]


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
    theta = rope.get("rope_theta", config.get("rope_theta"))
    turns = pare.get("rotary_dim", dim)
    frequencies = rope_frequencies(rope, theta, turns, len(tokens), config) if turns else []
    stretch = rope.get("attention_factor", 1.0)

    def turned(x, position):
        """Pairs (i, i + turns/2) as complex numbers, turned by the position's angles."""
        half = turns // 2
        z = (x[:half] + 1j * x[half:turns]) * np.exp(1j * position * np.array(frequencies))
        return np.concatenate((stretch * z.real, stretch * z.imag, x[turns:]))

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
