"""Does Python's peft read our adapter and compute what we compute?

Needs torch, transformers, peft and gguf. Compares the next-token logits of hkfr-lm with those of
transformers, without and with the adapter, on a text:

    python benchmarks/peft_parity.py MODEL.gguf ADAPTER_DIR > benchmarks/runs/peft-parity.json

Fails if a logit differs by more than 1e-3, or if the adapter changes nothing.
"""

import json
import pathlib
import subprocess
import sys

import peft
import torch
import transformers

TEXT = "The customer buys fluid milk, soft drinks and 3 frozen pizzas on Monday. Next: "
ROOT = pathlib.Path(__file__).resolve().parent.parent


def ours(model, *adapter):
    command = ["cargo", "run", "-q", "--release", "-p", "hkfr-lm", "--example", "logits", "--"]
    out = subprocess.run(
        [*command, str(model), TEXT, *map(str, adapter)], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    answer = json.loads(out.stdout)
    return answer["ids"], torch.tensor(answer["logits"])


def main():
    gguf, adapter = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
    base = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    ids, plain = ours(gguf)
    _, tuned = ours(gguf, adapter)
    inputs = torch.tensor([ids])
    with torch.no_grad():
        their_plain = base(inputs).logits[0, -1]
        model = peft.PeftModel.from_pretrained(base, adapter)
        their_tuned = model(inputs).logits[0, -1]
    result = {
        "text": TEXT,
        "tokens": len(ids),
        "tokens_equal": tokenizer(TEXT, add_special_tokens=False)["input_ids"] == ids,
        "max_difference_base": (plain - their_plain).abs().max().item(),
        "max_difference_adapter": (tuned - their_tuned).abs().max().item(),
        "adapter_changes_logits_by": (their_tuned - their_plain).abs().max().item(),
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft)},
    }
    print(json.dumps(result, indent=1))
    good = (
        result["tokens_equal"]
        and max(result["max_difference_base"], result["max_difference_adapter"]) < 1e-3
        and result["adapter_changes_logits_by"] > 1e-2
    )
    sys.exit(0 if good else 1)


main()
