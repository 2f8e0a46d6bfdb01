"""Sentence embeddings: hkfr-lm against sentence-transformers, taking turns on one machine.

    python benchmarks/lm/embed.py MODEL_DIR TEXTS.txt [ROUNDS] > benchmarks/runs/embed.json

MODEL_DIR holds all-MiniLM-L6-v2; TEXTS.txt has one text a line. Each round runs both with two threads
and both with one, in alternating order, each in a process of its own that reports the time of one
call on all texts after a short one to warm up. A ratio is the peer's seconds by ours of one round, of
wall time and of processor time: where others use the machine, only the second one, of one thread, means
much, for threads that wait for each other lose more to others than threads that do not. What else the
machine does is written down: load and the share of the processors that was taken by others. Fails if a vector differs by more than 1e-4 in cosine.
"""

import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Set for one kind of machine, these slow the peer down on another.
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
HOW_TO_READ = (
    "busy_with_others is the share of the processors that other programs took. Where it is high, read "
    "'cpu_seconds, threads 1': with two threads the peer's wait for each other, spinning, and its ratio "
    "says more about the machine's load than about the arithmetic."
)
PEER = ("sentence-transformers", "transformers", "torch", "tokenizers")


def processor_seconds():
    """User, nice and system time of all processes so far."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(map(int, fields[1:4])) / os.sysconf("SC_CLK_TCK")


def timed(command, n_threads):
    env = {k: v for k, v in os.environ.items() if k not in UNSET}
    env |= {k: str(n_threads) for k in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")}
    before, own, start = processor_seconds(), os.times(), time.perf_counter()
    out = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    wall, after, end = time.perf_counter() - start, processor_seconds(), os.times()
    ours = end.children_user + end.children_system - own.children_user - own.children_system
    others = max(0.0, after - before - ours) / (wall * os.cpu_count())
    return json.loads(out.stdout) | {"busy_with_others": round(others, 3)}


def summary(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))


def main():
    model, texts = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    build = ["cargo", "build", "-q", "--release", "-p", "hkfr-lm", "--example", "embed"]
    subprocess.run(build, cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    example = target / "release" / "examples" / "embed"
    peer = [sys.executable, str(ROOT / "benchmarks" / "lm" / "embed_peer.py")]
    runs = []
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: pathlib.Path(scratch, name) for name in ("hkfr", "peer")}
        for i in range(rounds):
            for n_threads in (2, 1):
                args = {name: [model, texts, str(n_threads), str(file)] for name, file in files.items()}
                sides = {"hkfr": [str(example), *args["hkfr"]], "peer": [*peer, *args["peer"]]}
                load = os.getloadavg()[0]
                order = list(sides) if i % 2 == 0 else list(sides)[::-1]
                results = {name: timed(sides[name], n_threads) for name in order}
                ratio = {
                    clock: round(results["peer"][clock] / results["hkfr"][clock], 3)
                    for clock in ("seconds", "cpu_seconds")
                }
                runs.append({"threads": n_threads, "load": load, **results, "ratio": ratio})
                print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
        ours, theirs = (np.fromfile(f, "<f4").astype(np.float64) for f in files.values())
    width = len(ours) // runs[0]["hkfr"]["texts"]
    ours, theirs = ours.reshape(-1, width), theirs.reshape(-1, width)
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    distance = float((1 - (ours * theirs).sum(axis=1) / norms).max())
    commit = ["git", "rev-parse", "--short", "HEAD"]
    result = {
        "what": "all-MiniLM-L6-v2, seconds to embed all texts; ratio = peer / hkfr",
        "how_to_read": HOW_TO_READ,
        "command": "python benchmarks/lm/embed.py MODEL_DIR TEXTS.txt " + str(rounds),
        "date": time.strftime("%Y-%m-%d"),
        "texts": {"n": runs[0]["hkfr"]["texts"], "characters": len(pathlib.Path(texts).read_text())},
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {
            "hkfr commit": subprocess.run(commit, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip(),
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PEER},
        },
        "ratio": {
            f"{clock}, threads {n}": summary([r["ratio"][clock] for r in runs if r["threads"] == n])
            for clock in ("seconds", "cpu_seconds")
            for n in (2, 1)
        },
        "largest_cosine_distance": distance,
        "rounds": runs,
    }
    print(json.dumps(result, indent=1))
    return 0 if distance < 1e-4 else 1


sys.exit(main())
