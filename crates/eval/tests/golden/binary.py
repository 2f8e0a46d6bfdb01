"""Writes `binary.json` beside this file: probabilities, labels and what scikit-learn (1.9.1) says of them.

    python crates/eval/tests/golden/binary.py
"""

import json
import pathlib

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

HERE = pathlib.Path(__file__).resolve().parent


def main():
    rng = np.random.default_rng(7)
    worlds = {}
    for name, n, levels, rate in [
        ("plain", 60, None, 0.5),
        ("ties", 80, 6, 0.4),
        ("rare", 120, None, 0.05),
        ("one-level", 20, 1, 0.5),
        ("certain", 40, 3, 0.5),
    ]:
        labels = (rng.random(n) < rate).astype(int)
        labels[:2] = [0, 1]
        p = np.clip(0.3 * labels + 0.6 * rng.random(n), 0, 1)
        if levels is not None:
            # 0 and 1 among them: a log-loss must not be infinite.
            p = np.round(p * levels) / levels if name != "certain" else rng.choice([0.0, 0.5, 1.0], n)
        p = np.round(p, 6)
        worlds[name] = {
            "p": p.tolist(),
            "labels": labels.tolist(),
            "auc": float(roc_auc_score(labels, p)),
            # scikit-learn keeps p from 0 and 1 by the precision of its type.
            "log_loss": float(log_loss(labels, np.clip(p, 1e-15, 1 - 1e-15))),
        }
    (HERE / "binary.json").write_text(json.dumps(worlds, indent=None, separators=(",", ":")) + "\n")


main()
