"""LoRA tuning: hkfr-lm against transformers + peft, taking turns on the same instruction rows.

    cargo run --release -p hkfr-lm --example tokenise_rows -- MODEL.gguf ROWS.messages.jsonl > ROWS.json
    python benchmarks/lm/tuning.py MODEL.gguf ROWS.json [ROUNDS] [SECONDS] > benchmarks/runs/tuning.json

A step is 32 rows in their order, r = 8 on q, k, v and o, AdamW, two threads, 32 bits unless bf16 is said (the
base weights then). Speed is in
label-bearing rows a second. A ratio is ours by the peer's of one round. `equal lengths`: the last 256
tokens of a household's rows as turns, labels on the last answer; nothing is padded or shared. `peft,
tuned` takes the number of rows a batch that was fastest in a trial. Fails if the loss of the first step
in 32 bits differs by more than 1e-3.
"""

import json
import pathlib
import sys
import tempfile

import turns

LENGTH = 256
gguf, rows = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
seconds = sys.argv[4] if len(sys.argv) > 4 else "30"
ours, peer = turns.example("tune_rows"), turns.peer("peft_step")


def equal_rows():
    """One row of `LENGTH` tokens for each household that has so many."""
    equal = []
    for household in turns.households(json.loads(rows.read_text())):
        ids = turns.conversation(household)[-LENGTH:]
        answer = len(household[-1]["ids"]) - household[-1]["n_prompt"]
        if len(ids) == LENGTH:
            equal.append({"ids": ids, "n_prefix": 0, "n_prompt": LENGTH - answer})
    return equal


with tempfile.TemporaryDirectory() as scratch:
    equal = pathlib.Path(scratch, "equal.json")
    equal.write_text(json.dumps(equal_rows()))
    trials = {"rows": rows, "equal lengths": equal}
    trials = {name: turns.run([*peer, gguf, path, "fastest", 0]) for name, path in trials.items()}
    print(trials, file=sys.stderr)
    per_batch = {name: trial["fastest"] for name, trial in trials.items()}
    systems = {
        "hkfr, packed": [ours, gguf, rows, "packed", seconds, "f32"],
        "peft, as written": [*peer, gguf, rows, "as-written", seconds],
        "hkfr, rows alone": [ours, gguf, rows, "alone", seconds, "f32"],
        "peft, tuned": [*peer, gguf, rows, "tuned", seconds, per_batch["rows"]],
        "hkfr, equal lengths": [ours, gguf, equal, "alone", seconds, "f32"],
        "peft, tuned, equal lengths": [*peer, gguf, equal, "tuned", seconds, per_batch["equal lengths"]],
        "hkfr bf16, packed": [ours, gguf, rows, "packed", seconds, "bf16"],
        "hkfr bf16, equal lengths": [ours, gguf, equal, "alone", seconds, "bf16"],
        "peft bf16, tuned, equal lengths": [
            *peer, gguf, equal, "tuned", seconds, per_batch["equal lengths"], "bfloat16"
        ],
    }
    results = turns.take_turns(systems, rounds)
pairs = [
    ("hkfr, packed", "peft, as written"),
    ("hkfr, packed", "peft, tuned"),
    ("hkfr, rows alone", "peft, as written"),
    ("hkfr, rows alone", "peft, tuned"),
    ("hkfr, equal lengths", "peft, tuned, equal lengths"),
    ("hkfr bf16, packed", "peft, as written"),
    ("hkfr bf16, equal lengths", "peft, tuned, equal lengths"),
    ("hkfr bf16, equal lengths", "peft bf16, tuned, equal lengths"),
]
losses = {name: [r["first_loss"] for r in rs] for name, rs in results.items()}
head = turns.header(
    "LoRA tuning, label-bearing rows a second",
    f"tuning.py MODEL.gguf ROWS.json {rounds} {seconds}",
    ["torch", "transformers", "peft"],
)
result = {
    **head,
    "model": gguf.name,
    "rows": "the fusion rows of configs/complete-journey.toml",
    "rows_per_second": turns.spreads(results, "rows_per_second"),
    "tokens_per_second": turns.spreads(results, "tokens_per_second"),
    "peak_mb": turns.spreads(results, "peak_mb"),
    "first_loss": {name: of[0] for name, of in losses.items()},
    "ratio": turns.ratios(results, pairs, "rows_per_second"),
    "peft_rows_per_second_by_batch": {name: trial["rows_per_second"] for name, trial in trials.items()},
    "busy_with_others": turns.others(results),
}
groups = [[], []]
for name, of in losses.items():
    if "bf16" not in name:
        groups["equal lengths" in name].extend(of)
turns.finish(result, all(max(group) - min(group) < 1e-3 for group in groups))
