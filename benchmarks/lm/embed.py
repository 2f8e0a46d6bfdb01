"""Sentence embeddings: hkfr-lm against sentence-transformers, taking turns on one machine.

    python benchmarks/lm/embed.py MODEL_DIR TEXTS.txt [ROUNDS] > benchmarks/runs/embed.json

MODEL_DIR holds all-MiniLM-L6-v2; TEXTS.txt has one text a line, as `product_texts.py` prints them. Each round runs both with two threads
and both with one, each in a process of its own that reports the time of one call on all texts after a
short one to warm up. A ratio is the peer's seconds by ours of one round, of wall time and of processor
time. Fails if a vector differs by more than 1e-4 in cosine.
"""

import pathlib
import sys
import tempfile

import numpy as np

import turns

HOW_TO_READ = (
    "busy_with_others is the share of the processors that other programs took. Where it is high, read "
    "'cpu_seconds, threads 1': with two threads the peer's wait for each other, spinning, and its ratio "
    "says more about the machine's load than about the arithmetic."
)
model, texts = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
programs = {
    "hkfr": [turns.example("embed")],
    "hkfr bf16": [turns.example("embed")],
    "peer": turns.peer("embed_peer"),
}
precision = {"hkfr": ["f32"], "hkfr bf16": ["bf16"], "peer": []}
with tempfile.TemporaryDirectory() as scratch:
    files = {side: pathlib.Path(scratch, side) for side in programs}
    n_threads = {f"{side}, threads {n}": n for n in (2, 1) for side in programs}
    systems = {
        f"{side}, threads {n}": [*command, model, texts, n, *precision[side], files[side]]
        for n in (2, 1)
        for side, command in programs.items()
    }
    results = turns.take_turns(systems, rounds, n_threads)
    n_texts = results["hkfr, threads 2"][0]["texts"]
    vectors = {side: np.fromfile(f, "<f4").astype(np.float64).reshape(n_texts, -1) for side, f in files.items()}
theirs = vectors.pop("peer")


def distance(ours):
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float((1 - (ours * theirs).sum(axis=1) / norms).max())


distances = {side: distance(ours) for side, ours in vectors.items()}
head = turns.header(
    "all-MiniLM-L6-v2, seconds to embed all texts; ratio = peer / hkfr",
    f"embed.py MODEL_DIR TEXTS.txt {rounds}",
    ["sentence-transformers", "transformers", "torch", "tokenizers"],
)
result = {
    **head,
    "how_to_read": HOW_TO_READ,
    "texts": {"n": n_texts, "characters": len(texts.read_text())},
    "ratio": {
        f"{side}, {clock}, threads {n}": next(
            iter(turns.ratios(results, [(f"peer, threads {n}", f"{side}, threads {n}")], clock).values())
        )
        for side in vectors
        for clock in ("seconds", "cpu_seconds")
        for n in (2, 1)
    },
    "largest_cosine_distance": distances,
    "rounds": results,
}
turns.finish(result, distances["hkfr"] < 1e-4)
