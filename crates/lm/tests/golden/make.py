"""Makes the golden files of this directory: tiny random models and what `transformers`, `peft` and
`torch` compute with them.

    python make.py      # torch 2.15, transformers 5.24, peft, safetensors, gguf

One directory a model:
    config.json, model*.safetensors     the model
    adapter/                            a PEFT adapter on all seven projections, B not zero
    expected.safetensors                tokens; logits (tokens, vocabulary) without and with the adapter;
                                        the loss with the adapter and its gradient for every matrix
                                        (grad.<name of the tensor in the adapter>)
`smollm2.json` has logits of a real model, made if HKFR_CACHE names a directory with its GGUF file.
`glm4/model.gguf` is that model as llama.cpp's converter writes it.
`tokenizer/` holds a trained byte-level BPE as tokenizer.json, and texts with their ids.
"""

import copy
import json
import os
import shutil
from pathlib import Path

import gguf
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Glm4Config,
    Glm4ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

HERE = Path(__file__).parent
VOCAB, N_TOKENS = 64, 24
SMOLLM2_TEXT = (
    "Someone who rated Heat (1995) and The Godfather 5 of 5 and left \"Love Actually\" after 12 minutes "
    "will probably like a slow crime film, such as Zodiac; caf\u00e9 scenes at 3,50 \u20ac don\u2019t matter."
)

COMMON = dict(
    vocab_size=VOCAB,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    bos_token_id=None,
    eos_token_id=None,
    pad_token_id=None,
)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=500.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=32,
)
MODELS = {
    "llama-tied": (LlamaForCausalLM, LlamaConfig(**COMMON, tie_word_embeddings=True), torch.float32),
    "llama-untied": (
        LlamaForCausalLM,
        LlamaConfig(**COMMON, tie_word_embeddings=False, rope_parameters=LLAMA3),
        torch.bfloat16,
    ),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**COMMON, tie_word_embeddings=True), torch.bfloat16),
    "qwen3": (
        Qwen3ForCausalLM,
        Qwen3Config(**COMMON, head_dim=12, tie_word_embeddings=False),
        torch.float16,
    ),
    "glm4": (Glm4ForCausalLM, Glm4Config(**COMMON, head_dim=16), torch.bfloat16),
}


def randomise(model, dtype):
    """Unit gain, so that logits are far from uniform, and no norm or bias that could be left out unseen."""
    for name, p in model.named_parameters():
        if name.endswith("norm.weight"):
            p.data.uniform_(0.5, 1.5)
        elif name.endswith(".bias"):
            p.data.normal_(0, 0.5)
        elif "layernorm" in name:
            p.data.uniform_(0.5, 1.5)
        elif "embed" in name:
            p.data.normal_(0, 1)
        else:
            p.data.normal_(0, p.shape[-1] ** -0.5)
        # What the file holds, in full precision.
        p.data = p.data.to(dtype).float()


def make(name, cls, config, dtype):
    torch.manual_seed(len(name))
    out = HERE / name
    shutil.rmtree(out, ignore_errors=True)
    config._attn_implementation = "eager"
    model = cls(config).eval()
    randomise(model, dtype)
    shards = dict(max_shard_size="30KB") if name == "llama-untied" else {}
    # A copy: its buffers (the frequencies of RoPE) would come back rounded.
    copy.deepcopy(model).to(dtype).save_pretrained(out, **shards)
    (out / "generation_config.json").unlink(missing_ok=True)
    if name == "llama-untied":
        # The older generation of config files.
        path = out / "config.json"
        c = json.loads(path.read_text())
        rope = c.pop("rope_parameters")
        c["rope_theta"] = rope.pop("rope_theta")
        c["rope_scaling"] = rope
        path.write_text(json.dumps(c, indent=2) + "\n")

    tokens = torch.randint(0, VOCAB, (1, N_TOKENS))
    expected = {"tokens": tokens[0].float()}
    with torch.no_grad():
        expected["logits"] = model(tokens).logits[0]

    fused = hasattr(model.model.layers[0].mlp, "gate_up_proj")
    mlp = ["gate_up_proj"] if fused else ["gate_proj", "up_proj"]
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", *mlp, "down_proj"]
    peft = get_peft_model(model, LoraConfig(r=3, lora_alpha=5, target_modules=targets, task_type="CAUSAL_LM"))
    for key, p in peft.named_parameters():
        if "lora_" in key:
            p.data.normal_(0, 0.2)
    peft.eval()
    peft.save_pretrained(out / "adapter")
    (out / "adapter" / "README.md").unlink(missing_ok=True)
    # The path of this checkout is nobody's business.
    path = out / "adapter" / "adapter_config.json"
    c = json.loads(path.read_text())
    c["base_model_name_or_path"] = name
    path.write_text(json.dumps(c, indent=2) + "\n")

    logits = peft(tokens).logits[0]
    expected["adapter.logits"] = logits.detach()
    loss = torch.nn.functional.cross_entropy(logits[:-1], tokens[0, 1:])
    loss.backward()
    expected["adapter.loss"] = loss.detach().reshape(1)
    for key, p in peft.named_parameters():
        if "lora_" in key:
            expected["grad." + key.replace(".default", "")] = p.grad
    save_file({k: v.float().contiguous() for k, v in expected.items()}, out / "expected.safetensors")


def glm4_gguf(out=HERE / "glm4" / "model.gguf", kind=gguf.GGMLQuantizationType.BF16):
    """What conversion/glm.py of llama.cpp makes of `glm4/`: names by gguf's own map, nothing permuted."""
    c = Glm4Config.from_pretrained(HERE / "glm4")
    w = gguf.GGUFWriter(out, "glm4")
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_key_length(c.head_dim)
    w.add_value_length(c.head_dim)
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    w.add_rope_dimension_count(int(c.head_dim * c.rope_parameters["partial_rotary_factor"]))
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("glm4")
    w.add_token_list(["a", "b", "ab", *(f"t{i}" for i in range(3, VOCAB))])
    w.add_token_types([gguf.TokenType.NORMAL] * VOCAB)
    w.add_token_merges(["a b"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GLM4, c.num_hidden_layers)
    for name, tensor in load_file(HERE / "glm4" / "model.safetensors").items():
        name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        to = kind if tensor.ndim == 2 else gguf.GGMLQuantizationType.F32
        w.add_tensor(name, gguf.quants.quantize(tensor.float().numpy(), to), raw_dtype=to)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def smollm2(cache):
    """Logits after every fifth token of a text: the largest 16, and 16 that are spread over the vocabulary."""
    at = dict(
        pretrained_model_name_or_path=cache / "smollm2-135m-instruct",
        gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf",
    )
    ids = AutoTokenizer.from_pretrained(**at)(SMOLLM2_TEXT).input_ids
    model = AutoModelForCausalLM.from_pretrained(**at, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    spread = torch.arange(16) * (logits.shape[1] // 16)
    rows = []
    for position in range(4, len(ids), 5):
        tokens = torch.cat([logits[position].topk(16).indices, spread])
        values = [round(v, 5) for v in logits[position, tokens].tolist()]
        rows.append(dict(position=position, tokens=tokens.tolist(), logits=values))
    golden = dict(text=SMOLLM2_TEXT, ids=ids, rows=rows)
    (HERE / "smollm2.json").write_text(json.dumps(golden) + "\n")


QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3_SPLIT = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
TEXTS = [
    "It's 2 films she'LL see: Blade Runner 2049, 12 Angry Men!",
    "  three  spaces\n\n\tand a tab, e\u0301 and \u00e9 and \u4f60\u597d \U0001f600...",
    "order #123456 (3,50 $) -> cart; it\u2019s 50%\r\n",
    "<|im_start|>system<|im_end|><think>no marker</think>",
    "",
]


def tokenizer():
    out = HERE / "tokenizer"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()

    def train(splits, normalizer=None, byte_level_splits=False):
        t = Tokenizer(models.BPE())
        if normalizer:
            t.normalizer = normalizer
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=byte_level_splits)
        t.pre_tokenizer = pre_tokenizers.Sequence([*splits, byte_level])
        t.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=340, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
        )
        t.train_from_iterator(TEXTS * 3, trainer)
        return t

    def split(regex):
        return pre_tokenizers.Split(Regex(regex), "isolated")

    kinds = {
        "smollm": train([pre_tokenizers.Digits(True)], byte_level_splits=True),
        "gpt-2": train([], byte_level_splits=True),
        "qwen2": train([split(QWEN2)], normalizers.NFC()),
        "llama-bpe": train([split(LLAMA3_SPLIT)]),
    }
    cases = {}
    for kind, t in kinds.items():
        model = json.loads(t.to_str())["model"]
        vocab = sorted(model["vocab"], key=model["vocab"].get)
        cases[kind] = {
            "tokens": vocab,
            "merges": [m if isinstance(m, list) else m.split(" ") for m in model["merges"]],
            "ids": [t.encode(x).ids for x in TEXTS],
        }
    # The expected ids are taken before markers exist: text stays text.
    qwen = kinds["qwen2"]
    qwen.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    qwen.add_tokens(["<think>", "</think>"])
    qwen.save(str(out / "tokenizer.json"), pretty=False)
    (out / "cases.json").write_text(json.dumps({"texts": TEXTS, "kinds": cases}) + "\n")


if __name__ == "__main__":
    for name, (cls, config, dtype) in MODELS.items():
        make(name, cls, config, dtype)
    glm4_gguf()
    tokenizer()
    if cache := os.environ.get("HKFR_CACHE"):
        smollm2(Path(cache))
