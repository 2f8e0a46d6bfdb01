"""sentence-transformers on the lines of a file: the counterpart of crates/lm/examples/embed.rs.

    python benchmarks/lm/embed_peer.py MODEL_DIR TEXTS.txt N_THREADS VECTORS.f32

Same output: JSON with the seconds of one call after a short one to warm up, and its processor time, of
all threads; vectors as little-endian f32.
The directory need not hold modules.json: the transformer, mean pooling and normalisation are put
together here as the model card describes them.
"""

import json
import pathlib
import sys
import time

import numpy as np
import torch
from sentence_transformers import SentenceTransformer, models

BATCH_SIZE = 32  # the default of encode()
WIDTH = 384


def main():
    directory, texts, n_threads, out = sys.argv[1:5]
    torch.set_num_threads(int(n_threads))
    transformer = models.Transformer(directory, max_seq_length=512)
    pooling = models.Pooling(WIDTH, pooling_mode="mean")
    model = SentenceTransformer(modules=[transformer, pooling, models.Normalize()], device="cpu")
    batch_size = int(sys.argv[5]) if len(sys.argv) > 5 else BATCH_SIZE
    lines = pathlib.Path(texts).read_text().splitlines()
    model.encode(lines[:64], batch_size=batch_size)
    start, cpu = time.perf_counter(), time.process_time()
    vectors = model.encode(lines, batch_size=batch_size, show_progress_bar=False)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    np.asarray(vectors, dtype="<f4").tofile(out)
    print(json.dumps({"texts": len(lines), "seconds": round(seconds, 3), "cpu_seconds": round(cpu, 2)}))


main()
