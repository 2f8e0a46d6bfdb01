"""Makes `choices.json`: what reference implementations make of 9 users' choices among 8 items.

    python choices.py    # implicit 0.7, recbole 1.2, torch 2.15

item_knn    scores by implicit's CosineRecommender, all neighbours kept
ease        scores by RecBole's EASE, whose entries are 1 where those of hkfr are ln 2: regularised with λ / (ln 2)²
ials        users solved for random item vectors by implicit's AlternatingLeastSquares. There a pair that was
            chosen has the weight C, any other 1; in hkfr 1 + α and α, and the pair is to be 1 in one of two terms. With
            vectors times √(1 + α), C = (1 + α) / α and regularisation λ (1 + α) / α (ν = 0) it is the same minimum
bpr         an epoch of implicit's BayesianPersonalizedRanking from random vectors. It does not tell which triples it drew:
            they are found by trying all, in double precision
light_gcn   vectors and gradients by RecBole's LightGCN for random vectors and triples
"""

import itertools
import json
import math
import pathlib
import sys
import tempfile

import numpy as np
import scipy.sparse as sp
import torch

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parents[3] / "benchmarks"))
import recbole_now  # noqa: E402, F401

N_USERS, N_ITEMS, DIM, LAYERS = 9, 8, 3, 2
ALPHA, LAMBDA, EASE_LAMBDA, GCN_LAMBDA = 0.2, 0.05, 60.0, 0.4
ROWS = [[e for e in range(N_ITEMS) if (u * 5 + e * e) % 3 == 0 or e % 9 == u % 8] for u in range(N_USERS)]
X = sp.csr_matrix(np.array([[float(e in row) for e in range(N_ITEMS)] for row in ROWS], dtype=np.float32))
TRIPLES = [(0, 0, 1), (2, 2, 0), (3, 3, 1), (5, 5, 0), (8, 0, 2)]
rng = np.random.default_rng(7)


def item_knn():
    from implicit.nearest_neighbours import CosineRecommender

    model = CosineRecommender(K=N_ITEMS)
    model.fit(X, show_progress=False)
    return (X @ model.similarity).toarray() * math.log(2)


def ials():
    from implicit.cpu.als import AlternatingLeastSquares

    items = rng.normal(size=(N_ITEMS, DIM)).astype(np.float32)
    scale = math.sqrt(1 + ALPHA)
    weight = (1 + ALPHA) / ALPHA
    model = AlternatingLeastSquares(factors=DIM, regularization=LAMBDA * weight, alpha=weight)
    model.item_factors = (items * scale).astype(np.float32)
    users = model.recalculate_user(np.arange(N_USERS), X) / scale
    return {"items": items, "users": users, "alpha": ALPHA, "lambda": LAMBDA}


def bpr():
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    rows = [[0], [1], [2, 3]]
    chosen = [(u, i) for u, row in enumerate(rows) for i in row]
    users, items = rng.normal(size=(2, 4, DIM + 1)).astype(np.float32)
    users = users[: len(rows)]
    users[:, DIM] = 1
    rate, regularisation = 0.3, 0.2
    model = BayesianPersonalizedRanking(
        factors=DIM, learning_rate=rate, regularization=regularisation, iterations=1, num_threads=1, random_state=3
    )
    model.user_factors, model.item_factors = users.copy(), items.copy()
    model.fit(sp.csr_matrix((np.ones(4, np.float32), tuple(zip(*chosen))), (len(rows), 4)), show_progress=False)
    after = np.concatenate([model.user_factors, model.item_factors])

    def told(triples):
        w, h = users.astype(float), items.astype(float)
        for u, i, j in triples:
            z = 1 / (1 + math.exp(w[u] @ (h[i] - h[j])))
            steps = z * (h[i] - h[j]) - regularisation * w[u], z * w[u] - regularisation * h[i], -z * w[u] - regularisation * h[j]
            for row, step in zip((w[u], h[i], h[j]), steps):
                row += rate * step
            w[u, DIM] = 1
        return np.concatenate([w, h])

    # An item of the user's own, drawn as the other one, is passed over.
    triples = [None] + [(u, i, j) for u, i in chosen for j in range(4) if j not in rows[u]]
    tried = {tuple(filter(None, drawn)) for drawn in itertools.product(triples, repeat=len(chosen))}
    same = [drawn for drawn in tried if np.abs(told(drawn) - after).max() < 1e-5]
    # Triples that share no vector may be told in any order.
    (drawn,) = {tuple(sorted(drawn)) for drawn in same}
    assert len(drawn) > 1
    return {
        "rows": rows,
        "before": np.concatenate([users, items]),
        "triples": min(same),
        "after": after,
        "learning_rate": rate,
        "lambda": regularisation,
    }


def recbole(name, settings):
    """A model, and the positions of our users and items in it."""
    from recbole.config import Config
    from recbole.data import create_dataset
    from recbole.utils import get_model

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "data").mkdir()
        with open(folder / "data" / "data.inter", "w") as inter:
            inter.write("user_id:token\titem_id:token\n")
            for u, row in enumerate(ROWS):
                inter.writelines(f"{u}\t{e}\n" for e in row)
        fixed = {"data_path": str(folder), "load_col": {"inter": ["user_id", "item_id"]}, "use_gpu": False, "state": "ERROR"}
        config = Config(model=name, dataset="data", config_dict=fixed | settings)
        dataset = create_dataset(config)
        dataset._change_feat_format()
        model = get_model(name)(config, dataset)
    users = dataset.token2id("user_id", [str(u) for u in range(N_USERS)])
    items = dataset.token2id("item_id", [str(e) for e in range(N_ITEMS)])
    return model, users, items


def ease():
    model, _, items = recbole("EASE", {"reg_weight": EASE_LAMBDA / math.log(2) ** 2})
    similarity = np.asarray(model.item_similarity)[np.ix_(items, items)]
    return (X @ similarity) * math.log(2)


def light_gcn():
    settings = {"embedding_size": DIM, "n_layers": LAYERS, "reg_weight": GCN_LAMBDA, "require_pow": True}
    model, users, items = recbole("LightGCN", settings)
    table = rng.normal(size=(N_USERS + N_ITEMS, DIM)).astype(np.float32)
    learnt = [(model.user_embedding.weight, users, table[:N_USERS]), (model.item_embedding.weight, items, table[N_USERS:])]
    with torch.no_grad():
        for weight, rows, values in learnt:
            weight[rows] = torch.from_numpy(values)
    vectors = [side[rows].detach().numpy() for side, (_, rows, _) in zip(model.forward(), learnt)]
    u, i, j = (torch.tensor([t[k] for t in TRIPLES]) for k in range(3))
    u, i, j = torch.tensor(users)[u], torch.tensor(items)[i], torch.tensor(items)[j]
    model.calculate_loss({"user_id": u, "item_id": i, "neg_item_id": j}).sum().backward()
    gradients = [weight.grad[rows].numpy() for weight, rows, _ in learnt]
    return {
        "table": table,
        "vectors": np.concatenate(vectors),
        "triples": TRIPLES,
        "gradients": np.concatenate(gradients),
        "lambda": GCN_LAMBDA,
        "n_layers": LAYERS,
    }


def plain(value):
    if isinstance(value, np.ndarray):
        return [float(f"{x:.7g}") for x in value.ravel()]
    return {key: plain(v) for key, v in value.items()} if isinstance(value, dict) else value


sys.argv = sys.argv[:1]
made = {"dim": DIM, "rows": ROWS, "ease_lambda": EASE_LAMBDA, "item_knn": item_knn(), "ease": ease(), "ials": ials(), "light_gcn": light_gcn(), "bpr": bpr()}
(HERE / "choices.json").write_text(json.dumps(plain(made)) + "\n")
