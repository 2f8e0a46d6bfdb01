"""Decoding: hkfr-lm against llama.cpp (batch 1) and transformers (batch 1 and 16), taking turns.

    python benchmarks/lm/decode.py MODEL.gguf [ROUNDS] > benchmarks/runs/decode.json

Each system decodes 96 tokens a request after a prefix of 256, on two threads, in a process of its own.
A ratio is ours by the peer's of one round.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HERE = pathlib.Path(__file__).parent
gguf = sys.argv[1]
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
# Set for one kind of machine, these slow the peers down on another.
env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}


def ours(bits, batch):
    command = ["cargo", "run", "-q", "--release", "-p", "hkfr-lm", "--example", "decode_speed", "--"]
    return [*command, gguf, bits, str(batch)]


def peer(name, batch):
    return [sys.executable, str(HERE / "decode_peer.py"), gguf, name, str(batch)]


SYSTEMS = {
    "hkfr 4 bits, batch 1": ours("4", 1),
    "llama.cpp Q4_1, batch 1": peer("llama.cpp", 1),
    "hkfr 8 bits, batch 1": ours("8", 1),
    "transformers f32, batch 1": peer("transformers", 1),
    "hkfr 4 bits, batch 16": ours("4", 16),
    "transformers f32, batch 16": peer("transformers", 16),
}
PAIRS = [
    ("hkfr 4 bits, batch 1", "llama.cpp Q4_1, batch 1"),
    ("hkfr 8 bits, batch 1", "llama.cpp Q4_1, batch 1"),
    ("hkfr 4 bits, batch 16", "transformers f32, batch 16"),
]
speeds = {name: [] for name in SYSTEMS}
for i in range(rounds):
    order = list(SYSTEMS) if i % 2 == 0 else list(SYSTEMS)[::-1]
    for name in order:
        out = subprocess.run(SYSTEMS[name], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE)
        speeds[name].append(float(out.stdout.split()[-1]))
        print(name, speeds[name][-1], file=sys.stderr)


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


print(
    json.dumps(
        {
            "what": "decoded tokens a second, two threads",
            "command": f"python benchmarks/lm/decode.py MODEL.gguf {rounds}",
            "model": "SmolLM2-135M-Instruct, GGUF Q4_1",
            "machine": "AMD EPYC, 2 cores, AVX-512 with VNNI",
            "tokens_per_second": {name: spread(v) for name, v in speeds.items()},
            "ratio": {
                f"{a} / {b}": spread([x / y for x, y in zip(speeds[a], speeds[b])]) for a, b in PAIRS
            },
        },
        indent=1,
    )
)
