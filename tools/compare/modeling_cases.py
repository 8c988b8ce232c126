"""The sliced models that check_modeling.py tries: what each covers, its config and what stands under `pare` in it."""

# Tokens: more than the prompts that check_modeling.py continues have, fewer than it makes of them.
LONGROPE_ORIGINAL = 30


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


def biases(*linears):
    return {key: True for key in linears}


UNGATED_BIASES = biases("q", "k", "v", "o", "up", "down")
# What all cases of a family have under `pare`.
OPT = dict(family="opt", gated=False, rotary_dim=0, learned_positions=True, position_offset=2)
PHI = dict(family="phi", gated=False, parallel=True, biases=UNGATED_BIASES, head_bias=True)

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
            biases=biases("o", "down"),
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
            biases=biases("q", "k", "v", "o", "gate", "up", "down"),
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
            OPT,
            norm="rms",
            norm_width=20,
            embedding_width=16,
            head_transform=True,
            head_bias=True,
            biases=UNGATED_BIASES,
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
            OPT,
            norm="layer",
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
            PHI,
            norm="rms",
            rotary_dim=4,
            norm_width=16,
            embedding_width=12,
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
            PHI,
            norm="layer",
            rotary_dim=2,
            norm_width=16,
            embedding_width=16,
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
            OPT,
            norm="layer",
            norm_place="sum",
            final_norm=False,
            norm_width=20,
            embedding_width=12,
            embedding_transform=True,
            head_transform=True,
            biases=UNGATED_BIASES,
            layers=[layer(20, 20, 20, 5, 24), layer(20, 20, 20, 3, 17)],
        ),
    ),
    "rope-yarn": (
        "yarn with its own turns and attention factor, streams cut",
        dict(
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=16,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            rope_parameters=dict(
                rope_type="yarn",
                rope_theta=10000.0,
                factor=4.0,
                attention_factor=1.2,
                beta_fast=8.0,
                beta_slow=0.5,
                original_max_position_embeddings=64,
            ),
        ),
        dict(norm_width=16, embedding_width=16, layers=[layer(16, 14, 15, 12, 24), layer(15, 13, 12, 16, 20)]),
    ),
    "rope-longrope": (
        "longrope of part of each head, in parallel layers, on more tokens than the original context and on fewer",
        dict(
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=12,
            hidden_act="gelu_new",
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
            rope_parameters=dict(
                rope_type="longrope",
                rope_theta=10000.0,
                short_factor=[1.0, 1.1, 1.3, 1.6],
                long_factor=[1.2, 2.0, 4.0, 9.0],
                factor=8.0,
                attention_factor=1.25,
                original_max_position_embeddings=LONGROPE_ORIGINAL,
            ),
        ),
        dict(
            PHI,
            norm="rms",
            rotary_dim=8,
            norm_width=16,
            embedding_width=12,
            layers=[parallel_layer(12, 13, 12, 22), parallel_layer(13, 11, 9, 18)],
        ),
    ),
    "rope-dynamic": (
        "dynamic within its positions, where it changes nothing",
        dict(
            num_attention_heads=4,
            num_key_value_heads=4,
            head_dim=6,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            max_position_embeddings=40,
            rope_parameters=dict(rope_type="dynamic", rope_theta=1000.0, factor=3.0),
        ),
        dict(norm_width=24, embedding_width=16, head_transform=True, layers=[layer(16, 16, 15, 5, 26)]),
    ),
}


def _block_case(tied):
    return (
        dict(
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            rms_norm_eps=1e-5,
            tie_word_embeddings=tied,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        dict(norm_width=32, embedding_width=32, layers=[layer(32, 32, 32, 8, 64), layer(32, 32, 32, 8, 50)]),
    )


# Models whose embedding and head are packed too, in blocks of 32; one linear does not divide into them.
BLOCK_CASES = {"tied blocks": _block_case(True), "untied blocks": _block_case(False)}
