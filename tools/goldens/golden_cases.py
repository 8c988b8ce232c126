"""The tiny models that make_goldens.py writes: what each covers, what it changes in a config, how it is stored."""

from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCAB = 97

BASE = dict(
    vocab_size=VOCAB,
    hidden_size=24,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=4,
    max_position_embeddings=256,
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
    bos_token_id=1,
    eos_token_id=2,
)

# `rope_theta` and `rope_scaling` instead of `rope_parameters`.
OLDER = dict(rope_spelling="older", rope_type_key="type")


def llama3(rope_theta, factor, original):
    return dict(
        rope_type="llama3",
        rope_theta=rope_theta,
        factor=factor,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=original,
    )


def scaled(rope_type, rope_theta, **keys):
    return dict(rope_type=rope_type, rope_theta=rope_theta, **keys)


LONGROPE = scaled("longrope", 10000.0, short_factor=[1.0, 1.25, 1.5], long_factor=[1.5, 3.0, 5.5])

# name: (what it covers, config changes, how it is stored)
LLAMA = {
    "mha": ("full multi-head attention, head untied", dict(), dict()),
    "gqa-tied": (
        "grouped key/value heads, head_dim 8 (not hidden/heads), tied head, ragged widths",
        dict(
            hidden_size=28,
            intermediate_size=34,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            tie_word_embeddings=True,
            rms_norm_eps=1e-6,
        ),
        dict(),
    ),
    "bias": (
        "attention_bias and mlp_bias, one key/value head, eps 1e-3",
        dict(attention_bias=True, mlp_bias=True, num_key_value_heads=1, rms_norm_eps=1e-3),
        dict(),
    ),
    "rope-linear": (
        "linear rope scaling, config.json with `rope_theta` and `rope_scaling` (the older spelling, key `type`)",
        dict(rope_parameters=dict(rope_type="linear", rope_theta=500.0, factor=2.5)),
        OLDER,
    ),
    "rope-llama3": (
        "llama3 rope scaling, config.json with `rope_parameters` (the newer spelling)",
        dict(
            rope_parameters=llama3(rope_theta=10000.0, factor=8.0, original=24),
            head_dim=12,
            num_key_value_heads=2,
        ),
        dict(),
    ),
    "rope-llama3-older": (
        "llama3 rope scaling, config.json with `rope_theta` and `rope_scaling` (the older spelling, key `rope_type`)",
        dict(
            rope_parameters=llama3(rope_theta=50000.0, factor=4.0, original=32),
            head_dim=12,
            num_key_value_heads=2,
        ),
        dict(rope_spelling="older", rope_type_key="rope_type"),
    ),
    "minimal-config": (
        "config.json with only what has no default: no head_dim, num_key_value_heads, rope, bias or tie keys",
        dict(rms_norm_eps=1e-6),
        dict(minimal=True),
    ),
    "sharded": (
        "two safetensors shards with model.safetensors.index.json",
        dict(num_hidden_layers=3, intermediate_size=32),
        dict(shards=2),
    ),
    "bf16": (
        "weights stored as bfloat16; logits are computed in f32 from the stored values",
        dict(),
        dict(dtype="bfloat16"),
    ),
    "f16": (
        "weights stored as float16; logits are computed in f32 from the stored values",
        dict(),
        dict(dtype="float16"),
    ),
    "rope-yarn": (
        "yarn rope scaling, config.json with `rope_parameters` (the newer spelling)",
        dict(rope_parameters=scaled("yarn", 500.0, factor=4.0, original_max_position_embeddings=64), head_dim=16),
        dict(),
    ),
    "rope-yarn-older": (
        "yarn rope scaling with every key of its own, config.json with `rope_theta` and `rope_scaling`",
        dict(
            rope_parameters=scaled(
                "yarn",
                10000.0,
                factor=8.0,
                original_max_position_embeddings=32,
                beta_fast=4.0,
                beta_slow=0.5,
                mscale=0.7,
                mscale_all_dim=1.3,
                truncate=False,
            ),
            head_dim=16,
            num_key_value_heads=2,
        ),
        OLDER,
    ),
    "rope-longrope": (
        "longrope rope scaling, more tokens than the original context: the long divisors",
        dict(rope_parameters=LONGROPE | dict(original_max_position_embeddings=16)),
        dict(),
    ),
    "rope-longrope-short": (
        "longrope rope scaling, fewer tokens than the original context: the short divisors",
        dict(rope_parameters=LONGROPE | dict(original_max_position_embeddings=64)),
        OLDER,
    ),
    "rope-dynamic": (
        "dynamic rope scaling, fewer tokens than max_position_embeddings: as without",
        dict(rope_parameters=scaled("dynamic", 500.0, factor=2.0)),
        OLDER,
    ),
}

MISTRAL = {
    "window": (
        "grouped key/value heads, head_dim 8, sliding_window 64: longer than the tokens, shorter than the context",
        dict(num_key_value_heads=2, head_dim=8, sliding_window=64),
        dict(),
    ),
    "no-window": (
        "sliding_window null, as in versions after 0.1; one key/value head",
        dict(num_key_value_heads=1, sliding_window=None, rope_parameters=dict(rope_type="default", rope_theta=1e6)),
        dict(OLDER, keep_null=["sliding_window"]),
    ),
    "minimal-config": (
        "config.json with only what has no default: eight key/value heads, sliding_window 4096 below the context",
        dict(
            hidden_size=32,
            num_attention_heads=8,
            num_key_value_heads=8,
            max_position_embeddings=131072,
            rms_norm_eps=1e-6,
        ),
        dict(minimal=True),
    ),
}

QWEN2 = {
    "gqa": (
        "biases on queries, keys and values; grouped key/value heads, head untied",
        dict(num_key_value_heads=2, rms_norm_eps=1e-6),
        dict(),
    ),
    "tied": (
        "tied head, theta 1e6 (the older spelling), one key/value head, stored as bfloat16",
        dict(
            hidden_size=32,
            num_key_value_heads=1,
            tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=1e6),
        ),
        dict(OLDER, dtype="bfloat16"),
    ),
}

QWEN3 = {
    "gqa": (
        "norms of each head's queries and keys, heads wider than hidden/heads, grouped key/value heads, head untied",
        dict(num_key_value_heads=2, head_dim=8, rms_norm_eps=1e-6),
        dict(),
    ),
    "tied-bias": (
        "attention_bias, tied head, theta 1e6 (the older spelling), one key/value head, eps 1e-2, stored as bfloat16",
        dict(
            num_key_value_heads=1,
            head_dim=10,
            attention_bias=True,
            tie_word_embeddings=True,
            rms_norm_eps=1e-2,
            rope_parameters=dict(rope_type="default", rope_theta=1e6),
        ),
        dict(OLDER, dtype="bfloat16"),
    ),
    "minimal-config": (
        "config.json with only what has no default, and the number and size of the heads, whose defaults are large",
        dict(num_key_value_heads=2, head_dim=12, rms_norm_eps=1e-6),
        dict(minimal=True, keep=["head_dim", "num_key_value_heads"]),
    ),
}

OLMO2 = {
    "mha": ("norms behind the branches, norms of all queries and keys, head untied", dict(), dict()),
    "gqa-tied": (
        "grouped key/value heads, attention_bias, tied head, theta 5e5 (the older spelling), eps 1e-2, stored as bfloat16",
        dict(
            hidden_size=32,
            num_key_value_heads=2,
            attention_bias=True,
            tie_word_embeddings=True,
            rms_norm_eps=1e-2,
            rope_parameters=dict(rope_type="default", rope_theta=5e5),
        ),
        dict(OLDER, dtype="bfloat16"),
    ),
    "minimal-config": (
        "config.json with only what has no default",
        dict(rms_norm_eps=1e-5),
        dict(minimal=True),
    ),
}

OPT_BASE = dict(
    vocab_size=VOCAB,
    hidden_size=20,
    word_embed_proj_dim=20,
    ffn_dim=36,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=64,
    bos_token_id=2,
    eos_token_id=2,
    pad_token_id=1,
)

OPT = {
    "relu": ("the common OPT: biases, relu, tied head; heads of 5 values, positions hardly beyond the tokens", dict(), dict()),
    "untied-gelu": (
        "untied head, gelu, three layers, stored as bfloat16",
        dict(tie_word_embeddings=False, activation_function="gelu", num_hidden_layers=3),
        dict(dtype="bfloat16"),
    ),
    "bare-linears": ("enable_bias false, gelu_new", dict(enable_bias=False, activation_function="gelu_new"), dict()),
    "no-prefix": (
        "tensor names without `model.`, stored as float16, config.json with only what has no default",
        dict(),
        dict(minimal=True, prefix="model.", dtype="float16"),
    ),
    "post-norm": (
        "OPT-350m: norms behind the sums, none behind the layers, project_in and project_out around them, tied head",
        dict(do_layer_norm_before=False, word_embed_proj_dim=12),
        dict(),
    ),
    "post-norm-untied": (
        "norms behind the sums, project_in and project_out to a width beyond the layers', head untied",
        dict(do_layer_norm_before=False, word_embed_proj_dim=24, tie_word_embeddings=False, num_hidden_layers=3),
        dict(),
    ),
    "no-final-norm": (
        "norms before the branches, but none behind the layers (_remove_final_layer_norm)",
        dict(_remove_final_layer_norm=True),
        dict(),
    ),
}

PHI_BASE = dict(
    vocab_size=VOCAB,
    hidden_size=24,
    intermediate_size=36,
    num_hidden_layers=2,
    num_attention_heads=3,
    num_key_value_heads=3,
    max_position_embeddings=128,
    layer_norm_eps=1e-5,
    rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5),
    bos_token_id=1,
    eos_token_id=2,
)

PHI = {
    "half-rotary": ("half of each head rotated (the newer spelling), gelu_new", dict(), dict()),
    "quarter-rotary-gqa": (
        "a quarter of each head rotated, linear scaling (the older spelling), grouped key/value heads, gelu, eps 1e-3",
        dict(
            num_attention_heads=4,
            num_key_value_heads=2,
            hidden_size=32,
            hidden_act="gelu",
            layer_norm_eps=1e-3,
            rope_parameters=dict(rope_type="linear", rope_theta=500.0, factor=2.0, partial_rotary_factor=0.25),
        ),
        OLDER,
    ),
    "minimal-config": (
        "config.json with only what has no default, tied head, stored as bfloat16",
        dict(tie_word_embeddings=True, max_position_embeddings=2048),
        dict(minimal=True, keep=["tie_word_embeddings"], dtype="bfloat16"),
    ),
}

# name: (config, model, what all cases have, cases, offset of the seeds)
FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM, BASE, LLAMA, 0),
    "mistral": (MistralConfig, MistralForCausalLM, BASE, MISTRAL, 100),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, BASE, QWEN2, 200),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, BASE, QWEN3, 500),
    "olmo2": (Olmo2Config, Olmo2ForCausalLM, BASE, OLMO2, 600),
    "opt": (OPTConfig, OPTForCausalLM, OPT_BASE, OPT, 300),
    "phi": (PhiConfig, PhiForCausalLM, PHI_BASE, PHI, 400),
}
