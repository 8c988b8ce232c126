"""The ways in which pare packs the linears of a model, written with numpy alone: docs/file_format.md."""

import re

import numpy as np

# Pattern, and whether the values are int8.
STORAGES = {
    "packed 2:4": ("2:4", False),
    "packed 1:2": ("1:2", False),
    "packed int8": ("dense", True),
    "packed int8 2:4": ("2:4", True),
    "sparse-24-bitmask": ("2:4", False),
}
_PACKED = re.compile(r".*_proj\.weight")


def _kept(weight, n, m):
    """Which values stay: the n largest of every m of a row."""
    groups = np.abs(weight).reshape(weight.shape[0], -1, m)
    order = np.argsort(-groups, axis=2, kind="stable")
    kept = np.zeros(groups.shape, bool)
    np.put_along_axis(kept, order[:, :, :n], True, axis=2)
    return kept.reshape(weight.shape)


def _rounded(weight):
    scale = np.maximum(np.abs(weight).max(1) / 127, 1e-30).astype(np.float32)
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


def stored(storage, config, tensors):
    """(dense tensors, packed tensors, config of the packed ones); the last two are None where no linear fits."""
    pattern, int8 = STORAGES[storage]
    bitmask = storage == "sparse-24-bitmask"
    dense, packed, patterns, plain = {}, {}, {}, []
    for name, weight in tensors.items():
        n, m = (1, 1) if pattern == "dense" else map(int, pattern.split(":"))
        if not _PACKED.fullmatch(name) or weight.shape[1] % m:
            dense[name] = packed[name] = weight
            if weight.ndim == 2:
                plain.append(name.removesuffix(".weight"))
            continue
        rows, columns = weight.shape
        kept = _kept(weight, n, m)
        values, scale = _rounded(weight * kept) if int8 else (weight, None)
        dense[name] = np.where(kept, values * scale[:, None] if int8 else values, 0).astype(np.float32)
        mask = np.packbits(kept, axis=1, bitorder="little")
        values = values[kept].reshape(rows, columns // m * n)
        patterns[name] = pattern
        if bitmask:
            linear = name.removesuffix(".weight")
            packed[linear + ".compressed"], packed[linear + ".bitmask"] = values, mask
            packed[linear + ".shape"] = np.array([[rows], [columns]])
            continue
        packed[name + ".values"] = values
        if pattern != "dense":
            packed[name + ".mask"] = mask
        if int8:
            packed[name + ".scale"] = scale
    if not patterns:
        return dense, None, None
    if bitmask:
        quantization = {
            "quant_method": "compressed-tensors",
            "format": "dense",
            "config_groups": {},
            "sparsity_config": {
                "format": storage,
                "targets": ["Linear"],
                "ignore": [*plain, "lm_head"],
                "sparsity_structure": pattern,
            },
        }
    else:
        quantization = {"quant_method": "pare", "format": "packed", "version": 1, "tensors": patterns}
        quantization["int8"] = sorted(patterns) if int8 else []
    return dense, packed, {**config, "quantization_config": quantization}
