"""HR@10 and NDCG@10 of a leave-one-out run on the cases whose target has a lower source id than the item before it.

    python benchmarks/descending.py DATA RUN    # DATA: sequential_data.txt and items.tsv; RUN: the directory of a run

What was bought on one day stands in Amazon's files in the order of the source ids, so that whatever learns direction
learns the file: 69 of 100 neighbours ascend on Beauty. A target with a lower id is surely of another day.
"""

import json
import math
import pathlib
import sys

data, run = map(pathlib.Path, sys.argv[1:])
rows = [line.split("\t") for line in (data / "items.tsv").read_text().splitlines()[1:]]
source = {row[0]: row[1] for row in rows}
last_two = {}
for line in (data / "sequential_data.txt").read_text().splitlines():
    user, *items = line.split()
    last_two[user] = items[-2:]
truth = [json.loads(line) for line in (run / "evaluate" / "truth.item.jsonl").read_text().splitlines()]
targets = {t["case"]: t["targets"] for t in truth if "case" in t}

print(f"{'system':<18} {'cases':>7} {'HR@10':>7} {'NDCG@10':>8} {'below':>7} {'HR@10':>7} {'NDCG@10':>8}")
for path in sorted((run / "recommend").glob("*.item.jsonl")):
    sums = {False: [0, 0.0, 0.0], True: [0, 0.0, 0.0]}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if "case" not in row:
            continue
        before, target = last_two[row["case"]]
        assert targets[row["case"]] == [target], row["case"]
        scores = dict(zip(row["items"], row["scores"]))
        # As in the report, equal scores count against the target.
        rank = sum(score >= scores[target] for score in row["scores"]) if target in scores else math.inf
        rank = rank if rank <= 10 else None
        of = sums[source[target] < source[before]]
        of[0] += 1
        of[1] += rank is not None
        of[2] += 1 / math.log2(rank + 1) if rank else 0
    both = [a + b for a, b in zip(*sums.values())]
    cells = [f"{n:>7} {hits / n:>7.4f} {gain / n:>8.4f}" for n, hits, gain in (both, sums[True])]
    print(f"{path.name.split('.')[0]:<18} {' '.join(cells)}")
