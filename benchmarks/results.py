"""docs/results.md, and the README's table, from the committed runs of `hkfr ablate`.

    python3 benchmarks/results.py            # writes them
    python3 benchmarks/results.py --check    # fails if they are not what the runs say

Reads benchmarks/runs/ablate/NAME/ablate.json. The head of docs/results.md, between the lines BEGIN and END, also
stands in the README between such lines, if it has them.
"""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUNS = ROOT / "benchmarks" / "runs" / "ablate"
BEGIN, END = "<!-- results: benchmarks/results.py writes what follows -->", "<!-- end of results -->"
# Kinds in the order of the table.
KINDS = {"rival": "rivals", "with-own": "rivals with own choices added", "ablation": "HKFR without a part", "hkfr": "HKFR"}


def number(x):
    """.0533, −.0123"""
    text = f"{abs(x):.4f}"
    return ("−" if x < 0 and float(text) else "") + (text[1:] if text.startswith("0") else text)


def at(values, metric):
    return next((v for v in values if v["metric"] == metric), None)


def interval(value):
    return f"{number(value['mean'])} [{number(value['lo'])}, {number(value['hi'])}]"


def p(difference):
    text = f"{difference['p_holm']:.3f}"
    text = text[1:] if text.startswith("0") else "1"
    return ("≤ " if difference.get("p_is_floor") else "") + text


class Segment:
    def __init__(self, run, segment):
        self.name, self.n_cases = segment["segment"], segment["n_cases"]
        self.rows = {row["system"]: row for row in segment["systems"]}
        rivals = [s["name"] for s in run["systems"] if s["kind"] in ("rival", "with-own") and s["name"] in self.rows]
        self.best = max(rivals, key=lambda s: self.value(s, "NDCG")["mean"], default=None)

    def value(self, system, metric):
        return at(self.rows[system]["metrics"], metric)

    def ahead(self):
        """HKFR minus the best rival, in NDCG: with interval and p."""
        d = at(self.rows[self.best]["versus_reference"], "NDCG") if self.best else None
        if d is None:
            return "–"
        sign = "+" if d["diff"] < 0 else ""
        ends = f"[{number(-d['hi'])}, {number(-d['lo'])}]"
        return f"{sign}{number(-d['diff'])} {ends}, p {p(d)}"


def tasks(run):
    for task in run["results"]:
        yield task, [Segment(run, s) for s in task["segments"]]


def titled(run, task):
    one = len(run["results"]) == 1
    return run["name"] if one else f"{run['name']}, {task['task']}"


def k_of(segments):
    row = next(iter(segments[0].rows.values()))
    return row["metrics"][0]["k"]


def head(runs):
    """A line a data set and task: the best rival, HKFR, and the difference."""
    ks = {k_of(segments) for run in runs for _, segments in tasks(run)}
    of = f"@{ks.pop()}" if len(ks) == 1 else ""
    lines = [
        f"| data, task | cases | best rival | its HR{of} | its NDCG{of} | HKFR's HR{of} | HKFR's NDCG{of} | ΔNDCG{of} |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for run in runs:
        for task, (every, *_) in tasks(run):
            cells = [titled(run, task), f"{every.n_cases:,}", every.best or "–"]
            for system in (every.best, "hkfr"):
                for metric in ("HR", "NDCG"):
                    cells.append(number(every.value(system, metric)["mean"]) if system else "–")
            cells.append(every.ahead())
            lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "Best rival: the highest NDCG on the test cases, those with own choices added among them. Δ: HKFR minus it, the"
        " paired difference with its 95 % interval over cases, p of the randomisation test after Holm's correction.",
    ]
    return "\n".join(lines)


def seconds(run, task, system):
    found = [c for c in run["costs"] if c["system"] == system and c["task"] == task and c.get("fit_seconds") is not None]
    return f"{found[0]['fit_seconds']:,.1f} s" if found else "–"


def table(run, task, segments):
    every = segments[0]
    k = k_of(segments)
    lines = [
        f"| system | HR@{k} | NDCG@{k} | sd of seeds | ΔNDCG@{k} to HKFR | p | seeds | fit |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, title in KINDS.items():
        names = [s["name"] for s in run["systems"] if s["kind"] == kind and s["name"] in every.rows]
        if names and kind != "hkfr":
            lines.append(f"| *{title}* | | | | | | | |")
        for name in names:
            row, ndcg = every.rows[name], every.value(name, "NDCG")
            d = at(row["versus_reference"], "NDCG")
            shown = f"**{name}**" if name in ("hkfr", every.best) else name
            lines.append(
                "| "
                + " | ".join(
                    [
                        shown,
                        interval(every.value(name, "HR")),
                        interval(ndcg),
                        number(ndcg["seed_sd"]) if "seed_sd" in ndcg else "–",
                        f"{number(d['diff'])} [{number(d['lo'])}, {number(d['hi'])}]" if d else "–",
                        p(d) if d else "–",
                        str(row["n_seeds"]),
                        seconds(run, task["task"], name),
                    ]
                )
                + " |"
            )
    lines += [
        "",
        f"| segment | cases | best rival | its HR@{k} | its NDCG@{k} | HKFR's HR@{k} | HKFR's NDCG@{k} | ΔNDCG@{k} |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for segment in segments[1:]:
        cells = [segment.name, f"{segment.n_cases:,}", segment.best or "–"]
        for system in (segment.best, "hkfr"):
            for metric in ("HR", "NDCG"):
                cells.append(number(segment.value(system, metric)["mean"]) if system else "–")
        lines.append("| " + " | ".join(cells + [segment.ahead()]) + " |")
    return "\n".join(lines)


def asked(run):
    of_model = [f"{s['name']} ({s['llm']})" for s in run["systems"] if s["llm"]]
    if of_model:
        return f"A language model was asked by {', '.join(of_model)}."
    return "No system asked a language model: HKFR has no semantic features here."


def results(runs):
    parts = [
        "# Results: HKFR, its rivals, and its parts",
        "Made by `python3 benchmarks/results.py` from [`benchmarks/runs/ablate/`](../benchmarks/runs/ablate/), which"
        " `hkfr ablate` made; what the rows are is told in [`rivals.md`](rivals.md#what-hkfr-owes-to-what).",
        f"{BEGIN}\n\n{head(runs)}\n\n{END}",
    ]
    for run in runs:
        for task, segments in tasks(run):
            parts.append(f"## {titled(run, task)}")
            split = run["split"]["kind"]
            parts.append(
                f"{segments[0].n_cases:,} cases, {task['n_catalogue']:,} in the catalogue, split {split}, repeats"
                f" {run['repeats']}; seeds {', '.join(map(str, run['seeds']))}; {run['processor'] or 'processor not known'},"
                f" {run['threads']} thread{'s' * (run['threads'] > 1)}. {asked(run)} [All metrics](../benchmarks/runs/ablate/{run['dir']}/table.md)."
            )
            parts.append(table(run, task, segments))
    return "\n\n".join(parts) + "\n"


def read():
    runs = []
    for path in sorted(RUNS.glob("*/ablate.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        if run["version"] != 1:
            sys.exit(f"{path}: version {run['version']}, this script reads 1")
        runs.append({**run, "dir": path.parent.name})
    if not runs:
        sys.exit(f"no {RUNS}/NAME/ablate.json: `hkfr ablate CONFIG`, then copy ablate.json and table.md there")
    return runs


def main():
    runs = read()
    wanted = {ROOT / "docs" / "results.md": results(runs)}
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    if BEGIN in text:
        before, rest = text.split(BEGIN, 1)
        if END not in rest:
            sys.exit(f"README.md: {BEGIN} without {END}")
        wanted[readme] = f"{before}{BEGIN}\n\n{head(runs)}\n\n{END}{rest.split(END, 1)[1]}"
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    for path, text in wanted.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            sys.exit(f"{path.relative_to(ROOT)} is not what the runs say: python3 benchmarks/results.py")
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)} written")


main()
