"""The ways in which pare packs the matrices of a model, written with numpy alone: docs/file_format.md."""

import re

import numpy as np

# Pattern, and what the values are: floats, int8 with a scale a row, or int4 with a scale for so many columns (None: a row)
# and perhaps zero points; or the name of a block encoding.
STORAGES = {
    "packed 2:4": ("2:4", "float"),
    "packed 1:2": ("1:2", "float"),
    "packed int8": ("dense", "int8"),
    "packed int8 2:4": ("2:4", "int8"),
    "packed int4": ("dense", "int4", None, False),
    "packed int4 2:4": ("2:4", "int4", None, True),
    "packed int4-g32": ("dense", "int4", 32, True),
    "packed int4-g32 2:4": ("2:4", "int4", 32, False),
    "packed q8_0": ("dense", "q8_0"),
    "packed q4n": ("dense", "q4n"),
    "packed q3n": ("dense", "q3n"),
    "sparse-24-bitmask": ("2:4", "float"),
}
_BLOCKS = ("q8_0", "q4n", "q3n")
_PACKED = re.compile(r".*_proj\.weight")
_IN_BLOCKS = re.compile(r".*_proj\.weight|model\.embed_tokens\.weight|lm_head\.weight")
_Q4N_LEVELS = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
_Q3N_LEVELS = (-63, -40, -23, -10, 1, 13, 28, 47)


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


def _int4(weight, group, zero_points):
    """Codes of 0 to 15 (rows, columns), scales and zero points (rows, groups), and the values that they mean."""
    groups = weight.reshape(weight.shape[0], -1, group or weight.shape[1])
    low, high = np.minimum(groups.min(2), 0), np.maximum(groups.max(2), 0)
    step = (high - low) / 15 if zero_points else np.maximum(high, -low) / 7
    scale = np.maximum(step, 1e-30).astype(np.float32)
    zero = np.clip(np.rint(-low / scale), 0, 15) if zero_points else np.full(scale.shape, 8.0)
    codes = np.clip(np.rint(groups / scale[..., None]) + zero[..., None], 0, 15)
    values = ((codes - zero[..., None]).astype(np.float32) * scale[..., None]).reshape(weight.shape)
    return codes.astype(np.uint8).reshape(weight.shape), scale, zero.astype(np.uint8), values


def _half(value):
    return np.frombuffer(np.float16(value).tobytes(), np.uint8)


def _row_in_blocks(encoding, columns, rng):
    """Random bytes of a row and the values that they mean, one by one."""
    blocks = columns // 32
    values = np.zeros(columns, np.float32)
    if encoding == "q8_0":
        codes = rng.integers(-128, 128, (blocks, 32), dtype=np.int8)
        factors = rng.uniform(-0.01, 0.01, blocks).astype(np.float16)
        rows = [np.concatenate((_half(f), c.view(np.uint8))) for f, c in zip(factors, codes)]
        return np.concatenate(rows), (codes * factors[:, None].astype(np.float32)).reshape(-1)
    factor = np.float16(rng.uniform(1e-4, 4e-4))
    scales = rng.integers(0, 256, (6 * blocks + 7) // 8, dtype=np.uint8)
    stream = int.from_bytes(scales.tobytes(), "little")
    codes = rng.integers(0, 256, (blocks, 16 if encoding == "q4n" else 12), dtype=np.uint8)
    for b, code in enumerate(codes.tolist()):
        scale = np.float32(factor) * np.float32((stream >> 6 * b & 63) - 32)
        for i in range(32):
            if encoding == "q4n":
                level = _Q4N_LEVELS[code[i % 16] >> 4 * (i // 16) & 15]
            else:
                level = _Q3N_LEVELS[code[i % 8] >> 2 * (i // 8) & 3 | (code[8 + i // 8] >> i % 8 & 1) << 2]
            values[32 * b + i] = scale * np.float32(level)
    return np.concatenate((_half(factor), scales, codes.reshape(-1))), values


def _in_blocks(encoding, shape, rng):
    """A random matrix: its bytes (rows, bytes of a row) and values."""
    rows = [_row_in_blocks(encoding, shape[1], rng) for _ in range(shape[0])]
    return np.stack([data for data, _ in rows]), np.stack([values for _, values in rows])


def _stored_in_blocks(encoding, config, tensors):
    dense, packed, names, rng = {}, {}, {}, np.random.default_rng(1)
    for name, weight in tensors.items():
        if not _IN_BLOCKS.fullmatch(name) or weight.shape[1] % 32:
            dense[name] = packed[name] = weight
            continue
        packed[name + ".values"], dense[name] = _in_blocks(encoding, weight.shape, rng)
        names[name] = encoding
    if not names:
        return dense, None, None
    quantization = {"quant_method": "pare", "format": "packed", "version": 2, "tensors": names, "int8": []}
    return dense, packed, {**config, "quantization_config": quantization}


def _format_text(pattern, group, zero_points):
    text = "int4" if pattern == "dense" else f"{pattern}-int4"
    return text + (f"-g{group}" if group else "") + ("-z" if zero_points else "")


def stored(storage, config, tensors):
    """(dense tensors, packed tensors, config of the packed ones); the last two are None where no linear fits."""
    pattern, encoding, *grid = STORAGES[storage]
    if encoding in _BLOCKS:
        return _stored_in_blocks(encoding, config, tensors)
    int8, int4 = encoding == "int8", encoding == "int4"
    group, zero_points = grid if int4 else (None, False)
    bitmask = storage == "sparse-24-bitmask"
    dense, packed, patterns, plain = {}, {}, {}, []
    for name, weight in tensors.items():
        n, m = (1, 1) if pattern == "dense" else map(int, pattern.split(":"))
        columns = weight.shape[-1]
        odd = int4 and (columns // m * n % 2 or columns % (group or 1))
        if not _PACKED.fullmatch(name) or columns % m or odd:
            dense[name] = packed[name] = weight
            if weight.ndim == 2:
                plain.append(name.removesuffix(".weight"))
            continue
        rows = weight.shape[0]
        kept = _kept(weight, n, m)
        if int4:
            values, scale, zero, meant = _int4(weight * kept, group, zero_points)
        else:
            values, scale = _rounded(weight * kept) if int8 else (weight, None)
            meant = values * scale[:, None] if int8 else values
        dense[name] = np.where(kept, meant, 0).astype(np.float32)
        mask = np.packbits(kept, axis=1, bitorder="little")
        values = values[kept].reshape(rows, columns // m * n)
        if int4:
            values = values[:, ::2] | values[:, 1::2] << 4
        patterns[name] = _format_text(pattern, group, zero_points) if int4 else pattern
        if bitmask:
            linear = name.removesuffix(".weight")
            packed[linear + ".compressed"], packed[linear + ".bitmask"] = values, mask
            packed[linear + ".shape"] = np.array([[rows], [columns]])
            continue
        packed[name + ".values"] = values
        if pattern != "dense":
            packed[name + ".mask"] = mask
        if int8 or int4:
            packed[name + ".scale"] = scale if int8 or group else scale[:, 0]
        if zero_points:
            packed[name + ".zero_point"] = zero if group else zero[:, 0]
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
        quantization = {"quant_method": "pare", "format": "packed", "version": 2 if int4 else 1, "tensors": patterns}
        quantization["int8"] = sorted(patterns) if int8 else []
    return dense, packed, {**config, "quantization_config": quantization}
