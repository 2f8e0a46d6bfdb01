"""What a token costs as texts get longer: prefill and LoRA step of hkfr-lm at 128 to 2,048 tokens.

    python benchmarks/lm/curve.py MODEL.gguf ROWS.json [ROUNDS] [SECONDS] > benchmarks/runs/curve.json

Two threads, 32 bits and bfloat16, each with one prompt or example at a time, all lengths in turns; memory is of both together.
A ratio is tokens a second at 2,048 by those at 256 of one round: 1 if a token's cost did not grow.
"""

import pathlib
import sys

import turns

LENGTHS = [128, 256, 512, 1024, 2048]
PRECISIONS = ["f32", "bf16"]
gguf, rows = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
seconds = sys.argv[4] if len(sys.argv) > 4 else "10"
cost = turns.example("cost")
systems = {
    f"{how} {p}, {n} tokens": [cost, gguf, rows, how, n, seconds, p]
    for how in ("prefill", "tune")
    for p in PRECISIONS
    for n in LENGTHS
}
results = turns.take_turns(systems, rounds)
speeds = turns.spreads(results, "tokens_per_second")
peaks = turns.spreads(results, "peak_mb")
result = {
    **turns.header("tokens a second by length, two threads", f"curve.py MODEL.gguf ROWS.json {rounds} {seconds}"),
    "model": gguf.name,
    "curve": [
        {"what": how, "precision": p, "tokens": n, "tokens_per_second": speeds[name], "peak_mb": peaks[name]}
        for how in ("prefill", "tune")
        for p in PRECISIONS
        for n in LENGTHS
        for name in [f"{how} {p}, {n} tokens"]
    ],
    "ratio": turns.ratios(
        results,
        [(f"{how} {p}, 2048 tokens", f"{how} {p}, 256 tokens") for how in ("prefill", "tune") for p in PRECISIONS],
        "tokens_per_second",
    ),
    "busy_with_others": turns.others(results),
}
turns.finish(result, True)
