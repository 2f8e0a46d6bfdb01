"""LightGBM on hkfr's features: learns from the train part, ranks the test part, writes the lists for hkfr to score.

    pip install lightgbm pyarrow pandas
    hkfr features CONFIG --task item
    python examples/lightgbm_ranker.py OUT/NAME/features/item lightgbm.trec
    hkfr evaluate --run lightgbm.trec --qrels OUT/NAME/features/item/truth.item.qrels.trec

`--without GROUP` leaves a group of features out (repeatable): semantic, text, order, neighbours, behaviours, counts, own.
Pairs are read one part at a time; a table larger than memory wants `hkfr features --negatives N`.
"""

import argparse
import pathlib

import lightgbm
import numpy as np
import pandas as pd
import pyarrow.parquet as pq


def features_of(path, without):
    """Names of the columns that are features, from the notes that each column carries."""
    names = []
    for field in pq.read_schema(path):
        notes = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        if "feature" in notes and notes["group"] not in without:
            names.append(field.name)
    return names


def read(path, part, features):
    keys = ["list_id", "user_id", "item_id", "label"]
    table = pq.read_table(path, columns=keys + features, filters=[("part", "=", part)])
    return table.to_pandas()


def sizes(pairs):
    """Rows of each list; the rows of a list stand together."""
    change = pairs.list_id.ne(pairs.list_id.shift())
    return pairs.groupby(change.cumsum()).size().to_numpy()


def train(pairs, features, seed):
    # One user in five chooses the number of rounds.
    held_out = pd.util.hash_array(pairs.user_id.to_numpy(dtype=object)) % 5 == 0
    data = [
        lightgbm.Dataset(part[features], part.label, group=sizes(part))
        for part in (pairs[~held_out], pairs[held_out])
    ]
    params = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [10],
        "num_leaves": 31,
        "learning_rate": 0.05,
        "min_data_in_leaf": 200,
        "lambda_l2": 5.0,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "seed": seed,
        "deterministic": True,
        "verbose": -1,
    }
    stop = lightgbm.early_stopping(30, verbose=False)
    return lightgbm.train(params, data[0], 1000, valid_sets=[data[1]], callbacks=[stop])


def write(pairs, scores, path, depth):
    """TREC: `query Q0 item rank score tag`. Ids that hold white space need Parquet with q_id, doc_id, score."""
    ranked = pairs[["list_id", "item_id"]].assign(score=scores)
    ranked = ranked.sort_values(["list_id", "score"], ascending=[True, False], kind="stable")
    ranked = ranked.groupby("list_id").head(depth)
    if path.suffix == ".parquet":
        names = {"list_id": "q_id", "item_id": "doc_id"}
        ranked.rename(columns=names).to_parquet(path, index=False)
        return
    rank = ranked.groupby("list_id").cumcount() + 1
    with path.open("w") as out:
        for query, item, score, r in zip(ranked.list_id, ranked.item_id, ranked.score, rank):
            assert not any(c.isspace() for c in query + item), f"{query} {item}: write a .parquet file"
            out.write(f"{query} Q0 {item} {r} {score:.9g} {path.stem}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=pathlib.Path, help="OUT/NAME/features/TASK, as hkfr features wrote it")
    parser.add_argument("run", type=pathlib.Path, help="the lists to write: .trec or .parquet")
    parser.add_argument("--without", action="append", default=[], metavar="GROUP")
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    path = args.features / "pairs.parquet"
    features = features_of(path, args.without)
    learnt = read(path, "train", features)
    model = train(learnt, features, args.seed)
    print(f"{len(features)} features, {len(learnt)} training pairs, {model.best_iteration} rounds")
    del learnt

    asked = read(path, "test", features)
    write(asked, model.predict(asked[features]), args.run, args.depth)
    gains = pd.Series(model.feature_importance("gain"), features).sort_values(ascending=False)
    print((gains / np.maximum(gains.sum(), 1e-12)).head(10).round(3).to_string())


main()
