"""What the benchmarks share: programs that take turns on one machine, and what is said of their figures.

A program runs in a process of its own and prints one JSON object as its last line. Each round runs all
of them, every second round in reverse, so that what else the machine does falls on all.
"""

import importlib.metadata
import itertools
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Set for one kind of machine, these slow the peers down on another.
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def example(name):
    """Builds an example; returns its path."""
    # Of the workspace: with the features of one package alone, its dependencies would be compiled again.
    build = ["cargo", "build", "-q", "--release", "--workspace", "--example", name]
    subprocess.run(build, cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return str(target / "release" / "examples" / name)


def peer(name):
    """The command of a script beside this one."""
    return [sys.executable, str(HERE / f"{name}.py")]


def _processor_seconds():
    """User, nice and system time of all processes so far."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(map(int, fields[1:4])) / os.sysconf("SC_CLK_TCK")


def run(command, n_threads=2):
    """What the program prints, the load before it, and the share of the processors others took."""
    env = {k: v for k, v in os.environ.items() if k not in UNSET}
    env |= {k: str(n_threads) for k in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")}
    load, before, own, start = os.getloadavg()[0], _processor_seconds(), os.times(), time.perf_counter()
    out = subprocess.run(list(map(str, command)), cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if out.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{out.stderr.decode()[-4000:]}")
    wall, after, end = time.perf_counter() - start, _processor_seconds(), os.times()
    ours = end.children_user + end.children_system - own.children_user - own.children_system
    others = max(0.0, after - before - ours) / (wall * os.cpu_count())
    printed = json.loads(out.stdout.splitlines()[-1])
    return printed | {"load": load, "busy_with_others": round(others, 3)}


def take_turns(systems, rounds, n_threads=None):
    """`systems`: name → command; `n_threads`: name → threads, where not two. Returns name → one result a round."""
    results = {name: [] for name in systems}
    for i in range(rounds):
        for name in list(systems) if i % 2 == 0 else list(systems)[::-1]:
            results[name].append(run(systems[name], (n_threads or {}).get(name, 2)))
            print(name, results[name][-1], file=sys.stderr, flush=True)
    return results


def spread(values):
    """Smallest, median and largest, to four digits."""
    values = list(values)
    of = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: float(f"{value:.4g}") for name, value in of.items()}


def spreads(results, key):
    """[`spread`] of a figure by name, where a program prints it."""
    return {name: spread(r[key] for r in rs) for name, rs in results.items() if key in rs[0]}


def ratios(results, pairs, key):
    """What the first of each pair reaches by what the second does, round by round."""
    return {
        f"{a} / {b}": spread(x[key] / y[key] for x, y in zip(results[a], results[b])) for a, b in pairs
    }


def header(what, command, peers=()):
    """What a result begins with. `peers` are packages whose versions matter."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    processor = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    commit = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(commit, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()
    return {
        "what": what,
        "command": "python benchmarks/lm/" + command,
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"processor": processor, "cores": os.cpu_count(), "system": platform.system()},
        "versions": {
            "hkfr commit": commit,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in peers},
        },
    }


def others(results):
    """The largest share of the processors that other programs took, by name."""
    return {name: max(r["busy_with_others"] for r in rs) for name, rs in results.items()}


def finish(result, good):
    """Prints a result; fails if the two sides did not compute the same."""
    print(json.dumps(result, indent=1))
    sys.exit(0 if good else "the outputs differ: the figures mean nothing")


def households(rows):
    """Rows of ROWS.json that lie together and share a prefix."""
    groups = itertools.groupby(rows, key=lambda r: r["ids"][: r["n_prefix"]])
    return [list(group) for _, group in groups]


def conversation(rows):
    """The prefix of a household's rows, then all of them as turns: longer than any row alone."""
    prefix = rows[0]["ids"][: rows[0]["n_prefix"]]
    turns = [r["ids"][r["n_prefix"] :] for r in rows]
    newline = prefix[-1:]
    return prefix + sum((turn + newline for turn in turns[:-1]), []) + turns[-1]
