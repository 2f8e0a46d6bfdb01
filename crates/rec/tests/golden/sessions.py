"""Makes `sessions.json`: what the framework session-rec makes of 8 sessions for 3 more.

    python sessions.py DIR    # DIR: a checkout of github.com/rn5l/session-rec (5dcd583); numpy 2.4, pandas 3.1, pympler 1.1

Each case has the settings of the system here and the scores of the peer (queries, items), each query's largest being 1:
the peers leave out factors that all items share, or have others. What they are told differently is said at the case.
"""

import json
import pathlib
import sys

import numpy as np
import pandas as pd

sys.path.insert(0, sys.argv[1])
np.in1d = np.isin  # gone from numpy
from algorithms.baselines.sr import SequentialRules  # noqa: E402
from algorithms.knn.stan import STAN  # noqa: E402
from algorithms.knn.vsknn import VMContextKNN  # noqa: E402

HERE = pathlib.Path(__file__).parent
DAY = 86_400
N_ITEMS = 8
# Session u has an item on each of the days 2 u, 2 u + 1, …; no two end at one time.
TRAINING = [[0, 1, 2], [1, 2, 3, 4], [5, 0, 2, 6], [3, 1, 3, 7], [6, 7, 0], [2, 4, 5, 1, 0], [7, 6, 2, 1], [4, 0, 1, 5]]
# From day 40 on.
QUERIES = [[0, 1], [2, 6, 2, 7], [5, 3, 1, 0]]
ITEMS = np.arange(N_ITEMS)


def frame(distinct=False):
    rows = [(u, item, (2 * u + i) * DAY) for u, row in enumerate(TRAINING) for i, item in enumerate(row)]
    data = pd.DataFrame(rows, columns=["SessionId", "ItemId", "Time"])
    return data.drop_duplicates(["SessionId", "ItemId"]) if distinct else data


def asked(model):
    scores = []
    for q, query in enumerate(QUERIES):
        for i, item in enumerate(query):
            series = model.predict_next(100 + q, item, ITEMS, timestamp=(40 + i) * DAY)
        scores.append((series / series.max()).tolist())
    return scores


def case(system, settings, model, data):
    model.fit(data)
    return {"system": system, "settings": settings, "scores": asked(model)}


def rules(steps):
    settings = {"window": steps, "distance_power": 1, "source_power": 0, "target_power": 0, "shrinkage": 0, "history_decay": 0}
    return case("sequential-rules", settings, SequentialRules(steps=steps, weighting="div", pruning=0), frame())


def vsknn(neighbours, sample, weighting, score_weighting, idf_weight):
    settings = {
        "neighbours": neighbours,
        "sample": sample,
        "weighting": weighting,
        "score_weighting": score_weighting,
        "idf_weight": idf_weight,
    }
    model = VMContextKNN(
        neighbours, sample, weighting=weighting, weighting_score=score_weighting, idf_weighting=idf_weight or False
    )
    # Of a session that holds an item twice the peer's idf would count both.
    return case("vsknn", settings, model, frame(distinct=idf_weight > 0))


def stan(neighbours, sample, history, days, distance):
    settings = {
        "neighbours": neighbours,
        "sample": sample,
        "lambda_history": history,
        "lambda_days": days,
        "lambda_distance": distance,
    }
    model = STAN(neighbours, sample, lambda_spw=history, lambda_snh=days, lambda_inh=distance)
    return case("stan", settings, model, frame())


golden = {
    "n_items": N_ITEMS,
    "training": TRAINING,
    "queries": QUERIES,
    "cases": [
        rules(1),
        rules(3),
        vsknn(100, 1000, "div", "div", 0),
        vsknn(100, 1000, "quadratic", "log", 2),
        vsknn(100, 4, "log", "quadratic", 0),
        vsknn(100, 1000, "same", "same", 1),
        stan(100, 1000, 1.5, 30.0, 2.0),
        stan(100, 3, 0.5, 2.5, 0.9),
        stan(2, 1000, 1.5, 30.0, 2.0),
    ],
}
(HERE / "sessions.json").write_text(json.dumps(golden) + "\n")
