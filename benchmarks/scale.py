"""Seconds and memory by the length of a log: generate, ingest and prompts for all users.

    python benchmarks/scale.py DIR [--events 1e6 1e7 1e8] [--memory-mb 1024] [--note TEXT] > benchmarks/runs/scale.json

A synthetic food-delivery log of so many events is written into DIR as CSV, ingested (external sort by user within
memory-mb of buffers, Parquet out), and every user's fusion prompt is written, four bytes counted as a token. Seconds are those
of the whole process, hashing of what it wrote included; the peak is its resident memory, as the system tells it. DIR needs
some 80 bytes an event of room; what is written there is removed again.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lm"))
import turns  # noqa: E402

# Of the generator, over 60 days.
EVENTS_A_USER = 302


def binary():
    build = ["cargo", "build", "-q", "--release", "--workspace", "--bin", "hkfr"]
    if not os.environ.get("HKFR_BUILT"):
        subprocess.run(build, cwd=turns.ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", turns.ROOT / "target"))
    return str(target / "release" / "hkfr")


def measured(command):
    """Seconds, processor seconds and peak MB of a process."""
    start = time.perf_counter()
    with open(os.devnull, "w") as null:
        process = subprocess.Popen(command, stdout=null, stderr=subprocess.PIPE)
        error = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{error.decode()[-4000:]}")
    seconds = time.perf_counter() - start
    print(command[1], f"{seconds:.1f} s", file=sys.stderr, flush=True)
    return {
        "seconds": round(seconds, 2),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss * 1024 / 1e6, 1),
    }


def size_mb(path):
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return round(sum(f.stat().st_size for f in files) / 1e6, 1)


def length(hkfr, folder, n_events, memory_mb):
    """One point of the curve."""
    log, out = folder / "log", folder / "out"
    users = round(n_events / EVENTS_A_USER)
    steps = {"generate": measured([hkfr, "generate", "food-delivery", "--users", str(users), "--out", str(log)])}
    config = log / "food-delivery.toml"
    text = config.read_text().replace('path = "log"\n', f'path = "log"\nmemory_mb = {memory_mb}\n', 1)
    config.write_text(text)
    steps["ingest"] = measured([hkfr, "ingest", str(config), "--out", str(out)])
    run = out / "synthetic-food-delivery"
    ingested = json.loads((run / "ingest" / "manifest.json").read_text())["counts"]
    sizes = {"csv": size_mb(log / "log" / "events.csv"), "store": size_mb(run / "ingest")}
    steps["prompts"] = measured([hkfr, "prompts", str(config), "--out", str(out), "--count-bytes"])
    prompts = json.loads((run / "prompts" / "manifest.json").read_text())["counts"]
    sizes["prompts"] = size_mb(run / "prompts")
    sizes["runs"] = ingested.get("MB written out for sorting", 0)
    shutil.rmtree(log)
    shutil.rmtree(out)
    events = ingested["events"]
    return {
        "events": events,
        "users": ingested["users"],
        "prompts": prompts["prompts"],
        "steps": steps,
        "ingest_events_a_second": round(events / steps["ingest"]["seconds"]),
        "prompts_users_a_second": round(prompts["prompts"] / steps["prompts"]["seconds"]),
        "mb": sizes,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--events", type=float, nargs="+", default=[1e6, 1e7, 1e8])
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--note", default="", help="what else the machine does")
    args = parser.parse_args()
    hkfr = binary()
    folder = args.folder / "hkfr-scale"
    folder.mkdir(parents=True)
    try:
        curve = [length(hkfr, folder, n, args.memory_mb) for n in args.events]
    finally:
        shutil.rmtree(folder)
    events = " ".join(f"{n:g}" for n in args.events)
    result = turns.header("seconds and memory by events", "")
    result["command"] = f"python benchmarks/scale.py DIR --events {events} --memory-mb {args.memory_mb}"
    if args.note:
        result["note"] = args.note

    def per_million(step, key):
        return [round(c["steps"][step][key] / c["events"] * 1e6, 3) for c in curve]

    steps = ("ingest", "prompts")
    result |= {
        "memory_mb": args.memory_mb,
        "threads": len(os.sched_getaffinity(0)),
        "curve": curve,
        "seconds_a_million_events": {step: per_million(step, "seconds") for step in steps},
        "processor_seconds_a_million_events": {step: per_million(step, "processor_seconds") for step in steps},
    }
    turns.finish(result, True)


main()
