"""Lets RecBole 1.2.1 run beside the NumPy, SciPy and PyTorch of today: names that NumPy 2 and SciPy dropped, and
files that hold more than tensors."""

import functools

import numpy as np
import scipy.sparse
import torch

for name, kind in [
    ("float_", np.float64),
    ("float", float),
    ("int", int),
    ("bool8", np.bool_),
    ("unicode_", np.str_),
    ("complex_", np.complex128),
]:
    if name not in np.__dict__:
        setattr(np, name, kind)
torch.load = functools.partial(torch.load, weights_only=False)
scipy.sparse.dok_matrix._update = lambda matrix, entries: matrix._dict.update(entries)
