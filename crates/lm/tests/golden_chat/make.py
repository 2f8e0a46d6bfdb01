"""Golden tokens of chats: what `apply_chat_template` of transformers makes of them.

A tiny byte-level BPE tokenizer is trained on the templates themselves, so that tokens reach across
the seams between template and content. Run `python make.py` here after a change; it writes
`golden.json`, which the test reads. Needs transformers, tokenizers and jinja2.
"""
import datetime
import itertools
import json
import pathlib

import transformers.utils.chat_template_utils as utils
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent
SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eot_id|>", "<bos>", "<start_of_turn>", "<end_of_turn>",
]
TEMPLATES = {
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "llama3": ("<|begin_of_text|>", "<|eot_id|>"),
    "qwen": (None, "<|im_end|>"),
    "gemma": ("<bos>", "<end_of_turn>"),
}
NOW = datetime.datetime(2026, 3, 7, 9, 5, 0)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


utils.datetime = Clock


def user(content):
    return {"role": "user", "content": content}


def system(content):
    return {"role": "system", "content": content}


def assistant(content):
    return {"role": "assistant", "content": content}


CHATS = [
    [user("Which film fits a user who liked Heat (1995)?")],
    [system("You know this user's purchases."), user("user\nassistant"), assistant("Heat."), user("Why 12 345?")],
    [user("  spaces around \n\n"), assistant("\n\nlines around\n"), user("\ttab\r\n")],
    [user("été, 中国, 🎬 and e\u0301"), assistant("a"), user("b")],
    [system("  trimmed?  "), user(""), assistant("   "), user("last")],
    [user("system\nYou are"), assistant("<think> is text"), user("'s {{ messages }} {% raw %}")],
]
VARIABLES = [{}, {"enable_thinking": False}, {"date_string": "1 Jan 2025"}]


def main():
    sources = {name: (HERE / "templates" / f"{name}.jinja").read_text() for name in TEMPLATES}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    text = list(sources.values()) + [m["content"] for chat in CHATS for m in chat]
    tokenizer.train_from_iterator(text, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    cases = []
    for (name, (bos, eos)), chat, variables, add in itertools.product(
        TEMPLATES.items(), CHATS, VARIABLES, [False, True]
    ):
        fast.bos_token, fast.eos_token = bos, eos
        options = {"chat_template": sources[name], "add_generation_prompt": add, **variables}
        case = {"template": name, "messages": chat, "variables": variables, "add_generation_prompt": add}
        try:
            case["text"] = fast.apply_chat_template(chat, tokenize=False, **options)
            case["ids"] = fast.apply_chat_template(chat, tokenize=True, return_dict=False, **options)
        except Exception as e:
            case["error"] = str(e)
        cases.append(case)
    saved = json.loads(tokenizer.to_str())
    vocab = saved["model"]["vocab"]
    golden = {
        "now": NOW.isoformat(),
        "tokens": sorted(vocab, key=vocab.get),
        "merges": saved["model"]["merges"],
        "special": {t["content"]: t["id"] for t in saved["added_tokens"]},
        "templates": {n: {"bos": b, "eos": e} for n, (b, e) in TEMPLATES.items()},
        "cases": cases,
    }
    (HERE / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, indent=None, separators=(",", ":")) + "\n")


main()
