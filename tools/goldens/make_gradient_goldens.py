#!/usr/bin/env python3
"""Writes gradient.safetensors beside each golden.safetensors of the models in tests/golden: what torch says of the gradient.

It holds, in F32, `loss` (1), the mean cross-entropy of the next token over the golden's tokens but the last, and for each
parameter its gradient under the parameter's name: a vector as it is, a matrix G (rows, columns) as the two products G·c and
cᵀ·G one behind the other (rows + columns), cᵢ = cos(i²), which takes a tenth of the room and misses no tensor. The model is
in f64 with eager attention; transformers computes softmaxes, rotary tables and RMS norms in f32 all the same. The file's
metadata has the versions.

usage: make_gradient_goldens.py [GOLDEN_DIR]        (default: tests/golden of this checkout)
Run it after make_goldens.py and check_modeling.py --golden, which remove the files of before.
Needs numpy, torch, transformers, safetensors.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import safetensors
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parent.parent.parent


def load(directory):
    """The directory in f64, from a copy that has share/pare/hf beside it where it needs that."""
    sliced = json.loads((directory / "config.json").read_text())["model_type"] == "pare"
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(directory, copy, dirs_exist_ok=True)
        for file in (ROOT / "share/pare/hf").glob("*.py") if sliced else []:
            shutil.copy(file, copy)
        options = dict(trust_remote_code=True) if sliced else dict(attn_implementation="eager")
        model, info = AutoModelForCausalLM.from_pretrained(
            copy, dtype=torch.float64, output_loading_info=True, **options
        )
    wrong = {key: value for key, value in info.items() if value}
    if wrong:
        raise SystemExit(f"{directory}: tensors do not fit the model: {wrong}")
    # torch leaves out the gradient of a padding token, which is a token like others here.
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None
    return model.eval()


def products(gradient):
    if gradient.dim() == 1:
        return gradient
    rows, columns = (torch.cos(torch.arange(n, dtype=torch.float64) ** 2) for n in gradient.shape)
    return torch.cat((gradient @ columns, rows @ gradient))


def write_gradient(directory):
    model = load(directory)
    tokens = load_file(directory / "golden.safetensors")["tokens"].long()
    logits = model(tokens[None]).logits[0].double()
    loss = torch.nn.functional.cross_entropy(logits[:-1], tokens[1:])
    loss.backward()
    tensors = {name: products(p.grad).float().contiguous() for name, p in model.named_parameters()}
    file = directory / "gradient.safetensors"
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, safetensors {safetensors.__version__}"
    save_file(tensors | {"loss": loss.detach().float()[None]}, file, metadata={"versions": versions})
    file.chmod(0o644)
    norms = [p.grad.norm().item() for p in model.parameters()]
    print(
        f"{directory.parent.name}/{directory.name}: loss {loss.item():.4f}, {len(tensors)} tensors, "
        f"norms of gradients {min(norms):.1e} to {max(norms):.1e}"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("golden", type=Path, nargs="?", default=ROOT / "tests/golden")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for file in sorted(args.golden.glob("*/*/golden.safetensors")):
        write_gradient(file.parent)


if __name__ == "__main__":
    main()
