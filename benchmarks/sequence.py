"""Sequence models of hkfr-rec against RecBole's on a leave-one-out file: an epoch, an evaluation, and accuracy.

    python benchmarks/sequence.py DIR [--rounds 3] [--epochs N] [--models SASRec,…] > benchmarks/runs/sequence.json

The same sizes on both sides (SIZES), two threads, whole catalogue, seen items allowed, targets of every place of
every sequence. hkfr is asked twice: with RecBole's loss, a softmax over the whole catalogue, and with its own
default, sampled. Each round is one epoch and one evaluation. With --epochs, each side is then trained once, at
most so long, stopped by validation, for the accuracy; hkfr's own by its default. Needs torch and recbole.
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
    "BERT4Rec": ("n_layers=2 n_heads=2 feed_forward=4 mask_prob=0.2", "n_layers=2 n_heads=2 inner_size=256 mask_ratio=0.2"),
    "GRU4Rec": ("hidden=128 n_layers=1", "embedding_size=64 hidden_size=128 num_layers=1"),
    "Caser": ("window=5 n_horizontal=16 n_vertical=8", "embedding_size=64 n_h=16 n_v=8"),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=0)
    parser.add_argument("--models", default=",".join(SIZES))
    args = parser.parse_args()
    folder = args.dir.resolve()
    fit = turns.example("fit")
    losses = {"softmax": ["loss=softmax"], "sampled": []}

    def commands(epochs):
        systems = {}
        for model in args.models.split(","):
            ours, theirs = (sizes.split() for sizes in SIZES[model])
            for loss, key in losses.items():
                one = [fit, folder, model.lower(), "dim=64", f"max_epochs={epochs}", *key, *ours]
                systems[f"{model}, hkfr, {loss}"] = one
            peer = [sys.executable, HERE / "sequence_peer.py", folder, model, *theirs, "--epochs", epochs]
            systems[f"{model}, RecBole"] = peer
        return systems

    results = turns.take_turns(commands(1), args.rounds)
    trained = turns.take_turns(commands(args.epochs), 1) if args.epochs else {}
    pairs = [
        (f"{model}, RecBole", f"{model}, hkfr, {loss}") for model in args.models.split(",") for loss in losses
    ]
    result = turns.header("sequence models on two threads", "", ["torch", "recbole"])
    asked = f"--rounds {args.rounds} --epochs {args.epochs} --models {args.models}"
    result["command"] = f"python benchmarks/sequence.py {args.dir.name} {asked}"
    result |= {
        "epoch_seconds": turns.spreads(results, "epoch_seconds"),
        "evaluation_seconds": turns.spreads(results, "evaluation_seconds"),
        "times_faster_epoch": turns.ratios(results, pairs, "epoch_seconds"),
        "times_faster_evaluation": turns.ratios(results, pairs, "evaluation_seconds"),
        "busy_with_others": turns.others(results),
        "trained": {name: rounds[0] for name, rounds in trained.items()},
    }
    turns.finish(result, True)


main()
