#!/usr/bin/env python3
"""Writes tests/golden/{llama,mistral,qwen2,qwen3,olmo2,opt,phi}: tiny random models with the logits that Hugging Face transformers computes.

Each folder of a family's folder holds config.json, the weights and golden.safetensors with two F32 tensors: `tokens`
(length) and `logits` (length, vocabulary), both of one forward pass in f32 with eager attention. What a case is about
stands in the README.md beside the folders, with the seed and the versions of the libraries.

usage: make_goldens.py [--only FAMILY] [OUT_DIR]        (default: tests/golden of this checkout)
Removes the folders that it writes: run make_gradient_goldens.py afterwards.
Needs torch, transformers, safetensors.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import safetensors
import torch
import transformers
from safetensors.torch import save_file
from transformers import MistralForCausalLM, OPTForCausalLM, PhiForCausalLM

from golden_cases import FAMILIES, VOCAB

SEED = 20240229
LENGTH = 40

# What a published config.json holds; transformers writes some more.
KEYS = {
    "_remove_final_layer_norm",
    "activation_function",
    "architectures",
    "attention_bias",
    "attention_dropout",
    "bos_token_id",
    "do_layer_norm_before",
    "dtype",
    "enable_bias",
    "eos_token_id",
    "ffn_dim",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "layer_norm_elementwise_affine",
    "layer_norm_eps",
    "max_position_embeddings",
    "max_window_layers",
    "mlp_bias",
    "model_type",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "pad_token_id",
    "partial_rotary_factor",
    "pretraining_tp",
    "qk_layernorm",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "torch_dtype",
    "use_cache",
    "use_sliding_window",
    "vocab_size",
    "word_embed_proj_dim",
}


def randomise(model, generator):
    """Weights large enough that attention is not uniform and every tensor moves the logits by far more than rounding."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("norm.weight"):  # also layer_norm and layernorm
                parameter.copy_(1 + 0.4 * noise)
            elif name.endswith(".bias"):
                parameter.copy_(0.3 * noise)
            elif "embed_" in name:
                parameter.copy_(0.7 * noise)
            else:
                parameter.copy_(1.3 * noise / parameter.shape[1] ** 0.5)


def config_json(config, storage):
    """The config as published models spell it."""
    data = config.to_dict()
    data["architectures"] = [storage["class"].__name__]
    data["dtype"] = storage.get("dtype", "float32")
    if storage.get("rope_spelling") == "older":
        data["torch_dtype"] = data.pop("dtype")
        rope = dict(data.pop("rope_parameters"))
        if "partial_rotary_factor" in rope:
            data["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
        data["rope_theta"] = rope.pop("rope_theta")
        rope[storage["rope_type_key"]] = rope.pop("rope_type")
        data["rope_scaling"] = rope
    if storage.get("minimal"):
        for key in (
            "head_dim",
            "num_key_value_heads",
            "rope_parameters",
            "attention_bias",
            "mlp_bias",
            "dtype",
            "tie_word_embeddings",
            "attention_dropout",
            "pretraining_tp",
            "use_cache",
            "initializer_range",
            "hidden_act",
            "max_position_embeddings" if storage["class"] in (MistralForCausalLM, PhiForCausalLM) else "",
            "sliding_window",
            "activation_function",
            "do_layer_norm_before",
            "enable_bias",
            "layer_norm_elementwise_affine",
            "layer_norm_eps",
            "partial_rotary_factor",
            "qk_layernorm",
            "word_embed_proj_dim" if storage["class"] is not OPTForCausalLM else "",
            "_remove_final_layer_norm",
        ):
            if key not in storage.get("keep", []):
                data.pop(key, None)
    kept = storage.get("keep_null", [])
    return {
        key: value for key, value in sorted(data.items()) if key in KEYS and (value is not None or key in kept)
    }


def save_weights(state, directory, shards):
    if shards == 1:
        save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(state)
    # Interleaved, so that every layer lies in both files.
    parts = [names[i::shards] for i in range(shards)]
    index = {
        "metadata": {"total_size": sum(t.numel() * t.element_size() for t in state.values())},
        "weight_map": {},
    }
    for i, part in enumerate(parts):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        save_file({name: state[name] for name in part}, directory / file, metadata={"format": "pt"})
        index["weight_map"].update({name: file for name in part})
    (directory / "model.safetensors.index.json").write_text(
        json.dumps(index, indent=1, sort_keys=True) + "\n"
    )


def make_case(name, family, changes, storage, directory, generator):
    config_class, model_class, base = family
    storage = dict(storage, **{"class": model_class})
    config = config_class(**{**base, **changes})
    config._attn_implementation = "eager"
    model = model_class(config).eval()
    randomise(model, generator)
    dtype = getattr(torch, storage.get("dtype", "float32"))
    state = {key: value.detach().to(dtype).contiguous() for key, value in model.state_dict().items()}
    if config.tie_word_embeddings:
        del state["lm_head.weight"]
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config_json(config, storage), indent=1) + "\n")
    prefix = storage.get("prefix", "")
    stored = {key.removeprefix(prefix): value for key, value in state.items()}
    save_weights(stored, directory, storage.get("shards", 1))

    # Reloaded from what was written, so that the golden speaks of the files and not of the objects above.
    reloaded, info = model_class.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    reloaded.eval()
    for key, value in reloaded.state_dict().items():
        tied = next(name for name in state if name.endswith("embed_tokens.weight"))
        expected = state.get(key, state[tied] if key == "lm_head.weight" else None)
        assert torch.equal(value, expected.float()), key
    tokens = torch.randint(0, VOCAB, (1, LENGTH), generator=generator)
    with torch.no_grad():
        logits = reloaded(tokens).logits[0].float()
        if dtype == torch.float32:  # config.json was understood: rope above all
            assert torch.allclose(logits, model(tokens).logits[0], atol=1e-4), name
        exact = reloaded.double()(tokens).logits[0]
    assert torch.isfinite(logits).all()
    save_file({"tokens": tokens[0].float(), "logits": logits.contiguous()}, directory / "golden.safetensors")
    for file in directory.iterdir():
        file.chmod(0o644)
    error = (logits.double() - exact).abs().max().item()
    return error, logits.std().item()


def make_family(name, out):
    config_class, model_class, base, cases, offset = FAMILIES[name]
    rows = []
    for i, (case, (about, changes, storage)) in enumerate(cases.items()):
        # A generator a case: adding a case leaves the others' bytes alone.
        generator = torch.Generator().manual_seed(SEED + offset + i)
        family = (config_class, model_class, base)
        error, spread = make_case(case, family, changes, storage, out / case, generator)
        rows.append(f"| {case} | {about} | {spread:.2f} | {error:.1e} |")
        print(name, rows[-1])
    versions = (
        f"torch {torch.__version__}, transformers {transformers.__version__}, "
        f"safetensors {safetensors.__version__}, numpy {np.__version__}"
    )
    title = {
        "llama": "LLaMA",
        "mistral": "Mistral",
        "qwen2": "Qwen2",
        "qwen3": "Qwen3",
        "olmo2": "OLMo-2",
        "opt": "OPT",
        "phi": "Phi",
    }[name]
    seed = SEED + offset
    (out / "README.md").write_text(
        f"# Tiny random {title} models and their logits\n\n"
        f"Written by `tools/goldens/make_goldens.py` (seed {seed} + index of the case; {versions}).\n"
        "`golden.safetensors`: `tokens` (40) and `logits` (40, 97), both F32; one forward pass in f32 of the stored weights.\n"
        "Spread: standard deviation of the logits. Rounding: largest difference of the stored logits from a f64 pass.\n"
        "`gradient.safetensors`: written and described by `tools/goldens/make_gradient_goldens.py`.\n\n"
        "| case | covers | spread | rounding |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def main():
    root = Path(__file__).resolve().parent.parent.parent
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, nargs="?", default=root / "tests/golden")
    parser.add_argument("--only", choices=sorted(FAMILIES), help="just this family")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    for name in FAMILIES:
        if args.only in (None, name):
            make_family(name, args.out / name)


if __name__ == "__main__":
    main()
