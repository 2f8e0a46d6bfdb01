"""Makes `sequence/*.json`: small random sequence models and the hidden states that the reference
implementations compute with them.

    python sequence_attention.py    # torch 2.15, numpy, recbole 1.2.1, rectools 0.19

sasrec      the structure of github.com/pmixer/SASRec.pytorch, written here
esasrec     LiGRLayers of RecTools
bert4rec    TransformerEncoder of RecBole, with the input and output layers of its BERT4Rec

Every parameter is random, gains and biases too. The references have a bias of the keys, which hkfr has
not: it adds q·b to all scores of a row, which softmax ignores. It is random here and left out of the
files. LayerNorm's epsilon is 1e-5 everywhere. Histories are computed one by one, positions counting
from the end. `hidden` has a list (rows, dim) for each history; BERT4Rec's ends with the mask's row.
"""

import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent / "sequence"
DIM, HEADS, LAYERS, MAX_LEN, N_ITEMS = 8, 2, 2, 5, 11
HISTORIES = [[3], [4, 9], [7, 7, 0, 10, 2], [1, 5, 8]]
EPS = 1e-5


def recbole_layers():
    for name, kind in [("float_", np.float64), ("unicode_", np.str_), ("complex_", np.complex128)]:
        if not hasattr(np, name):
            setattr(np, name, kind)
    return importlib.import_module("recbole.model.layers")


def ligr():
    """Without the packages' __init__, which need Lightning."""
    root = Path(importlib.util.find_spec("rectools").submodule_search_locations[0])
    for i, name in enumerate(parts := ["rectools", "models", "nn", "transformers"]):
        package = types.ModuleType(".".join(parts[: i + 1]))
        package.__path__ = [str(root.joinpath(*parts[1 : i + 1]))]
        sys.modules[package.__name__] = package
    return importlib.import_module("rectools.models.nn.transformers.ligr")


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(DIM, DIM, kernel_size=1)
        self.conv2 = nn.Conv1d(DIM, DIM, kernel_size=1)

    def forward(self, x):
        return self.conv2(torch.relu(self.conv1(x.transpose(-1, -2)))).transpose(-1, -2) + x


class SasRec(nn.Module):
    def __init__(self):
        super().__init__()
        norms = lambda: nn.ModuleList(nn.LayerNorm(DIM, eps=EPS) for _ in range(LAYERS))
        self.attention_layernorms, self.forward_layernorms = norms(), norms()
        self.attention_layers = nn.ModuleList(nn.MultiheadAttention(DIM, HEADS) for _ in range(LAYERS))
        self.forward_layers = nn.ModuleList(FeedForward() for _ in range(LAYERS))
        self.last_layernorm = nn.LayerNorm(DIM, eps=EPS)

    def forward(self, x):  # (n, dim)
        unseen = ~torch.tril(torch.ones(len(x), len(x), dtype=torch.bool))
        for i in range(LAYERS):
            q = self.attention_layernorms[i](x)
            y = q + self.attention_layers[i](q, x, x, attn_mask=unseen)[0]
            x = self.forward_layers[i](self.forward_layernorms[i](y))
        return self.last_layernorm(x)

    def parameters_of_hkfr(self):
        for i in range(LAYERS):
            at, feed_forward = f"blocks.{i}", self.forward_layers[i]
            yield f"{at}.attention_norm", self.attention_layernorms[i]
            yield from attention(f"{at}.attention", self.attention_layers[i])
            yield f"{at}.feed_forward_norm", self.forward_layernorms[i]
            yield f"{at}.up_proj", feed_forward.conv1
            yield f"{at}.down_proj", feed_forward.conv2
        yield "norm", self.last_layernorm


class ESasRec(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = ligr().LiGRLayers(LAYERS, DIM, HEADS, 0.0)

    def forward(self, x):
        unseen = ~torch.tril(torch.ones(len(x), len(x), dtype=torch.bool))
        return self.layers(x[None], torch.ones(1, len(x), 1), unseen, None)[0]

    def parameters_of_hkfr(self):
        for i, layer in enumerate(self.layers.transformer_blocks):
            at, feed_forward = f"blocks.{i}", layer.feed_forward
            yield f"{at}.attention_norm", layer.layer_norm_1
            yield from attention(f"{at}.attention", layer.multi_head_attn)
            yield f"{at}.attention_gate", layer.gating_linear_1
            yield f"{at}.feed_forward_norm", layer.layer_norm_2
            yield f"{at}.gate_proj", feed_forward.ff_linear_1
            yield f"{at}.up_proj", feed_forward.ff_linear_3
            yield f"{at}.down_proj", feed_forward.ff_linear_2
            yield f"{at}.feed_forward_gate", layer.gating_linear_2


class Bert4Rec(nn.Module):
    def __init__(self):
        super().__init__()
        self.trm_encoder = recbole_layers().TransformerEncoder(
            LAYERS, HEADS, DIM, 4 * DIM, 0.0, 0.0, "gelu", EPS
        )
        self.LayerNorm = nn.LayerNorm(DIM, eps=EPS)
        self.output_ffn = nn.Linear(DIM, DIM)
        self.output_ln = nn.LayerNorm(DIM, eps=EPS)

    def forward(self, x):
        hidden = self.trm_encoder(self.LayerNorm(x)[None], torch.zeros(1, 1, 1, len(x)))[-1][0]
        return self.output_ln(nn.functional.gelu(self.output_ffn(hidden)))

    def parameters_of_hkfr(self):
        yield "first_norm", self.LayerNorm
        for i, layer in enumerate(self.trm_encoder.layer):
            at, heads, feed_forward = f"blocks.{i}", layer.multi_head_attention, layer.feed_forward
            for name in ["query", "key", "value"]:
                yield f"{at}.attention.{name[0]}_proj", getattr(heads, name)
            yield f"{at}.attention.o_proj", heads.dense
            yield f"{at}.attention_norm", heads.LayerNorm
            yield f"{at}.up_proj", feed_forward.dense_1
            yield f"{at}.down_proj", feed_forward.dense_2
            yield f"{at}.feed_forward_norm", feed_forward.LayerNorm
        yield "output.projection", self.output_ffn
        yield "output.norm", self.output_ln


def attention(at, module):
    """Queries, keys and values lie in one matrix of PyTorch's."""
    weights, biases = module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3)
    for name, weight, bias in zip("qkv", weights, biases):
        yield f"{at}.{name}_proj", types.SimpleNamespace(weight=weight, bias=bias)
    yield f"{at}.o_proj", module.out_proj


def numbers(x):
    """The shortest text of each float32."""
    return [float(str(v)) for v in x.detach().float().numpy().ravel()]


def make(name, model, n_special):
    torch.manual_seed(17)
    model.eval()
    for key, parameter in model.named_parameters():
        gain = parameter.dim() == 1 and "weight" in key
        nn.init.normal_(parameter, 1.0 if gain else 0.0, 0.3)
    items = torch.randn(N_ITEMS + n_special, DIM)
    positions = torch.randn(MAX_LEN + n_special, DIM)
    parameters = {"positions.weight": numbers(positions)}
    for at, module in model.parameters_of_hkfr():
        parameters[f"{at}.weight"] = numbers(module.weight)
        if module.bias is not None and not at.endswith("k_proj"):
            parameters[f"{at}.bias"] = numbers(module.bias)
    hidden = []
    with torch.no_grad():
        for history in HISTORIES:
            tokens = history + [N_ITEMS] * n_special
            x = items[tokens] + positions[: len(tokens)].flip(0)
            hidden.append(numbers(model(x)))
    golden = {
        "dim": DIM,
        "n_heads": HEADS,
        "n_layers": LAYERS,
        "max_len": MAX_LEN,
        "n_items": N_ITEMS,
        "items": numbers(items),
        "parameters": parameters,
        "histories": HISTORIES,
        "hidden": hidden,
    }
    (HERE / f"{name}.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    make("sasrec", SasRec(), 0)
    make("esasrec", ESasRec(), 0)
    make("bert4rec", Bert4Rec(), 1)
