"""Makes `lambdamart.json`: lists with a planted relation, and what LightGBM's lambdarank learns from them.

    python lambdamart.py    # lightgbm 4.7

Features are whole numbers below 60, so that both sides have a bin for each, or null where missing:

0, 1   worth something if exactly one of them is large
2      the larger the better, with less and less effect
3      best in the middle
4      the smaller the better; missing is worst
5      noise, a third of it missing
6      of the list, not of the row: turns the effect of feature 2
7      constant

The labels are 2 for the row with the most of worth and noise, 1 for the next in every third list, otherwise 0. Nothing is
drawn while fitting (all lists and features every round). The NDCG is the mean over the held-out lists, ties by row, and
over ten orders of the rows.
"""

import json
import pathlib

import lightgbm as lgb
import numpy as np

N_TRAIN, N_HELD_OUT, SIZE, N_FEATURES, N_ORDERS = 240, 240, 12, 8, 10
SETTINGS = {"rounds": 60, "learning_rate": 0.1, "leaves": 8, "min_rows": 30, "l2": 1.0, "truncation": 6}
rng = np.random.default_rng(11)


def make(n_lists):
    n = n_lists * SIZE
    x = rng.integers(0, 60, (n, N_FEATURES)).astype(float)
    x[:, 6] = np.repeat(rng.integers(0, 60, n_lists), SIZE)
    x[:, 7] = 5
    x[rng.random(n) < 0.3, 4] = np.nan
    x[rng.random(n) < 0.33, 5] = np.nan
    turn = np.where(x[:, 6] < 20, -1, 1)
    worth = 1.5 * ((x[:, 0] > 30) ^ (x[:, 1] > 20)) + turn * np.log1p(x[:, 2])
    worth += 2 - np.abs(x[:, 3] - 30) / 15 + np.where(np.isnan(x[:, 4]), -1.5, 1 - x[:, 4] / 40)
    noisy = (worth + rng.gumbel(0, 0.7, n)).reshape(n_lists, SIZE)
    labels = np.zeros((n_lists, SIZE), int)
    best = np.argsort(-noisy, axis=1)
    lists = np.arange(n_lists)
    labels[lists, best[:, 0]] = 2
    labels[lists[::3], best[::3, 1]] = 1
    return x, labels.ravel()


def ndcg(scores, labels):
    scores, labels = scores.reshape(-1, SIZE), labels.reshape(-1, SIZE)
    discounts = (1 / np.log2(np.arange(SIZE) + 2)) * (np.arange(SIZE) < 10)
    order = np.argsort(-scores, axis=1, kind="stable")
    dcg = ((2.0 ** np.take_along_axis(labels, order, 1) - 1) * discounts).sum(1)
    return float((dcg / ((2.0 ** -np.sort(-labels, axis=1) - 1) * discounts).sum(1)).mean())


def plain(x):
    return [None if np.isnan(v) else int(v) for v in x.ravel()]


train, held_out = make(N_TRAIN), make(N_HELD_OUT)
params = {
    "objective": "lambdarank",
    "learning_rate": SETTINGS["learning_rate"],
    "num_leaves": SETTINGS["leaves"],
    "min_data_in_leaf": SETTINGS["min_rows"],
    "lambda_l2": SETTINGS["l2"],
    "lambdarank_truncation_level": SETTINGS["truncation"],
    "min_data_in_bin": 1,
    "deterministic": True,
    "num_threads": 1,
    "verbose": -1,
}


def shuffled(seed):
    """The training rows, each list's in another order: in the first round all scores are equal, and ranked by row."""
    order = np.random.default_rng(seed).permuted(np.arange(N_TRAIN * SIZE).reshape(N_TRAIN, SIZE), axis=1).ravel()
    return lgb.Dataset(train[0][order], train[1][order], group=[SIZE] * N_TRAIN)


models = [lgb.train(params, shuffled(seed), SETTINGS["rounds"]) for seed in range(N_ORDERS)]
each = [ndcg(model.predict(held_out[0]), held_out[1]) for model in models]
found = float(np.mean(each))
single = [ndcg(s * np.nan_to_num(held_out[0][:, f], nan=-1), held_out[1]) for f in range(N_FEATURES) for s in (1, -1)]
print(f"LightGBM {found:.4f} ({min(each):.4f} to {max(each):.4f}), the best single feature {max(single):.4f}")
out = {
    "size": SIZE,
    "n_features": N_FEATURES,
    "settings": SETTINGS,
    "train": {"rows": plain(train[0]), "labels": train[1].tolist()},
    "held_out": {"rows": plain(held_out[0]), "labels": held_out[1].tolist()},
    "ndcg_at_10": found,
}
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(out, separators=(",", ":")) + "\n")
