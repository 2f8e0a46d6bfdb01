"""RecBole on a leave-one-out file: seconds of each epoch and of each evaluation, and accuracy.

    python benchmarks/sequence_peer.py DIR {SASRec,BERT4Rec,GRU4Rec,Caser} [KEY=VALUE …]
        [--epochs N] [--patience N] [--seconds S]

DIR has `sequential_data.txt`. RecBole's own trainer, data loader and evaluator; its defaults but for what
SETTINGS says and for KEY=VALUE. Every prefix of a sequence is one example there (its data augmentation), so an
epoch has as many targets as one of hkfr, but for BERT4Rec, which masks items in every prefix. Prints one JSON
object as the last line: the accuracy on validation and test of the epoch with the best validation NDCG@10, and
`curve`: seconds since the training began and NDCG@10 on validation, a pair an epoch. The training ends after N epochs,
N epochs without a better NDCG@10, or the first epoch that ends S seconds after it began.
"""

import argparse
import ast
import copy
import json
import os
import pathlib
import sys
import tempfile
import time

import recbole_now  # noqa: F401

# Full softmax, as published; Caser sees the last five items, as its authors have it.
SETTINGS = {"Caser": {"MAX_ITEM_LIST_LENGTH": 5}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("model")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--patience", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("settings", nargs="*")
    args = parser.parse_args()
    pairs = (pair.split("=", 1) for pair in args.settings)
    given = {key: ast.literal_eval(value) for key, value in pairs}
    sys.argv = sys.argv[:1]
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    with tempfile.TemporaryDirectory() as folder:
        data, folder = args.dir.resolve(), pathlib.Path(folder)
        # RecBole writes logs of its own to where it is started.
        os.chdir(folder)
        (folder / "data").mkdir()
        with open(folder / "data" / "data.inter", "w") as inter:
            inter.write("user_id:token\titem_id:token\ttimestamp:float\n")
            for line in open(data / "sequential_data.txt"):
                user, *items = line.split()
                inter.writelines(f"{user}\t{item}\t{t}\n" for t, item in enumerate(items))
        settings = {
            "data_path": str(folder),
            "checkpoint_dir": str(folder),
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
            "loss_type": "CE",
            "train_neg_sample_args": None,
            "metrics": ["Hit", "NDCG"],
            "topk": [10],
            "valid_metric": "NDCG@10",
            "metric_decimal_place": 6,
            "use_gpu": False,
            "show_progress": False,
            "state": "ERROR",
            "epochs": args.epochs,
            **SETTINGS.get(args.model, {}),
            **given,
        }
        config = Config(model=args.model, dataset="data", config_dict=settings)
        init_seed(config["seed"], config["reproducibility"])
        dataset = create_dataset(config)
        train, valid, test = data_preparation(config, dataset)
        model = get_model(config["model"])(config, train.dataset)
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
        trainer.eval_collector.data_collect(train)
        epochs, evaluations, best, since, curve = [], [], None, 0, []
        begun = time.perf_counter()
        for epoch in range(args.epochs):
            start = time.perf_counter()
            loss = trainer._train_epoch(train, epoch, show_progress=False)
            epochs.append(time.perf_counter() - start)
            start = time.perf_counter()
            found = trainer.evaluate(valid, load_best_model=False)
            evaluations.append(time.perf_counter() - start)
            curve.append([time.perf_counter() - begun, found["ndcg@10"]])
            print(epoch + 1, f"{epochs[-1]:.1f} s, {evaluations[-1]:.1f} s, loss {loss:.3f}", dict(found), file=sys.stderr, flush=True)
            since += 1
            if best is None or found["ndcg@10"] > best[0]["ndcg@10"]:
                best, since = (found, epoch + 1, copy.deepcopy(model.state_dict())), 0
            if since >= args.patience or curve[-1][0] >= args.seconds:
                break
        model.load_state_dict(best[2])
        on_test = trainer.evaluate(test, load_best_model=False)
    accuracy = {
        name: {"hr@10": found["hit@10"], "ndcg@10": found["ndcg@10"]}
        for name, found in [("validation", best[0]), ("test", on_test)]
    }
    print(
        json.dumps(
            {
                "epoch_seconds": sorted(epochs)[len(epochs) // 2],
                "evaluation_seconds": sorted(evaluations)[len(evaluations) // 2],
                "training_seconds": sum(epochs) + sum(evaluations),
                "epochs": len(epochs),
                "best_epoch": best[1],
                "accuracy": accuracy,
                "curve": curve,
            }
        )
    )


main()
