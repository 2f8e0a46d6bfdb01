"""Do LLaMA-Factory and Axolotl read the rows of a run as they are?

    python -m venv V && V/bin/pip install datasets transformers pydantic fire pyyaml
    V/bin/pip install --no-deps llamafactory axolotl
    V/bin/python check.py RUN/instruct fusion

Passed with llamafactory 0.9.5, axolotl 0.19.0, datasets 5.2.0 and transformers 5.24.0. What runs is their own code:
LLaMA-Factory's parser of dataset_info.json and its converters, Axolotl's schema of a data set and its reading of
turns. What that code imports and does not use here is replaced: torch, and the modules that need it. No model is
loaded, nothing is tokenised or trained.
"""

import importlib
import json
import logging
import os
import sys
import types

import datasets
import yaml

SITE = os.path.dirname(os.path.dirname(datasets.__file__))


def module(name, **members):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(members)


def package(name):
    """Without what its `__init__` imports."""
    module(name, __path__=[os.path.join(SITE, *name.split("."))])


class Anything(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *a, **k: False


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def llama_factory(run, variant):
    for name in ["llamafactory", "llamafactory.data", "llamafactory.extras"]:
        package(name)
    module("llamafactory.extras.misc", use_modelscope=lambda: False, use_openmind=lambda: False)
    module("llamafactory.extras.constants", DATA_CONFIG="dataset_info.json", RUNNING_LOG="log.txt")
    parser = importlib.import_module("llamafactory.data.parser")
    converter = importlib.import_module("llamafactory.data.converter")
    name = "hkfr_" + variant.replace("-", "_")
    data_args = types.SimpleNamespace(
        dataset_dir=run, media_dir=run, streaming=False, preprocessing_num_workers=1, overwrite_cache=True
    )
    training_args = types.SimpleNamespace(local_process_index=0)
    rows = read(os.path.join(run, f"{variant}.alpaca.jsonl"))
    expected = [
        (
            r["input"],
            [{"role": "user", "content": r["instruction"]}],
            [{"role": "assistant", "content": r["output"]}],
        )
        for r in rows
    ]
    for attr in parser.get_dataset_list([name, name + "_alpaca", name + "_sharegpt"], run):
        file = os.path.join(run, attr.dataset_name)
        loaded = datasets.load_dataset("json", data_files=file, split=attr.split)
        aligned = converter.align_dataset(loaded, attr, data_args, training_args)
        found = [(r["_system"], r["_prompt"], r["_response"]) for r in aligned]
        assert found == expected, attr
        print(f"LLaMA-Factory: {len(found)} chats of {attr.dataset_name} are those of the rows")


def axolotl(run, variant):
    import transformers

    try:
        transformers.ProcessorMixin
    except Exception:
        transformers.ProcessorMixin = type("ProcessorMixin", (), {})
    for name in ["torch", "torch.distributed"]:
        sys.modules.setdefault(name, Anything(name))
    for name in ["axolotl", "axolotl.utils", "axolotl.utils.schemas", "axolotl.prompt_strategies"]:
        package(name)
    module("axolotl.utils.logging", get_logger=lambda *a, **k: logging.getLogger("axolotl"))
    schema = importlib.import_module("axolotl.utils.schemas.datasets").SFTDataset
    strategies = importlib.import_module("axolotl.prompt_strategies.chat_template")

    def turns(entry):
        schema(**entry)
        unknown = set(entry) - set(schema.model_fields)
        assert not unknown, unknown
        prompter = strategies.ChatTemplatePrompter.__new__(strategies.ChatTemplatePrompter)
        roles = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
        vars(prompter).update(
            field_messages=entry["field_messages"],
            message_property_mappings=entry["message_property_mappings"],
            roles=roles,
            field_tools=None,
            field_thinking="reasoning_content",
            template_thinking_key="reasoning_content",
            field_system="system",
            drop_system_message=False,
            message_field_training=None,
            message_field_training_detail=None,
            _chat_template_msg_variables={"role", "content"},
        )
        strategy = strategies.ChatTemplateStrategy.__new__(strategies.ChatTemplateStrategy)
        vars(strategy).update(prompter=prompter, split_thinking=False)
        threads = [strategy.get_conversation_thread(row) for row in read(os.path.join(run, entry["path"]))]
        return [[(turn["role"], turn["content"]) for turn in thread] for thread in threads]

    text = open(os.path.join(run, "axolotl.yml"), encoding="utf-8").read()
    text = text.replace(yaml.safe_load(text)["datasets"][0]["path"].split(".")[0] + ".", variant + ".")
    entry = yaml.safe_load(text)["datasets"][0]
    # The second form stands in comments.
    comments = text[text.index("# The same as ShareGPT") : text.index("# The same as Alpaca")]
    lines = [line.removeprefix("# ") for line in comments.splitlines()[1:]]
    [sharegpt] = yaml.safe_load("\n".join(lines))
    rows = read(os.path.join(run, f"{variant}.alpaca.jsonl"))
    expected = [
        [("system", r["input"]), ("user", r["instruction"]), ("assistant", r["output"])] for r in rows
    ]
    for entry in [entry, sharegpt]:
        assert turns(entry) == expected, entry
        print(f"Axolotl: {len(rows)} chats of {entry['path']} are those of the rows")


if __name__ == "__main__":
    llama_factory(*sys.argv[1:])
    axolotl(*sys.argv[1:])
