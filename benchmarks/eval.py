"""hkfr-eval against ranx and RecBole: rows of scores over the whole catalogue, and the same lists in TREC files.

    python benchmarks/eval.py [--users 20000] [--items 20000] [--rounds 3]

Needs numpy, ranx and recbole, and 4 bytes a score on the disk and in memory. Both sides rank the same scores, drawn
without ties, against one target a user. Rows: ours ranks all in place; the peer takes numpy's argpartition
of the first K, then ranx on arrays, its fastest way in; RecBole's collector takes batches of rows as its
trainer gives them, then its evaluator takes the means. Files: both read the run and the qrels and take the
means; ranx's compilation is cached by a call before the clock starts.
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lm"))
import turns  # noqa: E402

K = 100
# Users whose rows RecBole takes at once: the fastest of 64, 256, 1024 and 2048.
RECBOLE_BATCH = 2048
NAMES = {"hr": "hit_rate", "ndcg": "ndcg", "mrr": "mrr", "recall": "recall", "precision": "precision", "map": "map"}
METRICS = [f"{name}@{K}" for name in NAMES.values()]


def draw(folder, n_users, n_items):
    """Score rows, targets near the top of them, and the first K as TREC files."""
    import numpy as np

    rng = np.random.default_rng(7)
    targets = rng.integers(n_items, size=n_users, dtype=np.uint32)
    targets.tofile(folder / "targets.u32")
    with open(folder / "scores.f32", "wb") as rows, open(folder / "run.trec", "w") as run:
        for u in range(n_users):
            # A permutation: without ties all agree on the order.
            row = rng.permutation(n_items).astype(np.float32)
            best = int(np.argmax(row)) if u % 4 else int(np.argsort(-row)[rng.integers(2 * K)])
            row[[best, targets[u]]] = row[[targets[u], best]]
            rows.write(row.tobytes())
            top = np.argpartition(-row, K)[:K]
            top = top[np.argsort(-row[top])]
            run.writelines(f"u{u} Q0 i{i} {r + 1} {row[i]:.0f} drawn\n" for r, i in enumerate(top))
    qrels = "".join(f"u{u} 0 i{t} 1\n" for u, t in enumerate(targets))
    (folder / "truth.trec").write_text(qrels)


def recbole(folder, n_users, n_items):
    """One round of RecBole's collector and evaluator; prints what `eval_speed` prints."""
    import numpy as np
    import recbole_now  # noqa: F401
    import torch
    from recbole.evaluator import Collector, Evaluator

    config = {
        "metrics": ["Hit", "NDCG", "MRR", "Recall", "Precision", "MAP"],
        "topk": [K],
        "metric_decimal_place": 15,
        "eval_args": {"mode": {"valid": "full", "test": "full"}},
        "device": torch.device("cpu"),
    }
    scores = torch.from_numpy(np.fromfile(folder / "scores.f32", np.float32).reshape(n_users, n_items))
    targets = torch.from_numpy(np.fromfile(folder / "targets.u32", np.uint32).astype(np.int64))
    start = time.perf_counter()
    collector = Collector(config)
    for first in range(0, n_users, RECBOLE_BATCH):
        rows = scores[first : first + RECBOLE_BATCH]
        collector.eval_batch_collect(rows, None, torch.arange(len(rows)), targets[first : first + RECBOLE_BATCH])
    means = Evaluator(config).evaluate(collector.get_data_struct())
    seconds = time.perf_counter() - start
    names = NAMES | {"hr": "hit"}
    print(json.dumps({"seconds": seconds, "means": {ours: float(means[f"{t}@{K}"]) for ours, t in names.items()}}))


def peer(kind, folder, n_users, n_items):
    """One round of numpy and ranx; prints what `eval_speed` prints."""
    if kind == "recbole":
        return recbole(folder, n_users, n_items)
    import numpy as np
    import ranx

    ranx.evaluate({"q": {"d": 1}}, {"q": {"d": 1.0}}, METRICS)
    if kind == "dense":
        scores = np.fromfile(folder / "scores.f32", np.float32).reshape(n_users, n_items)
        targets = np.fromfile(folder / "targets.u32", np.uint32)
        warm = np.ones((10, 2, 2))
        ranx.evaluate(warm, warm, METRICS)
        start = time.perf_counter()
        top = np.argpartition(scores, n_items - K, axis=1)[:, n_items - K :]
        of_top = np.take_along_axis(scores, top, axis=1)
        order = np.argsort(-of_top, axis=1)
        ids = np.take_along_axis(top, order, axis=1).astype(np.float64)
        run = np.stack([ids, np.take_along_axis(of_top, order, axis=1)], axis=2)
        qrels = np.stack([targets.astype(np.float64), np.ones(n_users)], axis=1)[:, None, :]
        means = ranx.evaluate(qrels, run, METRICS)
    else:
        small = (ranx.Qrels({f"q{i}": {"d": 1} for i in range(20)}), ranx.Run({f"q{i}": {"d": 1.0} for i in range(20)}))
        ranx.evaluate(*small, METRICS, make_comparable=True)
        start = time.perf_counter()
        qrels = ranx.Qrels.from_file(str(folder / "truth.trec"), kind="trec")
        run = ranx.Run.from_file(str(folder / "run.trec"), kind="trec")
        means = ranx.evaluate(qrels, run, METRICS, make_comparable=True)
    seconds = time.perf_counter() - start
    means = {ours: float(means[f"{theirs}@{K}"]) for ours, theirs in NAMES.items()}
    print(json.dumps({"seconds": seconds, "means": means}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=20000)
    parser.add_argument("--items", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where the scores are drawn (default: a temporary folder)")
    parser.add_argument("--peer", choices=["dense", "recbole", "trec"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    shape = (args.users, args.items)
    if args.peer:
        return peer(args.peer, pathlib.Path(args.folder), *shape)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        folder = pathlib.Path(folder)
        draw(folder, *shape)
        ours = turns.example("eval_speed")
        itself = [sys.executable, __file__, "--folder", folder, "--users", shape[0], "--items", shape[1], "--peer"]
        results = turns.take_turns(
            {
                "rows, hkfr": [ours, "dense", folder / "scores.f32", folder / "targets.u32", shape[1], K],
                "rows, numpy + ranx": [*itself, "dense"],
                "rows, RecBole": [*itself, "recbole"],
                "files, hkfr": [ours, "trec", folder / "run.trec", folder / "truth.trec", K],
                "files, ranx": [*itself, "trec"],
            },
            args.rounds,
        )
    gigabytes = 4e-9 * shape[0] * shape[1]
    for result in (r for name, rs in results.items() if name.startswith("rows") for r in rs):
        result["gigabytes_per_second"] = gigabytes / result["seconds"]
    first = results["rows, hkfr"][0]["means"]
    every = [r["means"] for rs in results.values() for r in rs]
    error = max(abs(means[name] - first[name]) for means in every for name in NAMES)
    pairs = [("rows, numpy + ranx", "rows, hkfr"), ("rows, RecBole", "rows, hkfr"), ("files, ranx", "files, hkfr")]
    result = turns.header("ranking and scoring lists", "", ["numpy", "ranx", "recbole", "torch"])
    result["command"] = f"python benchmarks/eval.py --users {shape[0]} --items {shape[1]} --rounds {args.rounds}"
    result |= {
        "k": K,
        "seconds": turns.spreads(results, "seconds"),
        "gigabytes_per_second": turns.spreads(results, "gigabytes_per_second"),
        "times_faster": turns.ratios(results, pairs, "seconds"),
        "largest_difference_of_a_mean": error,
        "busy_with_others": turns.others(results),
    }
    turns.finish(result, error < 1e-9)


main()
