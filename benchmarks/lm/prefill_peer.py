"""Prefill with transformers: the counterpart of crates/lm/examples/prefill.rs.

    python prefill_peer.py MODEL.gguf PROMPTS.json SECONDS LOGITS.f32 {f32,bf16}

All prompts, of one length, are one batch; only the last position goes through the output matrix.
"""

import json
import pathlib
import resource
import sys
import time

import torch
import transformers

N_THREADS = 2
gguf, prompts, seconds, out = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], float(sys.argv[3]), sys.argv[4]
torch.set_num_threads(N_THREADS)
model = transformers.AutoModelForCausalLM.from_pretrained(
    gguf.parent, gguf_file=gguf.name, dtype={"f32": torch.float32, "bf16": torch.bfloat16}[sys.argv[5]]
)
ids = torch.tensor(json.loads(pathlib.Path(prompts).read_text()))
with torch.inference_mode():
    logits = model(ids, use_cache=True, logits_to_keep=1).logits
    n, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        logits = model(ids, use_cache=True, logits_to_keep=1).logits
        n += ids.numel()
    speed = n / (time.perf_counter() - start)
logits[:, -1].float().numpy().astype("<f4").tofile(out)
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"tokens_per_second": speed, "peak_mb": peak_mb}))
