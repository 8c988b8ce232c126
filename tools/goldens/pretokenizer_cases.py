"""Pre-tokenizers with the structure of public models' and with every part that tokenizer.json can have.

A case is the list of parts of a Sequence, as tokenizer.json writes them.
"""
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
GPT2 = {**BYTES, "use_regex": True}
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def split_text(text, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"String": text}, "behavior": behavior, "invert": invert}


def digits(individual=True):
    return {"type": "Digits", "individual_digits": individual}


def cased(numbers, ending):
    """Words that end where the case changes, with a contraction behind them."""
    start = r"[^\r\n\p{L}\p{N}]?"
    return (f"{start}{UPPER}*{LOWER}+{CONTRACTIONS}?|{start}{UPPER}+{LOWER}*{CONTRACTIONS}?|{numbers}"
            rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n{ending}]*" + TAIL)


PUNCTUATED = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
              r"| ?[\p{P}\p{S}]+[\r\n]*" + TAIL)
HAN_CASED = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
             + CONTRACTIONS + r"?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"
             + CONTRACTIONS + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + TAIL)

# After public models' tokenizers.
PUBLIC = {
    "deepseek-coder": [split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"),
                       digits(), BYTES],
    "deepseek-llm": [split(r"[\r\n]"), split(r"\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u0370-\u0373\u0400-\u0481]+"),
                     split(r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"), split(r"\s+$"),
                     split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"), digits(), BYTES],
    "deepseek-v3": [split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), split(PUNCTUATED), BYTES],
    "falcon": [{"type": "Punctuation", "behavior": "Contiguous"}, GPT2, digits(False), split("[0-9][0-9][0-9]")],
    "bloom": [split(" ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"), BYTES],
    "gpt-4o": [split(cased(r"\p{N}{1,3}", "/")), BYTES],
    "kimi-k2": [split(HAN_CASED), BYTES],
    "qwen35": [split(CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + TAIL), BYTES],
    "seed-coder": [split(CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+" + TAIL), BYTES],
    "bailingmoe": [split(r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"), BYTES],
    "exaone-moe": [split(CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"), BYTES],
    "superbpe": [split(r"\p{N}+"), split(r"(?=(\d{3})+(?!\d))"), BYTES],
    "tiny_aya": [split(r"\d{1,3}(?=(?:\d{3})*\b)"), split(cased(r"\p{N}{1,3}", "/")), BYTES],
    "jais-2": [split(CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"), BYTES],
}

# Every behavior, kind of pattern and operator.
PARTS = {
    **{"split-" + behavior: [split(r"\p{N}+|\s", behavior), BYTES]
       for behavior in ("Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous")},
    **{"inverted-" + behavior: [split(r"\p{L}+", behavior, True), BYTES]
       for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")},
    **{"text-" + behavior: [split_text(" ", behavior), BYTES]
       for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")},
    **{"punctuation-" + behavior: [{"type": "Punctuation", "behavior": behavior}, BYTES]
       for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")},
    "whitespace": [{"type": "Whitespace"}, BYTES],
    "whitespace-split": [{"type": "WhitespaceSplit"}, BYTES],
    "delimiter": [{"type": "CharDelimiterSplit", "delimiter": "e"}, BYTES],
    "bytes-then": [{**GPT2, "add_prefix_space": True}, digits(), split(r"[^\s\w]+", "Contiguous")],
    "whole": [BYTES],
    "anchors": [split(r"^\s+|\s+$|\A.|.\z|\n\Z"), BYTES],
    "boundaries": [split(r"\b\w+\b|\B\W"), BYTES],
    "look-behind": [split(r"(?<=\p{L})\p{N}+|(?<![\p{N}\s])\s"), BYTES],
    "empty-matches": [split(r"\s*"), BYTES],
    "empty-merged": [split(r"x?", "MergedWithPrevious"), BYTES],
    "lazy": [split(r"'.*?'|\(.+?\)|\p{L}{2,4}?"), BYTES],
    "possessive": [split(r"\s++\S|(?>\p{L}+)\p{N}|\p{N}{1,2}+"), BYTES],
    "intervals": [split(r"\p{L}{,3}\p{N}|a{2}|\s{3,}|{|}|x{,}"), BYTES],
    "classes": [split(r"[^\W\d_]+|[[:punct:]]+|[\p{^L}&&\p{Greek}]|[\w-]+|[a-f&&[^c]]|[\x{400}-\u04ff]+|\H\h"), BYTES],
    "posix": [split(r"[[:alpha:]]+|[[:digit:]]+|[[:^space:]]|[[:blank:]]+"), BYTES],
    "words": [split(r"\w+|\W"), BYTES],
    "word-class": [split(r"[\w]+|[\W]"), BYTES],
    "word-property": [split(r"\p{Word}+|[\p{Word}\n]"), BYTES],
    "categories": [split(r"\p{Sc}|\p{Pd}+|\p{Zs}+|\p{Cf}|\p{Lo}+|\p{Mn}|\p{Uppercase_Letter}\p{Ll}*|\P{C}"), BYTES],
    "scripts": [split(r"\p{Han}+|\p{Hiragana}+|\p{Arabic}+|\p{Cyrillic}+|\p{Latin}+|\p{Hangul}+"), BYTES],
    "any-case": [split(r"(?i)the|[k-s]+x|\S"), BYTES],
    "flag-inside": [split(r"a(?i)b|c"), BYTES],
    "alternatives": [split(r"|a|\s"), BYTES],
}

ALPHABET = {"vocab": {"a": 0}, "merges": []}


def tokenizer_json(parts):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": parts}, "post_processor": None,
            "decoder": BYTES, "model": {"type": "BPE", **ALPHABET}}


def words(pre_tokenizer, text):
    """Bytes of each word: its characters in the byte-level alphabet."""
    return [len(word) for word, _ in pre_tokenizer.pre_tokenize_str(text)]
