"""Sequence models of hkfr-rec against RecBole's on a leave-one-out file: an epoch and an evaluation, or accuracy.

    python benchmarks/sequence.py DIR [--rounds 3] [--models SASRec,…] > benchmarks/runs/sequence.json
    python benchmarks/sequence.py DIR --trained SASRec > benchmarks/runs/trained/SASRec.json

The same sizes on both sides (SIZES), two threads, whole catalogue, seen items allowed, targets of every place of
every sequence. hkfr is asked twice: with RecBole's loss, a softmax over the whole catalogue, and with its own
default, sampled. Each round is one epoch and one evaluation. With --trained, each side is trained once with its own
loss, until validation stops improving, RecBole for forty minutes at most (TRAINED). Needs torch and recbole.
"""

import argparse
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lm"))
import turns  # noqa: E402

# Of hkfr and of RecBole: width 64, and RecBole's defaults.
SIZES = {
    "SASRec": ("n_layers=2 n_heads=2 feed_forward=4 activation=gelu", "n_layers=2 n_heads=2 inner_size=256"),
    "BERT4Rec": ("n_layers=2 n_heads=2 feed_forward=4", "n_layers=2 n_heads=2 inner_size=256"),
    "GRU4Rec": ("hidden=128 n_layers=1", "embedding_size=64 hidden_size=128 num_layers=1"),
    "Caser": ("window=5 n_horizontal=16 n_vertical=8", "embedding_size=64 n_h=16 n_v=8"),
}
# To be trained within minutes, RecBole is helped: padded to 20 items instead of 50, its epoch takes less than half
# as long, and batches of 256 instead of 2048 make eight times as many steps of it. hkfr's histories are as long.
TRAINED = ("max_len=20", "train_batch_size=256 --patience 5 --epochs 200 --seconds 2400")
LENGTH = {"Caser": 5}
LOSSES = {"softmax": ["loss=softmax"], "sampled": []}


def ours(folder, model, losses, *more):
    """By name: the commands of hkfr."""
    fit = turns.example("fit")
    sizes = SIZES[model][0].split()
    return {
        f"{model}, hkfr, {loss}": [fit, folder, model.lower(), "dim=64", *LOSSES[loss], *sizes, *more]
        for loss in losses
    }


def recbole(folder, model, *more):
    peer = [sys.executable, HERE / "sequence_peer.py", folder, model, *SIZES[model][1].split(), *more]
    return {f"{model}, RecBole": peer}


def epochs(folder, models, rounds):
    """An epoch and an evaluation each, in turns."""
    commands = {}
    for model in models:
        commands |= ours(folder, model, LOSSES, "max_epochs=1") | recbole(folder, model, "--epochs", 1)
    results = turns.take_turns(commands, rounds)
    pairs = [(f"{model}, RecBole", f"{model}, hkfr, {loss}") for model in models for loss in LOSSES]
    return {
        "epoch_seconds": turns.spreads(results, "epoch_seconds"),
        "evaluation_seconds": turns.spreads(results, "evaluation_seconds"),
        "times_faster_epoch": turns.ratios(results, pairs, "epoch_seconds"),
        "times_faster_evaluation": turns.ratios(results, pairs, "evaluation_seconds"),
        "busy_with_others": turns.others(results),
    }


def trained(folder, model):
    """Accuracy, and seconds until the best epoch and until as good as RecBole ever was on validation."""
    ours_too, theirs_too = (settings.split() for settings in TRAINED)
    length = f"MAX_ITEM_LIST_LENGTH={LENGTH.get(model, 20)}"
    commands = ours(folder, model, ["sampled"], *ours_too) | recbole(folder, model, length, *theirs_too)
    results = {name: rounds[0] for name, rounds in turns.take_turns(commands, 1).items()}
    peer = results[f"{model}, RecBole"]
    bar = max(ndcg for _, ndcg in peer["curve"])
    for result in results.values():
        best = max(ndcg for _, ndcg in result["curve"])
        result["seconds_to_best"] = next(s for s, ndcg in result["curve"] if ndcg == best)
        result["seconds_to_recbole_best"] = next((s for s, ndcg in result["curve"] if ndcg >= bar), None)
    times = {
        name: {
            key: round(peer["seconds_to_best"] / result[key], 1) if result[key] else None
            for key in ["seconds_to_best", "seconds_to_recbole_best"]
        }
        for name, result in results.items()
    }
    return {"trained": results, "times_faster": times}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default=",".join(SIZES))
    parser.add_argument("--trained", choices=SIZES, metavar="MODEL")
    args = parser.parse_args()
    folder = args.dir.resolve()
    result = turns.header("sequence models on two threads", "", ["torch", "recbole"])
    command = f"python benchmarks/sequence.py {args.dir.name}"
    if args.trained:
        result["command"] = f"{command} --trained {args.trained}"
        result |= trained(folder, args.trained)
    else:
        result["command"] = f"{command} --rounds {args.rounds} --models {args.models}"
        result |= epochs(folder, args.models.split(","), args.rounds)
    turns.finish(result, True)


main()
