"""Scoring of 100 candidates for a user: hkfr-lm against transformers and llama.cpp, taking turns.

    python benchmarks/lm/candidates.py MODEL.gguf ROWS.json [ROUNDS] [USERS] > benchmarks/runs/candidates.json

A user is a household of the instruction rows (`tuning.py` says how to make ROWS.json): its knowledge and
its rows as turns, 256 to 400 tokens, then the question for the next product. The candidates are product
titles with their end, 2 to 10 tokens; asked is the log-probability of each. All have two threads; what
the peers do is said in `candidates_peer.py`. The slowest peer
scores the user of median length alone, all 100 candidates. Fails if a log-probability of ours and transformers
differs by more than 1e-3; llama.cpp rounds activations to 8 bits, and its difference is written down.
"""

import collections
import json
import pathlib
import sys
import tempfile

import numpy as np

import turns

N_CANDIDATES = 100
gguf, rows = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
n_users = int(sys.argv[4]) if len(sys.argv) > 4 else 8
rows = json.loads(rows.read_text())
# The question for the next product is the one with the most different answers.
answers = collections.defaultdict(dict)
for r in rows:
    answers[tuple(r["ids"][r["n_prefix"] : r["n_prompt"]])][tuple(r["ids"][r["n_prompt"] :])] = None
question = max(answers, key=lambda q: len(answers[q]))
titles = [list(a) for a in answers[question] if 2 <= len(a) <= 10][:N_CANDIDATES]
assert len(titles) == N_CANDIDATES


def prompt(household):
    """As many turns as fit, then the question."""
    for n in range(len(household), 0, -1):
        ids = turns.conversation(household[:n]) + household[0]["ids"][household[0]["n_prefix"] - 1 :][:1]
        if len(ids) + len(question) <= 400:
            return ids + list(question)
    return []


prompts = [p for p in map(prompt, turns.households(rows)) if len(p) >= 256][:n_users]
assert len(prompts) == n_users
# First the user of median length: the slowest peer scores no other.
prompts.insert(0, prompts.pop(sorted(range(n_users), key=lambda i: len(prompts[i]))[n_users // 2]))
ours, peer = turns.example("candidates"), turns.peer("candidates_peer")
with tempfile.TemporaryDirectory() as scratch:
    scratch = pathlib.Path(scratch)
    for name, of in (("users", prompts), ("user", prompts[:1])):
        users = [{"prompt": p, "candidates": titles} for p in of]
        (scratch / f"{name}.json").write_text(json.dumps(users))
    users, user = scratch / "users.json", scratch / "user.json"
    per_pass = turns.run([*peer, gguf, user, scratch / "none", "cached"])
    print(per_pass, file=sys.stderr)
    cached = "transformers, prompt cached"
    scores = {}

    def file(name):
        scores[name] = scratch / name.replace(".", "_")
        return scores[name]

    systems = {
        "hkfr": [ours, gguf, users, 2, file("hkfr"), "f32"],
        "hkfr bf16": [ours, gguf, users, 2, file("hkfr bf16"), "bf16"],
        "llama.cpp Q4_1, one sequence each": [
            *peer, gguf, users, file("llama.cpp Q4_1, one sequence each"), "llama.cpp-batched"
        ],
        cached: [*peer, gguf, users, file(cached), "cached", per_pass["fastest"]],
        "hkfr, one user at a time": [ours, gguf, users, 1, file("hkfr, one user at a time"), "f32"],
        "llama.cpp Q4_1, one by one": [*peer, gguf, users, file("llama.cpp Q4_1, one by one"), "llama.cpp"],
        "transformers, as written": [*peer, gguf, user, file("transformers, as written"), "as-written"],
    }  # fmt: skip
    results = turns.take_turns(systems, rounds)
    scores = {name: np.fromfile(path, "<f4") for name, path in scores.items()}
difference = {
    name: np.abs(of - scores["hkfr"][: len(of)]) for name, of in scores.items() if name != "hkfr"
}
pairs = [(a, b) for a in systems if a.startswith("hkfr") for b in systems if not b.startswith("hkfr")]
head = turns.header(
    "users a second, 100 candidates each",
    f"candidates.py MODEL.gguf ROWS.json {rounds} {n_users}",
    ["torch", "transformers", "llama-cpp-python"],
)
result = {
    **head,
    "model": gguf.name,
    "prompt_tokens": turns.spread(map(len, prompts)),
    "candidate_tokens": turns.spread(map(len, titles)),
    "users": {name: rs[0]["users"] for name, rs in results.items()},
    "candidates_a_pass": {"chosen": per_pass["fastest"], "seconds": per_pass["seconds"]},
    "users_per_second": turns.spreads(results, "users_per_second"),
    "ratio": turns.ratios(results, pairs, "users_per_second"),
    "peak_mb": turns.spreads(results, "peak_mb"),
    "difference_from_hkfr": {
        name: {"median": float(np.median(d)), "max": float(d.max())} for name, d in difference.items()
    },
    "busy_with_others": turns.others(results),
}
same = [d.max() for name, d in difference.items() if "llama.cpp" not in name and "bf16" not in name]
turns.finish(result, max(same) < 1e-3)
