#!/usr/bin/env python3
"""Trains tiny BPE tokenizers of every supported kind and writes them with texts and the ids that the `tokenizers`
library (for sentencepiece.model: the `sentencepiece` library) gives.

    pip install tokenizers sentencepiece && tools/goldens/make_tokenizer_goldens.py tests/golden/tokenizer

Per kind: KIND.tokenizer.json, and KIND.cases.json with the versions, the seed and the cases: text, "ids" (special
tokens read), and, where they differ from it, "plain" (special tokens taken for text) and "template" (BOS and EOS
added). nfc.json holds pairs of a text and its normal form C, normal_forms.json texts and what other normalizers make of them.
"""
import io
import json
import os
import sys

import sentencepiece
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from random_text import generator, random_char, random_text

SEED = 20240131
CASES = 40
VOCAB = 480
LLAMA3_REGEX = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2_REGEX = LLAMA3_REGEX.replace("{1,3}", "")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN_REGEX = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}"
                r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CORPUS = """Pare makes trained models smaller. It slices their width, deletes two of every four weights, and measures what
that cost. The tokenizer cuts text into words, then merges bytes. It's the model's job to predict, and we'll see; they've
said so. In 2024 there were 1,000 models and 3.14 of them were pruned.
    def slice(weights, width=64):
        return [row[:width] for row in weights]
Модель предсказывает слово. Das Modell sagt das nächste Wort voraus. Le modèle prédit le mot suivant, déjà vu naïve.
模型预测下一个词。 モデルは次の単語を予測します。 النموذج يتوقع الكلمة التالية. 😀😀 👩‍💻 … “quoted” — ½ Ⅷ ٣٤
"""
FIXED = ["", " ", "a", "\0", "a\0b", "Hello world", "  leading", "trailing  ", "a  1  b", "x 12345 y", "don't DON'T",
         "\r\n\r\n  \n x", "tab\there", " \u3000 x", "'\u017f", "a" * 50, "<|end|><|end|> <|end|>", "word words word.",
         "\u2581a", " \u2581 a", "a\u2581b", "<0x41>", "line\nline", "e\u0301\u0323 \u212b", "<unk>", "\u0416\u0416\u0416"]


CASED = ["camelCase PascalCase HTTPServer XMLHttpRequest", "A", "Ab", "aB", "ABc", "ABcD", "a\u0301B\u0301c", "\u0301", " \u0301A",
         "\u0301\u0301AB", "x\u0301y/z//\n/\r\n", "\u01c5a\u01c5", "\u02b0A\u02b0BC", "\u6587A\u6587a", "!\u0301a", "\r\u0301A", "'S don'T", "_Abc_DEF"]


def cased_text(rng):
    """Letters of every case, marks, and what may stand before a word."""
    parts = list("aZbYcX \t\n/.!'_1") + ["\u0301", "\u20dd", "\u01c5", "\u02b0", "\u6587", "\u0436", "\u0416", "\u00df", "\u1e9e", "\u2160"]
    return "".join(rng.choice(parts) for _ in range(rng.randrange(1, 24)))


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


def whole_words(regex):
    """Whole words in the vocabulary that no merge makes, and a BOS."""
    split = pre_tokenizers.Split(Regex(regex), "isolated")
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


def llama3():
    return whole_words(LLAMA3_REGEX)


def tekken():
    return whole_words(TEKKEN_REGEX)


def prefix_space():
    """A space in front of every text, bytes without a token, BOS and EOS."""
    tokenizer = train(byte_level(prefix=True), ["<s>", "</s>", "<unk>"], alphabet=False, unk_token="<unk>", fuse_unk=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", tokenizer.token_to_id("<s>")), ("</s>", tokenizer.token_to_id("</s>"))])
    return tokenizer


def qwen2():
    """NFC, each number on its own."""
    split = pre_tokenizers.Split(Regex(QWEN2_REGEX), "isolated")
    tokenizer = train(pre_tokenizers.Sequence([split, byte_level(regex=False)]), ["<|end|>", "<|im_start|>"])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_tokens([AddedToken("caf\u00e9", normalized=True), AddedToken("no\u0308", normalized=False)])
    return tokenizer


def train_chars(special, bytes_too):
    """A BPE over characters, with U+2581 for spaces: (vocab, merges)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    byte_tokens = ["<0x%02X>" % byte for byte in range(256)] if bytes_too else []
    trainer = trainers.BpeTrainer(vocab_size=VOCAB + 300, special_tokens=special + byte_tokens, show_progress=False,
                                  limit_alphabet=90)
    # Runs of spaces become tokens, as in vocabularies that were trained on code.
    tokenizer.train_from_iterator(CORPUS.splitlines() * 3, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocab, merges = model["vocab"], [tuple(merge) for merge in model["merges"]]
    for run in (2, 4):
        vocab["\u2581" * run] = len(vocab)
        merges.append(("\u2581" * (run // 2), "\u2581" * (run // 2)))
    return vocab, merges


def begin_with(tokenizer, token):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=token + " $A", special_tokens=[(token, tokenizer.token_to_id(token))])


def sentencepiece_decoder():
    return decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                              decoders.Strip(" ", 1, 0)])


def prepend():
    """As LLaMA-2: byte fallback, a space before every text between special tokens."""
    vocab, merges = train_chars(["<unk>", "<s>", "</s>"], True)
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = sentencepiece_decoder()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in ("<unk>", "<s>", "</s>")])
    tokenizer.add_special_tokens([AddedToken("<|end|>", normalized=False, rstrip=True)])
    tokenizer.add_tokens([AddedToken("foo bar", normalized=True)])
    begin_with(tokenizer, "<s>")
    return tokenizer


def metaspace():
    """As later Mistral: the space only before the whole text. A phrase in the vocabulary, and ignore_merges."""
    vocab, merges = train_chars(["<unk>", "<s>", "</s>"], True)
    for left, right in (("e", "\u2581"), ("e\u2581", "m")):
        vocab[left + right] = len(vocab)
        merges.insert(0, (left, right))
    vocab["\u2581whole\u2581text"] = len(vocab)
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True,
                                     ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = sentencepiece_decoder()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in ("<unk>", "<s>", "</s>", "<|end|>")])
    begin_with(tokenizer, "<s>")
    return tokenizer


def metaspace_split():
    """Cut at every space, no byte fallback: unknown characters, some with part of their bytes."""
    vocab, merges = train_chars(["<unk>", "<s>"], False)
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken("<s>", normalized=False), AddedToken("<|end|>", normalized=False)])
    return tokenizer


def write_cases(path, library, cases):
    with open(path, "w", encoding="utf-8") as out:
        out.write('{"%s": "%s", "seed": %d, "cases": [\n' % (library.__name__, library.__version__, SEED))
        out.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases))
        out.write("\n]}\n")


def write_sentencepiece(folder):
    """tokenizer.model and the ids that the `sentencepiece` library gives."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.splitlines() * 3), model_writer=model, model_type="bpe", vocab_size=700,
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        character_coverage=0.98, user_defined_symbols=["<|im|>"], num_threads=1, minloglevel=2)
    os.makedirs(os.path.join(folder, "sentencepiece"), exist_ok=True)
    with open(os.path.join(folder, "sentencepiece", "tokenizer.model"), "wb") as out:
        out.write(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    rng = generator(SEED)
    # A symbol takes the space before the text for itself there: the two differ in what stands behind one.
    texts = [text for text in FIXED + [random_text(rng, parts=10) for _ in range(CASES)] if "\0" not in text]
    write_cases(os.path.join(folder, "sentencepiece.cases.json"), sentencepiece,
                [{"text": text, "ids": processor.encode(text)} for text in texts])


def write_nfc(folder):
    rng = generator(SEED)
    forms = normalizers.NFC()
    marks = ["\u0301", "\u0323", "\u0327", "\u0345", "\u0334", "\u093c", "\u3099", "\u1161", "\u11a8", "\u0b3e"]
    cases = []
    for _ in range(400):
        text = "".join(rng.choice([random_char(rng), chr(rng.randrange(0x1e00, 0x2000)), rng.choice(marks), rng.choice(marks),
                                   chr(rng.randrange(0xac00, 0xd7a4)), chr(rng.randrange(0x61, 0x7b))])
                       for _ in range(rng.randrange(1, 8)))
        cases.append([text, forms.normalize_str(text)])
    write_cases(os.path.join(folder, "nfc.json"), tokenizers, cases)


FORMS = ["NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"]


def write_forms(folder):
    """Texts with each of FORMS, in this order."""
    rng = generator(SEED)
    forms = [getattr(normalizers, name)() for name in FORMS]
    marks = ["\u0301", "\u0323", "\u0345", "\u093c", "\u3099", "\u1161", "\u11a8", "\u20dd"]
    odd = list("\u0130\u03a3\u00df\u1e9e\u01c5\ufb01\ufdfa\u00bd\u2460\uff21\uff76\uff9e\u3392\u1e9b\u212b\u2126\u00b5\u2002\u0958\u0344")
    cases = []
    for _ in range(300):
        text = "".join(rng.choice([random_char(rng), chr(rng.randrange(0xc0, 0x600)), chr(rng.randrange(0x1e00, 0x2200)),
                                   chr(rng.randrange(0x3000, 0x3400)), chr(rng.randrange(0xf900, 0xfb10)),
                                   chr(rng.randrange(0xac00, 0xd7a4)), chr(rng.randrange(0x41, 0x7b)),
                                   rng.choice(marks), rng.choice(marks), rng.choice(odd)])
                       for _ in range(rng.randrange(1, 9)))
        cases.append([text] + [form.normalize_str(text) for form in forms])
    write_cases(os.path.join(folder, "normal_forms.json"), tokenizers, cases)


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
    for make in (gpt2, smollm, llama3, prefix_space, qwen2, tekken, prepend, metaspace, metaspace_split):
        tokenizer = make()
        data = json.loads(tokenizer.to_str())
        if make is smollm:  # as older files write merges
            data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
        with open(os.path.join(folder, make.__name__ + ".tokenizer.json"), "w", encoding="utf-8") as out:
            json.dump(data, out, ensure_ascii=False, indent=None, separators=(",", ":"))
            out.write("\n")
        rng = generator(SEED)
        added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        texts = FIXED + ["whole text", "caf\u00e9 cafe\u0301", "no\u0308"] + [random_text(rng, added, parts=10) for _ in range(CASES)]
        if make is tekken:
            texts += CASED + [cased_text(rng) for _ in range(CASES)]
        write_cases(os.path.join(folder, make.__name__ + ".cases.json"), tokenizers,
                    [case_of(tokenizer, text) for text in texts])
    write_sentencepiece(folder)
    write_nfc(folder)
    write_forms(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
