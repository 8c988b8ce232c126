#!/usr/bin/env python3
"""Speed of torch on a CPU at training a model to follow a teacher: tokens per second, as JSON.

usage: train_speed_torch.py STUDENT --teacher TEACHER --text FILE [--dtype float32|bfloat16] [--threads N] [--steps N]
                            [--batch 8] [--length 512] [--micro-batch N] [--checkpointing on|off] [--compile]
STUDENT and TEACHER are Hugging Face folders of one vocabulary. Weights and moments are f32; bfloat16 is autocast. The loss
is that of src/train/distillation.h: KL from the teacher's 64 largest probabilities and the rest as one class, which are
computed before the clock starts. A step is forward, backward, clipping to a norm of 1 and AdamW (0.9, 0.95), fused; attention
is torch's scaled_dot_product_attention. Says the median of the steps after the first.

Without --checkpointing and --micro-batch (sequences at once), activations are held for as many sequences as the free memory
allows, and if it does not even allow one, a layer's are computed once more on the way back. The output says which.
--compile runs the student through torch.compile, which needs a C++ compiler; then the first step takes minutes.
Needs torch, transformers (5.24 or newer), tokenizers, safetensors.
"""

import argparse
import contextlib
import json
import re
import resource
import statistics
import time
from pathlib import Path

import torch
import transformers

KEPT = 64  # kTeacherTokens
TINY = 1e-30
SHARE_OF_MEMORY = 0.6  # of free memory for activations; their gradients come on top


def keys_of(folder):
    return json.loads((folder / "config.json").read_text())


def load(folder):
    remote = "auto_map" in keys_of(folder)
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=remote)
    for key, value in vars(config).items():
        if isinstance(value, float) and ("dropout" in key or key == "layerdrop"):
            setattr(config, key, 0.0)
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="sdpa", trust_remote_code=remote
    )


def read_sequences(a):
    """(sequences, length) of consecutive tokens; as many as the steps need, fewer when the text is short."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(a.student)
    tokens = tokenizer(a.text.read_text(encoding="utf-8"), add_special_tokens=False, verbose=False)["input_ids"]
    count = min(len(tokens) // a.length, a.batch * a.steps)
    if count < a.batch:
        raise SystemExit(f"{a.text} has {len(tokens)} tokens: a batch takes {a.batch * a.length}")
    return torch.tensor(tokens[: count * a.length]).view(count, a.length)


def autocast(a):
    bf16 = a.dtype == "bfloat16"
    return torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext()


def kept_of(teacher, sequences, a):
    """What is kept of the teacher: ids, log-probabilities and the rest's probability, each by sequence."""
    rows = []
    with torch.inference_mode(), autocast(a):
        for sequence in sequences:
            logits = teacher(sequence[None], use_cache=False).logits[0].float()
            log_p, ids = logits.topk(min(KEPT, logits.shape[-1]))
            log_p -= logits.logsumexp(-1, keepdim=True)
            rows.append((ids, log_p, (1 - log_p.exp().sum(-1)).clamp(min=0)))
    # Clones: autograd takes no tensors of inference_mode.
    return [torch.stack(part).clone() for part in zip(*rows)]


def distil(logits, ids, log_p, rest):
    """The sum of the KL of all positions. The student's rest is what is missing to 1: a pass over the logits less."""
    logits = logits.float()
    log_q = logits.gather(-1, ids) - logits.logsumexp(-1, keepdim=True)
    other = (1 - log_q.exp().sum(-1)).clamp(min=TINY)
    of_rest = torch.where(rest > 0, rest * (rest.clamp(min=TINY).log() - other.log()), 0.0)
    return (log_p.exp() * (log_p - log_q)).sum() + of_rest.sum()


def run(model, tokens, kept, a):
    """Adds the gradient of the mean KL over the batch, in micro-batches, and returns that mean."""
    total = 0.0
    for first in range(0, len(tokens), a.micro_batch):
        part = slice(first, first + a.micro_batch)
        with autocast(a):
            logits = model(tokens[part], use_cache=False).logits
        loss = distil(logits, *(k[part] for k in kept)) / tokens.numel()
        loss.backward()
        total += loss.item()
    return total


def held_bytes(model, tokens, kept, a):
    """Bytes that autograd holds for one sequence, without the parameters."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    held = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), autocast(a):
        distil(model(tokens[:1], use_cache=False).logits, *(k[:1] for k in kept))
    return sum(held.values())


def free_bytes():
    return int(re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())[1]) * 1024


def choose(model, tokens, kept, a):
    """Sets what of checkpointing and micro_batch was not given."""
    moments = 3 * 4 * sum(p.numel() for p in model.parameters())  # and the gradient
    room = SHARE_OF_MEMORY * (free_bytes() - moments)
    for a.checkpointing in [a.checkpointing] if a.checkpointing else ["off", "on"]:
        if a.checkpointing == "on":
            model.activation_checkpointing_enable()
        fits = int(room // held_bytes(model, tokens, kept, a)) if not a.micro_batch else a.micro_batch
        if fits > 0:
            break
    a.micro_batch = a.micro_batch or max(m for m in range(1, a.batch + 1) if a.batch % m == 0 and m <= max(fits, 1))


def measure(a):
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    if keys_of(a.student)["vocab_size"] != keys_of(a.teacher)["vocab_size"]:
        raise SystemExit(f"{a.student} and {a.teacher} differ in vocab_size")
    sequences = read_sequences(a)
    teacher = load(a.teacher).eval()
    start = time.perf_counter()
    kept = kept_of(teacher, sequences, a)
    teacher_seconds = time.perf_counter() - start
    del teacher

    model = load(a.student).train()
    choose(model, sequences, kept, a)
    runner = torch.compile(model) if a.compile else model
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=a.rate, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, fused=True
    )
    seconds, losses = [], []
    for step in range(a.steps):
        rows = torch.arange(step * a.batch, (step + 1) * a.batch) % len(sequences)
        tokens, batch = sequences[rows], [k[rows] for k in kept]
        start = time.perf_counter()
        losses.append(run(runner, tokens, batch, a))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    step_seconds = statistics.median(seconds[1:])
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "student": str(a.student),
        "parameters": sum(p.numel() for p in model.parameters()),
        "dtype": a.dtype,
        "threads": a.threads,
        "batch": a.batch,
        "length": a.length,
        "micro_batch": a.micro_batch,
        "checkpointing": a.checkpointing,
        "compile": a.compile,
        "tokens_per_second": a.batch * a.length / step_seconds,
        "step_seconds": seconds,
        "losses": losses,
        "teacher_tokens_per_second": sequences.numel() / teacher_seconds,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("student", type=Path)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--rate", type=float, default=1e-5)
    parser.add_argument("--micro-batch", type=int)
    parser.add_argument("--checkpointing", choices=("on", "off"))
    parser.add_argument("--compile", action="store_true")
    a = parser.parse_args()
    if a.steps < 2:
        parser.error("--steps is at least 2: the first is not counted")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    print(json.dumps(measure(a), indent=1))


if __name__ == "__main__":
    main()
