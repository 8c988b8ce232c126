"""A `tokenizers` object for any model that this project reads a tokenizer from, made without this project's code.

Needs: pip install tokenizers gguf
"""
import json
import os

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)


def byte_level_parts(tokenizer, kind):
    """Normalizer and pre-tokenizer by the names that GGUF gives them."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if kind in ("llama-bpe", "qwen2"):
        regex = LLAMA3 % ("{1,3}" if kind == "llama-bpe" else "")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), byte_level])
    elif kind == "smollm":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), whole])
    else:
        tokenizer.pre_tokenizer = whole
    if kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()


def sentencepiece_merges(pieces, scores, types):
    """Every pair of normal pieces that makes a third, the best score first."""
    normal = {piece for piece, kind in zip(pieces, types) if kind == NORMAL}
    merges = []
    for piece, score, kind in zip(pieces, scores, types):
        if kind != NORMAL:
            continue
        for cut in range(1, len(piece)):
            if piece[:cut] in normal and piece[cut:] in normal:
                merges.append((piece[:cut], piece[cut:], float(score), cut))
    merges.sort(key=lambda merge: (-merge[2], -merge[3]))
    return [merge[:2] for merge in merges]


def sentencepiece(pieces, scores, types, prefix=True):
    vocab = {piece: i for i, piece in enumerate(pieces)}
    unknown = next((piece for piece, kind in zip(pieces, types) if kind == UNKNOWN), None)
    tokenizer = Tokenizer(models.BPE(vocab, sentencepiece_merges(pieces, scores, types), unk_token=unknown,
                                     fuse_unk=True, byte_fallback=BYTE in types))
    steps = [normalizers.Prepend("\u2581")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "\u2581")])
    parts = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(parts + ([decoders.Strip(" ", 1, 0)] if prefix else []))
    return tokenizer


def add_tokens(tokenizer, tokens, types):
    for token, kind in zip(tokens, types):
        if kind in (CONTROL, UNKNOWN):
            tokenizer.add_special_tokens([AddedToken(token, normalized=False)])
        elif kind == USER_DEFINED:
            tokenizer.add_tokens([AddedToken(token, normalized=False)])


def set_template(tokenizer, bos, eos):
    names = [("bos", bos), ("eos", eos)]
    if bos is None and eos is None:
        return
    parts = (["bos"] if bos is not None else []) + ["$A"] + (["eos"] if eos is not None else [])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join(parts), special_tokens=[(name, id) for name, id in names if id is not None])


def from_gguf(path):
    import gguf
    fields = gguf.GGUFReader(path).fields

    def field(key, absent=None):
        return fields["tokenizer.ggml." + key].contents() if "tokenizer.ggml." + key in fields else absent

    tokens, types, kind = field("tokens"), field("token_type"), field("pre")
    if field("model") == "llama":
        tokenizer = sentencepiece(tokens, field("scores"), types, field("add_space_prefix", True))
    else:
        merges = [tuple(merge.split(" ")) for merge in field("merges")]
        used = {token: i for i, token in enumerate(tokens) if types[i] != UNUSED}
        tokenizer = Tokenizer(models.BPE(used, merges, ignore_merges=kind == "llama-bpe"))
        byte_level_parts(tokenizer, kind)
    add_tokens(tokenizer, tokens, types)
    has_bos = field("add_bos_token", field("model") == "llama" or kind == "llama-bpe")
    set_template(tokenizer, field("bos_token_id") if has_bos else None,
                 field("eos_token_id") if field("add_eos_token", False) else None)
    return tokenizer


def from_vocab_and_merges(folder):
    """Through transformers, which alone knows how the older files fit together."""
    from transformers import AutoTokenizer
    return Tokenizer.from_str(AutoTokenizer.from_pretrained(folder).backend_tokenizer.to_str())


def load(path):
    """MODEL: a folder, a .gguf file or a tokenizer.json."""
    if path.endswith(".gguf"):
        return from_gguf(path)
    file = os.path.join(path, "tokenizer.json") if os.path.isdir(path) else path
    return Tokenizer.from_file(file) if os.path.exists(file) else from_vocab_and_merges(path)


def write_folder(tokenizer, folder):
    """A tokenizer.json and nothing else."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(json.loads(tokenizer.to_str()), file, ensure_ascii=False)
