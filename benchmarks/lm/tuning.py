"""LoRA tuning: hkfr-lm against transformers + peft, taking turns on the same instruction rows.

    cargo run --release -p hkfr-lm --example tokenise_rows -- MODEL.gguf ROWS.messages.jsonl > ROWS.json
    python benchmarks/lm/tuning.py MODEL.gguf ROWS.json [ROUNDS] [SECONDS] > benchmarks/runs/tuning.json

A step is 32 rows in their order, r = 8 on q, k, v and o, AdamW, two threads, 32-bit floats. Speed is in
label-bearing rows a second. A ratio is ours by the peer's of one round. Fails if the loss of the first
step differs by more than 1e-3.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HERE = pathlib.Path(__file__).parent
gguf, rows = (str(pathlib.Path(a).resolve()) for a in sys.argv[1:3])
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
seconds = sys.argv[4] if len(sys.argv) > 4 else "30"
# Set for one kind of machine, these slow the peer down on another.
env = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}


def ours(how):
    command = ["cargo", "run", "-q", "--release", "-p", "hkfr-lm", "--example", "tune_rows", "--"]
    return [*command, gguf, rows, how, seconds]


def peer(how):
    return [sys.executable, str(HERE / "peft_step.py"), gguf, rows, how, seconds]


SYSTEMS = {
    "hkfr, packed": ours("packed"),
    "peft, as written": peer("as-written"),
    "hkfr, rows alone": ours("alone"),
    "peft, tuned": peer("tuned"),
}
PAIRS = [
    ("hkfr, packed", "peft, as written"),
    ("hkfr, packed", "peft, tuned"),
    ("hkfr, rows alone", "peft, as written"),
    ("hkfr, rows alone", "peft, tuned"),
]
results = {name: [] for name in SYSTEMS}
for i in range(rounds):
    for name in list(SYSTEMS) if i % 2 == 0 else list(SYSTEMS)[::-1]:
        out = subprocess.run(SYSTEMS[name], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE)
        results[name].append(json.loads(out.stdout.splitlines()[-1]))
        print(name, results[name][-1], file=sys.stderr)


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


losses = [r["first_loss"] for rs in results.values() for r in rs]
print(
    json.dumps(
        {
            "what": "LoRA tuning, label-bearing rows a second",
            "command": f"python benchmarks/lm/tuning.py MODEL.gguf ROWS.json {rounds} {seconds}",
            "rows": "the fusion rows of configs/complete-journey.toml",
            "machine": "AMD EPYC, 2 cores, AVX-512",
            "rows_per_second": {n: spread([r["rows_per_second"] for r in rs]) for n, rs in results.items()},
            "tokens_per_second": {n: spread([r["tokens_per_second"] for r in rs]) for n, rs in results.items()},
            "peak_mb": {n: spread([r["peak_mb"] for r in rs]) for n, rs in results.items()},
            "first_loss": {n: rs[0]["first_loss"] for n, rs in results.items()},
            "ratio": {
                f"{a} / {b}": spread(
                    [x["rows_per_second"] / y["rows_per_second"] for x, y in zip(results[a], results[b])]
                )
                for a, b in PAIRS
            },
        },
        indent=1,
    )
)
sys.exit(0 if max(losses) - min(losses) < 1e-3 else 1)
