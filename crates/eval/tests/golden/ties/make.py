"""Writes `trec_eval.json` beside this file: what trec_eval (pytrec-eval-terrier 0.5.11) says of the runs here, and the
run and qrels `narrow.*`, whose scores differ in 64 bits and are equal in 32.

    pip install pytrec-eval-terrier==0.5.11
    python crates/eval/tests/golden/ties/make.py
"""

import collections
import gzip
import json
import pathlib
import random

import pytrec_eval

HERE = pathlib.Path(__file__).resolve().parent
MEASURES = {"ndcg_cut_5": "ndcg@5", "ndcg_cut_10": "ndcg@10", "success_10": "hr@10", "P_5": "precision@5",
            "recall_10": "recall@10", "map_cut_10": "map@10"}
RUNS = {"run1.trec": "small.qrels", "run2.trec": "small.qrels", "run3.trec": "small3.qrels",
        "big.trec.gz": "big.qrels.gz", "narrow.trec": "narrow.qrels"}


def narrow():
    rng = random.Random(1)
    run, qrels = [], []
    for q in range(40):
        docs = [rng.choice("abzéü漢") + str(n) for n in range(14)]
        for n, doc in enumerate(docs):
            score = rng.randrange(4) + 1 + n * 1e-10
            run.append(f"q{q} Q0 {doc} 1 {score!r} narrow\n")
        for doc in rng.sample(docs, 3):
            qrels.append(f"q{q} 0 {doc} {rng.randrange(1, 4)}\n")
    (HERE / "narrow.trec").write_text("".join(run), encoding="utf-8")
    (HERE / "narrow.qrels").write_text("".join(qrels), encoding="utf-8")


def lines(name):
    read = gzip.open if name.endswith(".gz") else open
    with read(HERE / name, "rt", encoding="utf-8") as file:
        return [line.split() for line in file]


def main():
    narrow()
    said = {}
    for run_file, qrels_file in RUNS.items():
        run, qrels = collections.defaultdict(dict), collections.defaultdict(dict)
        for query, _, doc, _, score, _ in lines(run_file):
            run[query][doc] = float(score)
        for query, _, doc, relevance in lines(qrels_file):
            qrels[query][doc] = int(relevance)
        evaluator = pytrec_eval.RelevanceEvaluator(dict(qrels), {"ndcg_cut", "success", "P", "recall", "map_cut"})
        of_query = evaluator.evaluate(dict(run))
        mean = {name: sum(v[m] for v in of_query.values()) / len(of_query) for m, name in MEASURES.items()}
        said[run_file] = {"qrels": qrels_file, "figures": mean}
    (HERE / "trec_eval.json").write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
