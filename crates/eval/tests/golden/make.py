"""Writes the runs and qrels beside this file and `ranx.json`: what ranx (0.3.21) says of them.

    python crates/eval/tests/golden/make.py

Each world has queries that the run misses, queries of the run that the qrels do not know, and short lists; some have ties,
grades above 1, or queries without a relevant document. ranx breaks ties by an unstable sort, so that a run
with ties is given to it with the ties resolved pessimistically: scores are replaced by places, within equal
scores first what is not relevant, then by rising grade.
"""

import json
import pathlib

import numpy as np
import ranx

HERE = pathlib.Path(__file__).resolve().parent
NAMES = {"hr": "hit_rate", "ndcg": "ndcg", "mrr": "mrr", "recall": "recall", "precision": "precision", "map": "map"}
WORLDS = {
    "plain": {},
    "graded": {"grades": 3},
    "ties": {"levels": 4},
    "ties-graded": {"levels": 3, "grades": 3},
    "one-target": {"n_targets": 1},
    "none-relevant": {"grades": 2, "lowest": 0, "levels": 8},
}


def world(rng, levels=None, grades=1, lowest=1, n_targets=6, n_queries=30, n_docs=60):
    qrels, run = {}, {}
    for q in range(n_queries):
        targets = rng.choice(n_docs, rng.integers(1, n_targets + 1), replace=False)
        qrels[f"q{q}"] = {f"d{d}": int(rng.integers(lowest, grades + 1)) for d in targets}
        n = int(rng.choice([0, 1, 3, 10, 55]))
        listed = rng.choice(n_docs, n, replace=False)
        scores = rng.normal(size=n) if levels is None else rng.integers(levels, size=n) / 7
        if n:
            run[f"q{q}"] = {f"d{d}": float(s) for d, s in zip(listed, scores)}
    run["unknown"] = {"d1": 1.0}
    if lowest == 0:
        qrels["q0"] = {d: 0 for d in qrels["q0"]}
    return qrels, run


def pessimistic(run, qrels):
    """The run with a place instead of a score: no two documents tie."""
    places = {}
    for q, scored in run.items():
        grade = qrels.get(q, {})
        order = sorted(scored, key=lambda d: (-scored[d], grade.get(d, 0)))
        places[q] = {d: float(-i) for i, d in enumerate(order)}
    return places


def main():
    golden = {}
    for seed, (name, kind) in enumerate(WORLDS.items()):
        qrels, run = world(np.random.default_rng(seed), **kind)
        (HERE / f"{name}.qrels").write_text("".join(f"{q} 0 {d} {g}\n" for q in qrels for d, g in qrels[q].items()))
        lines = [f"{q} Q0 {d} {i + 1} {s!r} drawn\n" for q in run for i, (d, s) in enumerate(run[q].items())]
        (HERE / f"{name}.run").write_text("".join(lines))
        given = run if kind.get("levels") is None else pessimistic(run, qrels)
        metrics = {f"{ours}@{k}": f"{theirs}@{k}" for k in (1, 5, 10, 50) for ours, theirs in NAMES.items()}
        said = ranx.evaluate(ranx.Qrels(qrels), ranx.Run(given), list(metrics.values()), make_comparable=True)
        golden[name] = {ours: float(said[theirs]) for ours, theirs in metrics.items()}
    (HERE / "ranx.json").write_text(json.dumps(golden, indent=1) + "\n")


main()
