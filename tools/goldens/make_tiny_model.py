#!/usr/bin/env python3
"""Writes tests/golden/tiny-model: a LLaMA model that is small, complete and really trained, for end-to-end tests.

The text comes from the grammar below: short tales whose later words depend on earlier ones (who has which trade, what
was in the sack), so that a trained model is far better than chance and cutting it has a visible price. Written:

  OUT/tiny-model   config.json, generation_config.json, model.safetensors (bf16), tokenizer.json (byte-level BPE),
                   tokenizer_config.json, expected.json (what transformers computes in f32 from the stored weights)
  OUT/text         calibration.txt, test.txt: tales that training did not see

usage: make_tiny_model.py [OUT] [--steps N]      (default: tests/golden of this checkout)
Needs torch, transformers, tokenizers, safetensors. A minute or two on one core. Another machine or another version of torch
gives other weights, hence other figures in expected.json; nothing else refers to them.
"""

import argparse
import json
import math
import random
from pathlib import Path

import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

SEED = 7
VOCAB = 384
LENGTH = 128
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

CONFIG = dict(
    vocab_size=VOCAB,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    rms_norm_eps=1e-5,
    rope_parameters=dict(rope_type="default", rope_theta=10000.0),
    tie_word_embeddings=True,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)

SHE = ["Ada", "Clara", "Elif", "Mira", "Zoë", "Nora", "Ruth", "Ines", "Tilda"]
HE = ["Bram", "Dirk", "Jonas", "Otto", "Emil", "Piet", "Hugo", "Ivo", "Karl"]
PEOPLE = [(name, "she", "her") for name in SHE] + [(name, "he", "his") for name in HE]
# trade: (what is made or sold, the tool, where)
TRADES = {
    "miller": (["flour", "oats", "rye", "barley", "bran"], "millstone", "mill by the river"),
    "baker": (["bread", "pies", "honey cake", "rolls", "a plum tart"], "oven", "shop on the square"),
    "smith": (["nails", "hooks", "a plough", "horseshoes", "an iron pot"], "hammer", "forge under the hill"),
    "weaver": (["wool", "linen", "a blue cloak", "a rug", "ribbons"], "loom", "house at the gate"),
    "fisher": (["herring", "eels", "a salmon", "crabs", "mussels"], "net", "boat in the harbour"),
    "gardener": (["pears", "beans", "red apples", "onions", "roses"], "spade", "garden behind the church"),
}
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
WEATHER = {"rained": "wet", "snowed": "white", "stormed": "empty", "froze": "hard as iron"}
CONTAINERS = ["sack", "basket", "cart", "chest", "barrel", "bag"]
NUMBERS = ["two", "three", "four", "five", "six", "seven", "nine", "twelve"]
MOODS = [
    "tired",
    "merry",
    "cross",
    "patient",
    "hungry",
    "proud",
    "quiet",
    "curious",
    "late",
    "poor",
    "old",
    "clever",
]
THINGS = [
    "a grey cat",
    "the moon",
    "a bell",
    "an old song",
    "two geese",
    "the sea",
    "a lame horse",
    "thunder",
    "smoke",
    "a stranger",
    "the church clock",
    "wolves",
]


def tale(rng):
    """Five to nine sentences about two people and what one sells to the other."""
    (seller, he, his), (buyer, she, her) = rng.sample(PEOPLE, 2)
    trade, other = rng.sample(sorted(TRADES), 2)
    goods, tool, place = TRADES[trade]
    good, day, box, count = rng.choice(goods), rng.choice(DAYS), rng.choice(CONTAINERS), rng.choice(NUMBERS)
    weather, mood, thing = rng.choice(sorted(WEATHER)), rng.choice(MOODS), rng.choice(THINGS)
    price = rng.randint(2, 9)
    lines = [
        rng.choice(
            [
                f"{seller} was a {trade} and worked in the {place}.",
                f"In the {place} lived a {mood} {trade}, and {his} name was {seller}.",
            ]
        ),
        rng.choice(
            [
                f"{seller} had a {tool}, and with the {tool} {he} made a living.",
                f"Every {day} {he} took the {tool} and worked until dark.",
                f"{he.capitalize()} was {mood}, and {he} loved {his} {tool} more than {thing}.",
            ]
        ),
        rng.choice(
            [
                f"On {day} {buyer} the {other} came to the {place} and asked for {good}.",
                f"One {day} in spring {buyer} came by, a {other}, and wanted {good}.",
                f"Then {buyer} needed {good}, for a {other} has no {tool}.",
            ]
        ),
    ]
    if rng.random() < 0.5:
        lines.append(
            rng.choice(
                [
                    f"It {weather} that day, and the road was {WEATHER[weather]}.",
                    f"Nobody else came, for it {weather} all day.",
                ]
            )
        )
    if rng.random() < 0.5:
        lines.append(
            rng.choice(
                [
                    f'"{good.capitalize()} for {price} coins," said {seller}, "and not for {price - 1}."',
                    f'"I have {price} coins," said {buyer}, "and I am {mood}."',
                ]
            )
        )
    lines.append(
        rng.choice(
            [
                f"So {seller} filled the {box} with {good}, and {buyer} paid {price} coins.",
                f"{buyer} gave {price} coins to {seller} and took the {box} of {good}.",
            ]
        )
    )
    if rng.random() < 0.6:
        lines.append(
            f"{buyer} put the {box} on {her} back and walked {count} miles home to the {TRADES[other][2]}."
        )
    if rng.random() < 0.4:
        lines.append(
            f"On the way {she} {rng.choice(['saw', 'heard', 'dreamt of', 'met'])} {rng.choice(THINGS)}."
        )
    lines.append(
        rng.choice(
            [
                f"There {she} opened the {box}, and it was full of {good}.",
                f"That evening {seller} put away {his} {tool} and counted {price} coins.",
                f"After {count} days {buyer} the {other} came back to {seller} the {trade} for more {good}.",
            ]
        )
    )
    return " ".join(lines)


def tales(rng, count):
    return "\n\n".join(tale(rng) for _ in range(count)) + "\n"


def make_tokenizer(text, directory):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=SPECIALS,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([text], trainer)
    assert tokenizer.get_vocab_size() == VOCAB
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "added_tokens_decoder": {
            str(i): {
                "content": s,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
            for i, s in enumerate(SPECIALS)
        },
        "additional_special_tokens": SPECIALS[1:],
        "bos_token": SPECIALS[1],
        "chat_template": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
        "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|im_start|>assistant\n' }}{% endif %}",
        "clean_up_tokenization_spaces": False,
        "eos_token": SPECIALS[2],
        "model_max_length": CONFIG["max_position_embeddings"],
        "pad_token": SPECIALS[0],
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": SPECIALS[0],
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    return tokenizer


def train(model, tokens, steps, generator):
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1, s / 50) * (0.02 + 0.98 * (1 + math.cos(math.pi * min(1, s / steps))) / 2)
    )
    model.train()
    for step in range(steps):
        starts = torch.randint(0, len(tokens) - LENGTH, (12,), generator=generator).tolist()
        batch = torch.stack([tokens[s : s + LENGTH] for s in starts])
        loss = model(batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step} loss {loss.item():.3f}", flush=True)
    model.eval()


def perplexity(model, tokens, window):
    """exp of the mean over whole consecutive windows of the mean NLL of targets 1..window-1."""
    windows = tokens[: len(tokens) // window * window].view(-1, window)
    with torch.no_grad():
        losses = [
            torch.nn.functional.cross_entropy(model(w[None]).logits[0, :-1], w[1:]).double() for w in windows
        ]
    return math.exp(torch.stack(losses).mean().item()), len(windows)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "out", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent.parent / "tests/golden"
    )
    parser.add_argument("--steps", type=int, default=1000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    directory, texts = args.out / "tiny-model", args.out / "text"
    directory.mkdir(parents=True, exist_ok=True)
    texts.mkdir(parents=True, exist_ok=True)

    rng = random.Random(SEED)
    training, calibration, test = tales(rng, 2500), tales(rng, 60), tales(rng, 40)
    (texts / "calibration.txt").write_text(calibration)
    (texts / "test.txt").write_text(test)
    tokenizer = make_tokenizer(training, directory)
    encode = lambda text: torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids)

    torch.manual_seed(SEED)
    model = LlamaForCausalLM(LlamaConfig(**CONFIG))
    train(model, encode(training), args.steps, torch.Generator().manual_seed(SEED))
    state = {
        k: v.detach().bfloat16().contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"
    }
    save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "head_dim": CONFIG["hidden_size"] // CONFIG["num_attention_heads"],
        **CONFIG,
    }
    (directory / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    (directory / "generation_config.json").write_text(
        json.dumps({"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "do_sample": False}, indent=1)
        + "\n"
    )

    stored = LlamaForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    prompt = "Mira was a weaver and worked in"
    ids = encode(prompt)[None]
    with torch.no_grad():
        generated = stored.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=48, do_sample=False
        )[0]
        best = stored(generated[None]).logits[0, ids.shape[1] - 1 : -1].topk(2).values
    expected = {
        "made_by": {
            "script": "tools/goldens/make_tiny_model.py",
            "seed": SEED,
            "steps": args.steps,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
        "perplexity": [],
        "generate": {
            "prompt": prompt,
            "prompt_tokens": ids[0].tolist(),
            "new_tokens": generated[ids.shape[1] :].tolist(),
            "smallest_margin": round((best[:, 0] - best[:, 1]).min().item(), 6),
            "text": tokenizer.decode(generated[ids.shape[1] :].tolist()),
        },
    }
    for file in ("test.txt", "calibration.txt"):
        for window in (64, 128):
            value, count = perplexity(stored, encode((texts / file).read_text()), window)
            expected["perplexity"].append(
                {"file": f"text/{file}", "seqlen": window, "windows": count, "perplexity": round(value, 6)}
            )
    (directory / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    for file in [*directory.iterdir(), *texts.iterdir()]:
        file.chmod(0o644)
    print(json.dumps(expected, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
