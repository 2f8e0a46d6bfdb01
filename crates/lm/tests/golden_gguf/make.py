"""Writes golden.gguf and golden.json: blocks of every format and the floats the reference makes of them.

Needs gguf and numpy: python crates/lm/tests/golden_gguf/make.py
Weights are bits drawn at random, so that every bit of a block matters; scales are finite.
"""

import importlib.metadata
import json
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

HERE = pathlib.Path(__file__).resolve().parent
N_BLOCKS = 3
# Where a block holds its half-precision scales.
SCALES = {
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
    Type.F16: [],
    Type.BF16: [],
    Type.F32: [],
}


def blocks(kind, rng):
    size = gguf.GGML_QUANT_SIZES[kind][1]
    if not SCALES[kind]:
        values = rng.normal(size=32).astype(np.float32)
        return gguf.quants.quantize(values, kind).reshape(1, -1).view(np.uint8)
    data = rng.integers(0, 256, (N_BLOCKS, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scale = rng.normal(scale=0.1, size=(N_BLOCKS, 1)).astype(np.float16)
        data[:, at : at + 2] = scale.view(np.uint8)
    return data.reshape(1, -1)


def main():
    rng = np.random.default_rng(20240601)
    writer = gguf.GGUFWriter(HERE / "golden.gguf", "golden")
    writer.add_array("golden.numbers", [1, -2, 3])
    expected = {}
    for kind in SCALES:
        data = blocks(kind, rng)
        floats = gguf.quants.dequantize(data, kind).astype("<f4").reshape(-1)
        assert np.isfinite(floats).all()
        expected[kind.name] = floats.tobytes().hex()
        writer.add_tensor(kind.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    text = json.dumps({"gguf": importlib.metadata.version("gguf"), "floats": expected}, indent=1)
    (HERE / "golden.json").write_text(text + "\n")


main()
