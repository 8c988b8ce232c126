"""Every kind of output of pare: how it is made, and who should read it. check_export.py --all tries them."""

from typing import NamedTuple

SLICE = ["--target-params", "0.9"]
SPARSE = ["--method", "wanda"]
BOTH = "slice:0.1:uniform=true,sparsify:2:4:method=wanda"
STREAMS = "slice:0.1,sparsify:2:4:method=wanda"


class Case(NamedTuple):
    """`source` is the model given (empty) or the name of another case; `calibrated`: takes a calibration text."""

    name: str
    command: str
    options: list
    source: str = ""
    calibrated: bool = True
    gguf: bool = False


def converted(name, source, *options):
    return Case(name, "convert", list(options), source, calibrated=False)


def gguf(name, source, *options):
    return Case(name, "convert", list(options), source, calibrated=False, gguf=True)


CASES = [
    converted("convert", ""),
    Case("slice", "slice", SLICE),
    Case("slice --uniform", "slice", [*SLICE, "--uniform"]),
    Case("slice --rotation global", "slice", [*SLICE, "--rotation", "global"]),
    Case("slice --rotation global --untie", "slice", [*SLICE, "--rotation", "global", "--untie"]),
    Case("slice --rotation block", "slice", [*SLICE, "--rotation", "block"]),
    Case("sparsify", "sparsify", SPARSE),
    converted("sparsify --format packed", "sparsify", "--to", "packed"),
    converted("sparsify --format packed --dtype int8", "sparsify", "--to", "packed", "--dtype", "int8"),
    converted("sparsify --format sparse-24-bitmask", "sparsify", "--to", "sparse-24-bitmask"),
    Case("compress slice,sparsify --format packed", "compress", ["--recipe", STREAMS, "--format", "packed"]),
    Case("compress slice uniform,sparsify", "compress", ["--recipe", BOTH]),
    converted("the same, sparse-24-bitmask", "compress slice uniform,sparsify", "--to", "sparse-24-bitmask"),
    converted("convert --to packed --dtype q4n", "convert", "--to", "packed", "--dtype", "q4n"),
    converted("convert --to packed --dtype q3n", "convert", "--to", "packed", "--dtype", "q3n"),
    converted("convert --to packed --dtype q4_k", "convert", "--to", "packed", "--dtype", "q4_k"),
    converted("convert --to pack-quantized", "convert", "--to", "pack-quantized", "--dtype", "int4-g32"),
    gguf("convert f32.gguf", "convert", "--dtype", "f32"),
    gguf("convert f16.gguf", "convert", "--dtype", "f16"),
    gguf("convert bf16.gguf", "convert", "--dtype", "bf16"),
    gguf("convert q8_0.gguf", "convert", "--dtype", "q8_0"),
    gguf("convert q4_0.gguf", "convert", "--dtype", "q4_0"),
    gguf("slice as f32.gguf", "slice", "--dtype", "f32"),
    gguf("slice as bf16.gguf", "slice", "--dtype", "bf16"),
    gguf("slice --uniform as bf16.gguf", "slice --uniform", "--dtype", "bf16"),
    gguf("slice --rotation global --untie as bf16.gguf", "slice --rotation global --untie", "--dtype", "bf16"),
    gguf("slice --rotation block as bf16.gguf", "slice --rotation block", "--dtype", "bf16"),
    gguf("sparsify packed as q8_0.gguf", "sparsify --format packed", "--dtype", "q8_0"),
]


def file_name(case):
    plain = case.name.replace(" ", "-").replace(",", "-").replace("--", "-")
    return plain if not case.gguf or plain.endswith(".gguf") else plain + ".gguf"
