#!/usr/bin/env python3
"""Writes tests/golden/encodings/blocks.gguf: blocks of every quantised type that pare reads, with the values and the
blocks that the Python package `gguf` makes of them.

  TYPE.blocks, TYPE.values   random blocks of the type (finite scales, subnormal ones among them), and as F32 what
                             gguf.quants.dequantize says they hold
  source                     F32 rows, one a difficulty: zeros, ties, outliers, scales that vanish in f16, ...
  source.TYPE                what gguf.quants.quantize makes of them, for the types that pare writes

The file's metadata holds the seed and the versions. A smaller one, without values, goes to the seeds of the fuzzer.

usage: make_encoding_goldens.py [ROOT]      (default: this checkout)
Needs gguf, numpy.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter
from gguf.quants import dequantize, quantize

SEED = 20240517
READ = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
        "IQ4_XS", "MXFP4", "TQ1_0", "TQ2_0"]
WRITTEN = ["Q8_0", "Q4_0"]
# Where the f16 scales of a block lie, in bytes.
SCALES = {
    "Q8_0": [0],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "IQ4_NL": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_XS": [0],
    "MXFP4": [],
    "TQ1_0": [52],
    "TQ2_0": [64],
}


def random_blocks(name, rows, blocks, rng):
    """Bytes (rows, blocks · size) whose scales are finite: any other bytes are valid."""
    size = GGML_QUANT_SIZES[GGMLQuantizationType[name]][1]
    data = rng.integers(0, 256, (rows, blocks, size), dtype=np.uint8)
    for offset in SCALES[name]:
        scale = rng.integers(0, 1 << 16, (rows, blocks), dtype=np.uint16)
        scale &= np.uint16(0xFFFF) ^ np.where((scale & 0x7C00) == 0x7C00, 0x4000, 0).astype(np.uint16)
        scale[0, 0] = 0x8001  # the smallest subnormal, negative
        data[:, :, offset : offset + 2] = scale[..., None].view(np.uint8).reshape(rows, blocks, 2)
    if name == "MXFP4":  # the exponent of the scale comes first; the largest ones overflow
        data[:, :, 0] %= 250
        data[0, :2, 0] = [0, 1]  # subnormal scales
    return data.reshape(rows, -1)


def source_rows(rng):
    cols = 96
    ties = (rng.integers(-254, 255, cols) / 2).astype(np.float32)
    ties[::32] = 127  # a step of exactly 1
    eighths = (rng.integers(-32, 33, cols) / 4).astype(np.float32)
    eighths[::32] = -8
    signs = np.where(rng.integers(0, 2, cols) == 1, 1, -1).astype(np.float32)
    outlier = rng.standard_normal(cols).astype(np.float32) * 0.02
    outlier[[5, 40, 95]] = [30, -70, 3]
    rows = [
        rng.standard_normal(cols) * 0.02,
        np.zeros(cols),
        np.full(cols, -0.37),
        ties,
        eighths,
        signs * 1.5,
        outlier,
        rng.standard_normal(cols) * 1e-5,  # subnormal scales
        rng.standard_normal(cols) * 1e-9,  # scales that are 0 in f16
        rng.standard_normal(cols) * 1e4,
        np.where(np.arange(cols) % 32 == 7, 0.25, 0),
        rng.uniform(0, 1, cols),
    ]
    return np.stack(rows).astype(np.float32)


def write(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, "none")
    writer.add_string(
        "general.description",
        f"Written by tools/goldens/make_encoding_goldens.py: seed {SEED}, gguf {version('gguf')}, numpy {np.__version__}.",
    )
    for name, (data, qtype) in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(data), raw_dtype=qtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    path.chmod(0o644)


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent.parent
    rng = np.random.default_rng(SEED)
    golden, seeds = {}, {}
    for name in READ:
        qtype = GGMLQuantizationType[name]
        blocks = 2 if GGML_QUANT_SIZES[qtype][0] == 256 else 3
        data = random_blocks(name, 3, blocks, rng)
        values = dequantize(data, qtype)
        assert np.isfinite(values).all()
        golden[f"{name.lower()}.blocks"] = (data, qtype)
        golden[f"{name.lower()}.values"] = (values, GGMLQuantizationType.F32)
        seeds[name.lower()] = (data[:1], qtype)
    source = source_rows(rng)
    golden["source"] = (source, GGMLQuantizationType.F32)
    for name in WRITTEN:
        qtype = GGMLQuantizationType[name]
        golden[f"source.{name.lower()}"] = (quantize(source, qtype), qtype)
    write(root / "tests/golden/encodings/blocks.gguf", golden)
    write(root / "fuzz/seeds/gguf/blocks.gguf", seeds)


if __name__ == "__main__":
    main()
