"""Makes `sequence/gru4rec.json` and `sequence/caser.json`: small random models and the hidden states
that PyTorch computes with them.

    python sequence_recurrent.py    # torch 2.15

gru4rec     torch.nn.GRU and Linear, as GRU4Rec of RecBole puts them together, with biases
caser       the paper (arXiv 1809.07426, section 3.2) with nn.Conv2d, one window at a time

Every parameter is random, biases too. Histories are computed one by one. `hidden` has a list
(rows, dim) for each history, `dhidden` random gradients of them, `gradients` what autograd makes of
these for the parameters and `items`.
"""

import json
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent / "sequence"
DIM, HIDDEN, LAYERS, WINDOW, HORIZONTAL, VERTICAL, MAX_LEN, N_ITEMS = 8, 6, 2, 3, 4, 2, 5, 11
HISTORIES = [[3], [4, 9], [7, 7, 0, 10, 2], [1, 5, 8]]


class Gru4Rec(nn.Module):
    sizes = {"hidden_size": HIDDEN, "n_layers": LAYERS}

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(DIM, HIDDEN, LAYERS, batch_first=True)
        self.dense = nn.Linear(HIDDEN, DIM)

    def forward(self, x):  # (n, dim)
        return self.dense(self.gru(x[None])[0][0])

    def parameters_of_hkfr(self):
        for i in range(LAYERS):
            for name in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]:
                yield f"gru.{i}.{name}", getattr(self.gru, f"{name}_l{i}")
        yield from self.dense.named_parameters("dense")


class Caser(nn.Module):
    sizes = {"window": WINDOW, "n_horizontal": HORIZONTAL, "n_vertical": VERTICAL}

    def __init__(self):
        super().__init__()
        heights = range(1, WINDOW + 1)
        self.horizontal = nn.ModuleList(nn.Conv2d(1, HORIZONTAL, (h, DIM)) for h in heights)
        self.vertical = nn.Conv2d(1, VERTICAL, (WINDOW, 1), bias=False)
        self.dense = nn.Linear(WINDOW * HORIZONTAL + VERTICAL * DIM, DIM)

    def forward(self, x):  # (n, dim)
        padded = torch.cat([torch.zeros(WINDOW - 1, DIM), x])
        return torch.stack([self.window(padded[i : i + WINDOW]) for i in range(len(x))])

    def window(self, rows):  # (window, dim)
        image = rows[None, None]
        maxima = [torch.relu(conv(image)).amax((0, 2, 3)) for conv in self.horizontal]
        sums = self.vertical(image).flatten()
        return torch.relu(self.dense(torch.cat([*maxima, sums])))

    def parameters_of_hkfr(self):
        for h, conv in enumerate(self.horizontal, 1):
            yield from conv.named_parameters(f"horizontal.{h}")
        yield "vertical.weight", self.vertical.weight
        yield from self.dense.named_parameters("dense")


def numbers(x):
    """The shortest text of each float32."""
    return [float(str(v)) for v in x.detach().float().numpy().ravel()]


def make(name, model):
    torch.manual_seed(17)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.0, 0.3)
    items = torch.randn(N_ITEMS, DIM, requires_grad=True)
    hidden = [model(items[history]) for history in HISTORIES]
    dhidden = [torch.randn_like(h) for h in hidden]
    torch.autograd.backward(hidden, dhidden)
    parameters = dict(model.parameters_of_hkfr())
    gradients = {key: numbers(p.grad) for key, p in parameters.items()}
    golden = {
        "dim": DIM,
        **model.sizes,
        "max_len": MAX_LEN,
        "n_items": N_ITEMS,
        "items": numbers(items),
        "parameters": {key: numbers(p) for key, p in parameters.items()},
        "histories": HISTORIES,
        "hidden": [numbers(h) for h in hidden],
        "dhidden": [numbers(d) for d in dhidden],
        "gradients": gradients | {"items": numbers(items.grad)},
    }
    (HERE / f"{name}.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    make("gru4rec", Gru4Rec())
    make("caser", Caser())
