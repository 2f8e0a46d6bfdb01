"""Decoding: hkfr-lm against llama.cpp (batch 1) and transformers (batch 1 and 16), taking turns.

    python benchmarks/lm/decode.py MODEL.gguf [ROUNDS] > benchmarks/runs/decode.json

Each system decodes 96 tokens a request after a prefix of 256, on two threads, in a process of its own.
A ratio is ours by the peer's of one round.
"""

import pathlib
import sys

import turns

gguf = pathlib.Path(sys.argv[1]).resolve()
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
ours = turns.example("decode_speed")
peer = turns.peer("decode_peer")
SYSTEMS = {
    "hkfr 4 bits, batch 1": [ours, gguf, 4, 1],
    "llama.cpp Q4_1, batch 1": [*peer, gguf, "llama.cpp", 1],
    "hkfr 8 bits, batch 1": [ours, gguf, 8, 1],
    "transformers f32, batch 1": [*peer, gguf, "transformers", 1],
    "hkfr 4 bits, batch 16": [ours, gguf, 4, 16],
    "transformers f32, batch 16": [*peer, gguf, "transformers", 16],
}
PAIRS = [
    ("hkfr 4 bits, batch 1", "llama.cpp Q4_1, batch 1"),
    ("hkfr 8 bits, batch 1", "llama.cpp Q4_1, batch 1"),
    ("hkfr 4 bits, batch 16", "transformers f32, batch 16"),
]
results = turns.take_turns(SYSTEMS, rounds)
head = turns.header(
    "decoded tokens a second, two threads",
    f"decode.py MODEL.gguf {rounds}",
    ["torch", "transformers", "llama-cpp-python"],
)
result = {
    **head,
    "model": gguf.name,
    "tokens_per_second": turns.spreads(results, "tokens_per_second"),
    "ratio": turns.ratios(results, PAIRS, "tokens_per_second"),
    "busy_with_others": turns.others(results),
}
turns.finish(result, True)
