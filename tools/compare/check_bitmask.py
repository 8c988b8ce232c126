#!/usr/bin/env python3
"""Compares pare's sparse-24-bitmask folders with the compressed-tensors package, bit for bit and both ways.

A copy of the model is pruned to 2:4 by magnitude (linears of the layers). Then
  - pare writes it as sparse-24-bitmask; what the package decompresses must be the pruned weights, the tensors those
    that the package itself writes, and the logits of transformers those of the pruned model;
  - the package compresses it; what pare converts back to dense must be the pruned weights.
Exit 1 when anything differs.

usage: check_bitmask.py PARE MODEL OUT
  PARE   the binary
  MODEL  a Hugging Face folder with dense weights in one safetensors file
  OUT    a new folder for what is written
Needs torch, safetensors, compressed-tensors 0.9 to 0.14 (later ones dropped the format) and a transformers that
loads with it (4.5x).
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.compressors.sparse_compressors import Sparse24BitMaskCompressor
from compressed_tensors.config import Sparse24BitMaskConfig
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

FILE = "model.safetensors"


def is_linear(name):
    return name.endswith("_proj.weight")


def pruned(weight):
    groups = weight.reshape(-1, 4)
    keep = torch.zeros_like(groups, dtype=torch.bool)
    keep.scatter_(1, groups.float().abs().topk(2, dim=1).indices, True)
    return torch.where(keep, groups, torch.zeros_like(groups)).reshape(weight.shape)


def bits(tensor):
    return tensor.contiguous().view(torch.uint8)


def require_equal(what, expected, got):
    if set(expected) != set(got):
        sys.exit(f"{what}: other tensors: {sorted(set(expected) ^ set(got))[:6]}")
    for name, tensor in expected.items():
        if tensor.dtype != got[name].dtype or tensor.shape != got[name].shape:
            sys.exit(f"{what}: {name} is {got[name].dtype} {tuple(got[name].shape)}")
        if not torch.equal(bits(tensor), bits(got[name])):
            sys.exit(f"{what}: {name} differs")
    print(f"{what}: {len(expected)} tensors, equal")


def convert(pare, *arguments):
    subprocess.run([pare, "convert", *map(str, arguments)], check=True)


def logits(folder, tokens):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    with torch.no_grad():
        return model(tokens).logits.float()


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    pare, model, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    out.mkdir()
    dense = out / "dense"
    shutil.copytree(model, dense)
    weights = {n: pruned(w) if is_linear(n) else w for n, w in load_file(model / FILE).items()}
    save_file(weights, dense / FILE, {"format": "pt"})

    ours = out / "ours"
    convert(pare, dense, "-o", ours, "--to", "sparse-24-bitmask")
    compressor = Sparse24BitMaskCompressor(Sparse24BitMaskConfig())
    require_equal("what the package decompresses", weights, dict(compressor.decompress(str(ours))))
    targets = {n[: -len(".weight")] for n in weights if is_linear(n)}
    theirs = compressor.compress(weights, compression_targets=targets)
    # Which zeros of a poor group are kept is a free choice: compare the others.
    rich = {n for n in targets if (weights[n + ".weight"].reshape(-1, 4) != 0).sum(1).min() == 2}
    mine = load_file(ours / FILE)
    poor = {n for n in theirs if n.rpartition(".")[0] in targets - rich}
    print(f"linears with two non-zeros in every group: {len(rich)} of {len(targets)}")
    require_equal("tensors as the package writes them", {n: t for n, t in theirs.items() if n not in poor},
                  {n: t for n, t in mine.items() if n not in poor})

    tokens = torch.arange(1, 33).reshape(1, -1)
    difference = (logits(dense, tokens) - logits(ours, tokens)).abs().max().item()
    if difference != 0.0:
        sys.exit(f"logits of transformers differ by {difference}")
    print("logits of transformers: equal")

    package = out / "package"
    shutil.copytree(dense, package)
    save_file(theirs, package / FILE, {"format": "pt"})
    config = Sparse24BitMaskConfig(targets=["Linear"], ignore=["lm_head"], global_sparsity=0.5)
    ModelCompressor(sparsity_config=config).update_config(str(package))
    print(json.dumps(json.loads((package / "config.json").read_text())["quantization_config"]))
    for name in ("package", "ours"):
        convert(pare, out / name, "-o", out / f"{name}-dense")
        require_equal(f"{name}, converted back by pare", weights, load_file(out / f"{name}-dense" / FILE))


if __name__ == "__main__":
    main()
