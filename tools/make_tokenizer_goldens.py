#!/usr/bin/env python3
"""Trains tiny byte-level BPE tokenizers of every supported kind and writes them with texts and the ids that the
`tokenizers` library gives.

    pip install tokenizers && tools/make_tokenizer_goldens.py tests/golden/tokenizer

Per kind: KIND.tokenizer.json, and KIND.cases.json with the versions, the seed and the cases: text, "ids" (special
tokens read), and, where they differ from it, "plain" (special tokens taken for text) and "template" (BOS and EOS
added).
"""
import json
import os
import sys

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from random_text import generator, random_text

SEED = 20240131
CASES = 40
VOCAB = 480
LLAMA3_REGEX = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CORPUS = """Pare makes trained models smaller. It slices their width, deletes two of every four weights, and measures what
that cost. The tokenizer cuts text into words, then merges bytes. It's the model's job to predict, and we'll see; they've
said so. In 2024 there were 1,000 models and 3.14 of them were pruned.
    def slice(weights, width=64):
        return [row[:width] for row in weights]
Модель предсказывает слово. Das Modell sagt das nächste Wort voraus. Le modèle prédit le mot suivant, déjà vu naïve.
模型预测下一个词。 モデルは次の単語を予測します。 النموذج يتوقع الكلمة التالية. 😀😀 👩‍💻 … “quoted” — ½ Ⅷ ٣٤
"""
FIXED = ["", " ", "a", "\0", "a\0b", "Hello world", "  leading", "trailing  ", "a  1  b", "x 12345 y", "don't DON'T",
         "\r\n\r\n  \n x", "tab\there", " \u3000 x", "'\u017f", "a" * 50, "<|end|><|end|> <|end|>", "word words word."]


def byte_level(prefix=False, regex=True):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)


def train(pre_tokenizer, special, alphabet=True, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [])
    tokenizer.train_from_iterator(CORPUS.splitlines(keepends=True) * 3, trainer)
    return tokenizer


def gpt2():
    """Added tokens of every kind, inside and outside the vocabulary."""
    tokenizer = train(byte_level(), ["<|end|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<both>", lstrip=True, rstrip=True),
                                  AddedToken("<|end|>x")])
    tokenizer.add_tokens([AddedToken("word", single_word=True), AddedToken("foo bar"), AddedToken("foo", normalized=False),
                          AddedToken("\u00e9t\u00e9", rstrip=True), AddedToken("  ", normalized=False)])
    return tokenizer


def smollm():
    tokenizer = train(pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()]),
                      ["<|end|>", "<|im_start|>", "<|im_end|>"])
    return tokenizer


def llama3():
    """Whole words in the vocabulary that no merge makes, and a BOS."""
    split = pre_tokenizers.Split(Regex(LLAMA3_REGEX), "isolated")
    tokenizer = train(pre_tokenizers.Sequence([split, byte_level(regex=False)]), ["<|begin|>", "<|end|>"])
    data = json.loads(tokenizer.to_str())
    vocab = data["model"]["vocab"]
    for word in ("\u0120tokenizer", "\u0120pruned", "2024", "naive"):
        vocab.setdefault(word, len(vocab))
    data["model"]["ignore_merges"] = True
    tokenizer = Tokenizer.from_str(json.dumps(data))
    begin = tokenizer.token_to_id("<|begin|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", begin)])])
    return tokenizer


def prefix_space():
    """A space in front of every text, bytes without a token, BOS and EOS."""
    tokenizer = train(byte_level(prefix=True), ["<s>", "</s>", "<unk>"], alphabet=False, unk_token="<unk>", fuse_unk=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", tokenizer.token_to_id("<s>")), ("</s>", tokenizer.token_to_id("</s>"))])
    return tokenizer


def ids(tokenizer, text, special=True, template=False):
    tokenizer.encode_special_tokens = not special
    return tokenizer.encode(text, add_special_tokens=template).ids


def case_of(tokenizer, text):
    case = {"text": text, "ids": ids(tokenizer, text)}
    variants = {"plain": ids(tokenizer, text, special=False), "template": ids(tokenizer, text, template=True)}
    case.update({name: got for name, got in variants.items() if got != case["ids"]})
    return case


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for make in (gpt2, smollm, llama3, prefix_space):
        tokenizer = make()
        data = json.loads(tokenizer.to_str())
        if make is smollm:  # as older files write merges
            data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
        with open(os.path.join(folder, make.__name__ + ".tokenizer.json"), "w", encoding="utf-8") as out:
            json.dump(data, out, ensure_ascii=False, indent=None, separators=(",", ":"))
            out.write("\n")
        rng = generator(SEED)
        added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        texts = FIXED + [random_text(rng, added, parts=10) for _ in range(CASES)]
        cases = [case_of(tokenizer, text) for text in texts]
        with open(os.path.join(folder, make.__name__ + ".cases.json"), "w", encoding="utf-8") as out:
            out.write('{"tokenizers": "%s", "seed": %d, "cases": [\n' % (tokenizers.__version__, SEED))
            out.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases))
            out.write("\n]}\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
