"""Decoding speed of a peer: 96 steps after a prefix of 256 tokens, two threads.

    python decode_peer.py MODEL.gguf {llama.cpp,transformers} BATCH

llama.cpp reads the GGUF as it is; transformers dequantises it to 32 bits. Prints JSON.
"""

import json
import pathlib
import sys
import time

gguf, peer, batch = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], int(sys.argv[3])
prefix = [1000 + i * 37 for i in range(256)]
STEPS = 96

if peer == "llama.cpp":
    import llama_cpp

    assert batch == 1
    model = llama_cpp.Llama(str(gguf), n_ctx=1024, n_threads=2, n_threads_batch=2, verbose=False)
    model.eval(prefix)
    start = time.perf_counter()
    for step in range(STEPS):
        model.eval([3000 + step])
else:
    import torch
    import transformers

    torch.set_num_threads(2)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    with torch.inference_mode():
        out = model(torch.tensor([prefix] * batch), use_cache=True, logits_to_keep=1)
        start = time.perf_counter()
        for step in range(STEPS):
            token = torch.full((batch, 1), 3000 + step)
            out = model(token, past_key_values=out.past_key_values, use_cache=True)
print(json.dumps({"tokens_per_second": batch * STEPS / (time.perf_counter() - start)}))
