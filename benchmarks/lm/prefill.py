"""Prefill: hkfr-lm against transformers, in 32 bits and in bfloat16, taking turns.

    python benchmarks/lm/prefill.py MODEL.gguf ROWS.json [ROUNDS] [SECONDS] > benchmarks/runs/prefill.json

Eight prompts of 128 tokens and one of 512, cut from the instruction rows (`tuning.py` says how to make
ROWS.json); logits of each prompt's last token alone. Two threads. Fails if a logit
of f32 differs by more than 1e-3.
"""

import json
import pathlib
import sys
import tempfile

import numpy as np

import turns

SHAPES = [(8, 128), (1, 512)]
PRECISIONS = ["f32", "bf16"]
gguf, rows = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
seconds = sys.argv[4] if len(sys.argv) > 4 else "5"
sides = {"hkfr": [turns.example("prefill")], "transformers": turns.peer("prefill_peer")}
stream = sum((r["ids"] for r in json.loads(rows.read_text())[:64]), [])
with tempfile.TemporaryDirectory() as scratch:
    systems, pairs, logits = {}, [], {}
    for n, length in SHAPES:
        prompts = pathlib.Path(scratch, f"{n}x{length}.json")
        prompts.write_text(json.dumps([stream[i * length : (i + 1) * length] for i in range(n)]))
        for precision in PRECISIONS:
            for side, command in sides.items():
                name = f"{side} {precision}, {n} x {length}"
                logits[name] = pathlib.Path(scratch, name)
                systems[name] = [*command, gguf, prompts, seconds, logits[name], precision]
            pairs.append(tuple(list(systems)[-2:]))
    results = turns.take_turns(systems, rounds)
    difference = {
        f"{a} - {b}": float(np.abs(np.fromfile(logits[a], "<f4") - np.fromfile(logits[b], "<f4")).max())
        for a, b in pairs
    }
head = turns.header(
    "prefilled tokens a second, two threads",
    f"prefill.py MODEL.gguf ROWS.json {rounds} {seconds}",
    ["torch", "transformers"],
)
result = {
    **head,
    "model": gguf.name,
    "tokens_per_second": turns.spreads(results, "tokens_per_second"),
    "ratio": turns.ratios(results, pairs, "tokens_per_second"),
    "peak_mb": turns.spreads(results, "peak_mb"),
    "largest_logit_difference": difference,
    "busy_with_others": turns.others(results),
}
turns.finish(result, all(d < 1e-3 for name, d in difference.items() if "f32" in name))
