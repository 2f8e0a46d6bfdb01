"""LoRA steps with transformers and peft, for comparison with `tune_rows` of hkfr-lm.

    python peft_step.py MODEL.gguf ROWS.json {as-written,tuned} SECONDS [ROWS_A_BATCH [DTYPE]]
    python peft_step.py MODEL.gguf ROWS.json fastest 0

ROWS.json: [{"ids": [...], "n_prompt": n, ...}, ...], one instruction row each; a step is 32 rows in
their order. `as-written` is the usual loop: four padded batches of 8 with accumulated gradients,
logits of all positions. `tuned` uses what is known to help on a CPU: rows of a step sorted by length
so that a batch needs little padding, and no mask where it needs none; logits only where there is a
label; flushed denormals. `fastest` measures
`tuned` with several numbers of rows a batch. Both use torch's fused attention. Prints one JSON object.
"""

import json
import pathlib
import resource
import sys
import time

import peft
import torch
import transformers

gguf, rows, how, seconds = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
per_batch = int(sys.argv[5]) if len(sys.argv) > 5 else 8
dtype = sys.argv[6] if len(sys.argv) > 6 else "float32"
torch.set_num_threads(2)
torch.manual_seed(0)
rows = json.load(open(rows))
base = transformers.AutoModelForCausalLM.from_pretrained(
    gguf.resolve().parent, gguf_file=gguf.name, dtype=getattr(torch, dtype), attn_implementation="sdpa"
)
config = peft.LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
model = peft.get_peft_model(base, config).train()
if how != "as-written":
    torch.set_flush_denormal(True)
trainable = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trainable, lr=5e-4)
steps = [rows[i : i + 32] for i in range(0, len(rows) - 31, 32)]


def loss_of(batch, n_labels):
    width = max(len(r["ids"]) for r in batch)
    ids = torch.tensor([r["ids"] + [0] * (width - len(r["ids"])) for r in batch])
    mask = torch.tensor([[1] * len(r["ids"]) + [0] * (width - len(r["ids"])) for r in batch])
    labels = ids.clone()
    for i, r in enumerate(batch):
        labels[i, : r["n_prompt"]] = -100
        labels[i, len(r["ids"]) :] = -100
    if how == "as-written":
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        return loss * (labels[:, 1:] != -100).sum() / n_labels
    decoder = model.base_model.model
    # The last token predicts nothing; without a mask, attention takes its causal path.
    mask = None if mask.all() else mask[:, :-1]
    hidden = decoder.model(input_ids=ids[:, :-1], attention_mask=mask, use_cache=False).last_hidden_state
    wanted = labels[:, 1:] != -100
    logits = decoder.lm_head(hidden[wanted])
    return torch.nn.functional.cross_entropy(logits, labels[:, 1:][wanted], reduction="sum") / n_labels


def gradient(rows):
    if how != "as-written":
        rows = sorted(rows, key=lambda r: len(r["ids"]))
    n_labels = sum(len(r["ids"]) - r["n_prompt"] for r in rows)
    total = 0.0
    for i in range(0, len(rows), per_batch):
        loss = loss_of(rows[i : i + per_batch], n_labels)
        loss.backward()
        total += loss.item()
    return total


def step(rows):
    total = gradient(rows)
    torch.nn.utils.clip_grad_norm_(trainable, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total


if how == "fastest":
    speeds = {}
    gradient(steps[0][:8])
    for per_batch in (1, 2, 4, 8, 16):
        start = time.perf_counter()
        gradient(steps[0][:16])
        speeds[per_batch] = 16 / (time.perf_counter() - start)
    print(json.dumps({"fastest": max(speeds, key=speeds.get), "rows_per_second": speeds}))
    sys.exit()
first = step(steps[0])
done = tokens = 0
start = time.perf_counter()
for rows in steps[1:]:
    step(rows)
    done += len(rows)
    tokens += sum(len(r["ids"]) for r in rows)
    if time.perf_counter() - start > seconds:
        break
wall = time.perf_counter() - start
print(
    json.dumps(
        {
            "rows_per_second": done / wall,
            "tokens_per_second": tokens / wall,
            "rows": done,
            "seconds": wall,
            "first_loss": first,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    )
)
