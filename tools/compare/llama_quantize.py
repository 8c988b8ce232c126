#!/usr/bin/env python3
"""llama.cpp's own quantisation of a model, with an importance matrix of a text.

usage: llama_quantize.py FOLDER F32.gguf TEXT OUT.gguf TYPE [--pure] [--head] [--chunks 60] [--no-imatrix]

FOLDER is a Hugging Face folder of a LLaMA model, F32.gguf the same model. The importance matrix is what llama-imatrix
collects: the mean squares of the inputs of the layers' linears over chunks of 512 tokens, here by transformers in f32.
--head adds those of the head, which is the embedding where the two are tied; llama-imatrix leaves them out. --pure gives
all matrices, embedding and head included, the one type.

Needs torch, transformers and llama-cpp-python.
"""

import argparse
import ctypes
from pathlib import Path

CHUNK = 512
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def tensor_name(module):
    """Name of a linear's weight in GGUF."""
    if module == "lm_head":
        return "output.weight"
    _, _, layer, role = module.split(".", 3)
    return f"blk.{layer}.{NAMES[role]}.weight"


def importance(folder, text, chunks, head):
    """Mean squares of the inputs of all linears, by tensor."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = tokenizer(Path(text).read_text(encoding="utf-8"), return_tensors="pt").input_ids[0][: chunks * CHUNK]
    sums = {}

    def watch(name):
        def hook(_, inputs):
            x = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
            sums[name] = sums.get(name, 0.0) + (x * x).sum(0)

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and (head or name != "lm_head"):
            module.register_forward_pre_hook(watch(tensor_name(name)))
    with torch.inference_mode():
        for begin in range(0, len(ids) - CHUNK + 1, CHUNK):
            model(ids[None, begin : begin + CHUNK])
    count = len(ids) // CHUNK * CHUNK
    result = {name: (total / count).float().tolist() for name, total in sums.items()}
    if head and model.config.tie_word_embeddings:
        result["token_embd.weight"] = result["output.weight"]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("gguf")
    parser.add_argument("text")
    parser.add_argument("out")
    parser.add_argument("type", help="IQ4_NL, Q4_0, Q3_K_M, ...")
    parser.add_argument("--pure", action="store_true")
    parser.add_argument("--head", action="store_true")
    parser.add_argument("--chunks", type=int, default=60)
    parser.add_argument("--no-imatrix", action="store_true")
    a = parser.parse_args()

    import llama_cpp

    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{a.type}")
    if a.pure:
        settings.pure = True
        kind = getattr(llama_cpp, f"GGML_TYPE_{a.type}")
        settings.token_embedding_type = settings.output_tensor_type = kind
    if not a.no_imatrix:
        values = importance(a.folder, a.text, a.chunks, a.head)
        entries = (llama_cpp.llama_model_imatrix_data * (len(values) + 1))()  # the last is null
        held = []
        for entry, (name, numbers) in zip(entries, values.items()):
            held.append((ctypes.c_float * len(numbers))(*numbers))
            entry.name, entry.data, entry.size = name.encode(), held[-1], len(numbers)
        settings.imatrix = ctypes.cast(entries, ctypes.POINTER(llama_cpp.llama_model_imatrix_data))
    if llama_cpp.llama_model_quantize(a.gguf.encode(), a.out.encode(), settings) != 0:
        raise SystemExit("llama.cpp could not quantise the model")


if __name__ == "__main__":
    main()
