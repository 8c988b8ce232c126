#!/usr/bin/env python3
"""Compares pare's pack-quantized folders with the compressed-tensors package, bit for bit and both ways.

  - pare writes the model as pack-quantized; what the package decompresses must be what pare reads, and the logits of stock
    transformers those of `pare logits`;
  - the package quantises the model (groups, and one scale a row) and saves it; what pare reads must be what the package
    decompresses. Kinds that pare does not read must be refused.
Exit 1 when anything differs.

usage: check_pack_quantized.py PARE MODEL OUT [GROUP]
  PARE   the binary
  MODEL  a Hugging Face folder with dense weights in bf16 or f16
  OUT    a new folder for what is written
  GROUP  columns that share a scale: 32 (default), 64 or 128
Needs torch, safetensors, transformers and compressed-tensors.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.compressors.base import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig, QuantizationScheme, apply_quantization_config
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

TOKENS = list(range(1, 25))
# Of logits in f32, where only the order of sums differs.
TOLERANCE = 1e-3


def run(pare, *arguments, fails=""):
    result = subprocess.run([pare, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if bool(fails) != (result.returncode != 0) or fails not in result.stderr:
        sys.exit(f"pare {' '.join(map(str, arguments))}: exit code {result.returncode}\n{result.stderr}")
    return result.stdout


def tensors_of(folder):
    return {name: t for file in sorted(folder.glob("*.safetensors")) for name, t in load_file(file).items()}


def decompressed(folder):
    """Weights of a folder in f32, as the package understands them."""
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    scheme = QuantizationScheme(**next(iter(config["config_groups"].values())))
    compressor = BaseCompressor.get_value_from_registry("pack-quantized")
    weights = {}
    tensors = tensors_of(folder)
    for name, tensor in tensors.items():
        if name.endswith(".weight_packed"):
            prefix = name.removesuffix("weight_packed")
            state = {part: tensors[prefix + part] for part in ("weight_packed", "weight_scale", "weight_shape")}
            state["weight_scale"] = state["weight_scale"].float()
            weights[prefix + "weight"] = compressor.decompress(state, scheme)["weight"]
        elif not name.endswith((".weight_scale", ".weight_shape")):
            weights[name] = tensor.float()
    return weights


def require_equal(what, expected, got):
    if set(expected) != set(got):
        sys.exit(f"{what}: other tensors: {sorted(set(expected) ^ set(got))[:6]}")
    for name, tensor in expected.items():
        if not torch.equal(tensor.float() + 0.0, got[name].float() + 0.0):
            sys.exit(f"{what}: {name} differs")
    print(f"{what}: {len(expected)} tensors, equal")


def check_logits(pare, folder):
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    if wrong := {key: value for key, value in info.items() if value}:
        sys.exit(f"{folder.name}: tensors do not fit the model: {wrong}")
    with torch.no_grad():
        theirs = model(torch.tensor([TOKENS])).logits[0].numpy()
    text = run(pare, "logits", folder, "--tokens", ",".join(map(str, TOKENS)), "--dtype", "f32", "--json")
    ours = np.array(json.loads(text)["logits"], dtype=np.float32)
    relative = float(np.abs(theirs - ours).max() / ours.std())
    if not relative <= TOLERANCE:
        sys.exit(f"{folder.name}: logits differ by {relative:.1e} of their spread")
    print(f"{folder.name}: logits of transformers differ by {relative:.1e} of their spread")


def quantise(model, folder, **weights):
    """The model as the package itself writes it, with the largest magnitude of a group as the largest code."""
    args = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", **weights}
    model = AutoModelForCausalLM.from_pretrained(model, dtype="auto")
    config = QuantizationConfig(
        config_groups={"group_0": {"targets": ["Linear"], "weights": args}}, ignore=["lm_head"], format="pack-quantized"
    )
    apply_quantization_config(model, config)
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            rows = module.weight.data.reshape(*module.weight_scale.shape, -1).float()
            largest = 7 if args["num_bits"] == 4 else 127
            module.weight_scale.data.copy_(rows.abs().amax(-1) / largest)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(folder)
    compressor.update_config(folder)


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    pare, model, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    group = int(sys.argv[4]) if len(sys.argv) == 5 else 32
    out.mkdir()
    quantise(model, out / "package", group_size=group)
    quantise(model, out / "package-channel", strategy="channel")
    quantise(model, out / "package-8-bits", num_bits=8, group_size=group)
    quantise(model, out / "package-asymmetric", symmetric=False, group_size=group)
    run(pare, "convert", model, "-o", out / "pare", "--to", "pack-quantized", "--dtype", f"int4-g{group}")
    for name in ("pare", "package", "package-channel"):
        run(pare, "convert", out / name, "-o", out / f"{name}-dense", "--dtype", "f32")
        require_equal(f"{name}, read by pare", decompressed(out / name), tensors_of(out / f"{name}-dense"))
        check_logits(pare, out / name)
    run(pare, "inspect", out / "package-8-bits", fails='"num_bits" is 8')
    run(pare, "inspect", out / "package-asymmetric", fails='"symmetric" is false')


if __name__ == "__main__":
    main()
