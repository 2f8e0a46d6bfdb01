"""What rounding the weights costs: perplexity of instruction rows in f32, 8 and 4 bits.

    python benchmarks/lm/perplexity.py MODEL.gguf ROWS.json [N_ROWS] > benchmarks/runs/perplexity.json

The rows are taken at even distances (`tuning.py` says how to make ROWS.json); the definitions are in
`crates/lm/examples/perplexity.rs`. Fails if a perplexity in f32 is not that of transformers, to 1e-3 of it.
"""

import json
import math
import pathlib
import sys
import tempfile

import torch
import transformers

import turns

gguf, rows = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
n_rows = int(sys.argv[3]) if len(sys.argv) > 3 else 64
rows = json.loads(rows.read_text())
rows = [rows[i * len(rows) // n_rows] for i in range(n_rows)]
with tempfile.TemporaryDirectory() as scratch:
    chosen = pathlib.Path(scratch, "rows.json")
    chosen.write_text(json.dumps(rows))
    ours = turns.run([turns.example("perplexity"), gguf, chosen, n_rows])
torch.set_num_threads(2)
model = transformers.AutoModelForCausalLM.from_pretrained(
    gguf.parent, gguf_file=gguf.name, dtype=torch.float32
)
losses, answers = [], []
with torch.inference_mode():
    for row in rows:
        ids = torch.tensor(row["ids"])
        log_probs = model(ids[None, :-1]).logits[0].log_softmax(-1)
        loss = -log_probs[torch.arange(len(ids) - 1), ids[1:]]
        losses += loss.tolist()
        answers += loss[row["n_prompt"] - 1 :].tolist()
theirs = {
    "perplexity_answers": math.exp(sum(answers) / len(answers)),
    "perplexity_all": math.exp(sum(losses) / len(losses)),
}
head = turns.header(
    "perplexity of instruction rows, and the distance from f32 in nats",
    f"perplexity.py MODEL.gguf ROWS.json {n_rows}",
    ["torch", "transformers"],
)
result = {
    **head,
    "model": gguf.name,
    **{key: ours[key] for key in ("rows", "tokens", "answer_tokens", "weights")},
    "transformers_f32": theirs,
}
exact = ours["weights"]["f32"]
turns.finish(result, all(abs(exact[key] / value - 1) < 1e-3 for key, value in theirs.items()))
