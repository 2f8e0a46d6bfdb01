"""Log-probabilities of each user's candidates: the counterparts of crates/lm/examples/candidates.rs.

    python candidates_peer.py MODEL.gguf USERS.json SCORES.f32 HOW [CANDIDATES_A_PASS]

HOW, all on two threads:
- as-written: transformers, one forward pass of prompt and candidate for each candidate.
- cached: transformers, one pass of the prompt, then passes of candidates, padded, after a copy of its
  keys and values; logits only where a token is asked for. Takes the number a pass if it is given,
  otherwise tries several on the first user and prints the fastest.
- llama.cpp: the prompt stays in its memory; each candidate is decoded after it and removed again.
- llama.cpp-batched: the prompt's memory is shared by as many sequences as there are candidates, and
  all of them are decoded in one call.
Both of llama.cpp use its C interface and read the GGUF as it is.
"""

import json
import pathlib
import resource
import sys
import time

import numpy as np
import torch

gguf, users, out, how = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3], sys.argv[4]
users = json.loads(pathlib.Path(users).read_text())
torch.set_num_threads(2)


def asked(log_probs, tokens):
    """Σ ln p of `tokens`, one a row."""
    return log_probs[torch.arange(len(tokens)), torch.tensor(tokens)].sum().item()


class AsWritten:
    def __init__(self, per_pass):
        import transformers

        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32
        )

    def one(self, prompt, candidate):
        logits = self.model(torch.tensor([prompt + candidate])).logits[0]
        return asked(logits[len(prompt) - 1 : -1].log_softmax(-1), candidate)

    def scores(self, prompt, candidates):
        return [self.one(prompt, c) for c in candidates]

    def warm_up(self, user):
        self.scores(user["prompt"], user["candidates"][:2])


class Cached(AsWritten):
    def __init__(self, per_pass):
        super().__init__(per_pass)
        self.per_pass = per_pass

    def scores(self, prompt, candidates):
        prefix = self.model(torch.tensor([prompt]), use_cache=True, logits_to_keep=1)
        first = prefix.logits[0, -1].log_softmax(-1)
        # Sorted by length, so that a pass needs little padding.
        order = sorted(range(len(candidates)), key=lambda i: len(candidates[i]))
        scores = [first[c[0]].item() for c in candidates]
        for i in range(0, len(order), self.per_pass):
            chosen = [j for j in order[i : i + self.per_pass] if len(candidates[j]) > 1]
            if chosen:
                for j, score in zip(chosen, self.rest(len(prompt), prefix, [candidates[j] for j in chosen])):
                    scores[j] += score
        return scores

    def rest(self, n_prompt, prefix, candidates):
        """Of all tokens of each candidate but the first."""
        from transformers import DynamicCache

        n, width = len(candidates), max(map(len, candidates)) - 1
        layers = prefix.past_key_values.layers
        cache = DynamicCache([(l.keys.expand(n, -1, -1, -1), l.values.expand(n, -1, -1, -1)) for l in layers])
        lengths = torch.tensor([len(c) - 1 for c in candidates])
        real = torch.arange(width) < lengths[:, None]
        ids = torch.tensor([c[:-1] + [0] * (width + 1 - len(c)) for c in candidates])
        mask = torch.cat([torch.ones(n, n_prompt, dtype=torch.long), real.long()], dim=1)
        hidden = self.model.model(input_ids=ids, attention_mask=mask, past_key_values=cache).last_hidden_state
        targets = torch.tensor(sum((c[1:] for c in candidates), []))
        log_probs = self.model.lm_head(hidden[real]).log_softmax(-1)
        each = log_probs[torch.arange(len(targets)), targets]
        return [part.sum().item() for part in each.split(lengths.tolist())]

    def warm_up(self, user):
        if self.per_pass:
            self.scores(user["prompt"], user["candidates"])
            return
        seconds = {}
        for self.per_pass in (5, 10, 20, 50, 100):
            self.scores(user["prompt"], user["candidates"])
            start = time.perf_counter()
            self.scores(user["prompt"], user["candidates"])
            seconds[self.per_pass] = time.perf_counter() - start
        print(json.dumps({"fastest": min(seconds, key=seconds.get), "seconds": seconds}))
        sys.exit()


class LlamaCpp:
    n_sequences = 1

    def __init__(self, per_pass):
        import llama_cpp

        self.c = c = llama_cpp
        c.llama_backend_init()
        self.quiet = c.llama_log_callback(lambda *_: None)
        c.llama_log_set(self.quiet, None)
        self.model = c.llama_model_load_from_file(str(gguf).encode(), c.llama_model_default_params())
        params = c.llama_context_default_params()
        params.n_ctx = params.n_batch = 2048
        params.n_threads = params.n_threads_batch = 2
        params.n_seq_max, params.kv_unified = self.n_sequences, True
        self.context = c.llama_init_from_model(self.model, params)
        self.memory = c.llama_get_memory(self.context)
        self.vocab_size = c.llama_vocab_n_tokens(c.llama_model_get_vocab(self.model))
        self.batch = c.llama_batch_init(2048, 0, 1)

    def decode(self, tokens):
        """`tokens`: (token, position, sequence, whether its logits are needed). Returns ln p, a row each."""
        batch = self.batch
        batch.n_tokens = len(tokens)
        for i, (token, position, sequence, wanted) in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, wanted
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        assert self.c.llama_decode(self.context, batch) == 0
        n = sum(t[3] for t in tokens)
        logits = np.ctypeslib.as_array(self.c.llama_get_logits(self.context), (n, self.vocab_size))
        return torch.from_numpy(logits).log_softmax(-1)

    def prompt(self, prompt, candidates):
        self.c.llama_memory_clear(self.memory, True)
        last = len(prompt) - 1
        first = self.decode([(t, i, 0, i == last) for i, t in enumerate(prompt)])[0]
        return [first[c[0]].item() for c in candidates]

    def scores(self, prompt, candidates):
        scores, n = self.prompt(prompt, candidates), len(prompt)
        for i, c in enumerate(candidates):
            if len(c) > 1:
                scores[i] += asked(self.decode([(t, n + j, 0, True) for j, t in enumerate(c[:-1])]), c[1:])
                self.c.llama_memory_seq_rm(self.memory, 0, n, -1)
        return scores

    def warm_up(self, user):
        self.scores(user["prompt"], user["candidates"][:2])


class LlamaCppBatched(LlamaCpp):
    n_sequences = 128

    def scores(self, prompt, candidates):
        scores, n = self.prompt(prompt, candidates), len(prompt)
        tokens, targets = [], []
        for i, c in enumerate(candidates):
            self.c.llama_memory_seq_cp(self.memory, 0, i + 1, -1, -1)
            tokens += [(t, n + j, i + 1, True) for j, t in enumerate(c[:-1])]
            targets += c[1:]
        each = self.decode(tokens)[torch.arange(len(targets)), torch.tensor(targets)]
        for i, part in enumerate(each.split([len(c) - 1 for c in candidates])):
            scores[i] += part.sum().item()
        return scores


SYSTEMS = {
    "as-written": AsWritten,
    "cached": Cached,
    "llama.cpp": LlamaCpp,
    "llama.cpp-batched": LlamaCppBatched,
}
with torch.inference_mode():
    system = SYSTEMS[how](int(sys.argv[5]) if len(sys.argv) > 5 else None)
    system.warm_up(users[0])
    start = time.perf_counter()
    scores = [system.scores(user["prompt"], user["candidates"]) for user in users]
    seconds = time.perf_counter() - start
np.array(sum(scores, []), "<f4").tofile(out)
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
speed = {"users_per_second": len(users) / seconds, "users": len(users), "seconds": seconds}
print(json.dumps(speed | {"peak_mb": peak_mb}))
