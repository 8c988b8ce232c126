"""Seeded random text that provokes tokenizers: every script, odd spaces, contractions, digits, control characters."""
import random

SNIPPETS = [
    "the", "The", "model", "tokenizer", "weights", "of", "and", "pruned", "slice", "x", "I", "a", "'s", "'S", "'t", "'RE",
    "'ll", "'Ve", "'m", "'D", "'", "''", "\u2019s", "'\u017f", "'\u017fa", " ", " ", " ", "  ", "   ", "\n", "\r\n", "\n\n", "\t",
    "\u00a0", "\u3000", "\u2028", "\u0085", "\u200b", "0", "7", "42", "2024", "3.14", "1,000", "\u0663", "\u00bd", "\u2167",
    "\u4e00", "\u6a21\u578b", "\u65e5\u672c\u8a9e", "\u043c\u043e\u0434\u0435\u043b\u044c", "\u0646\u0645\u0648\u0630\u062c",
    "\u0939\u093f\u0928\u094d\u0926\u0940", "\ud55c\uad6d\uc5b4", "e\u0301", "na\u00efve", "\U0001f600", "\U0001f469\u200d\U0001f4bb",
    "!", "...", "?!", "-", "--", "_", "(", ")", "{}", "//", "==", "<", ">", "\u201c", "\u2026", "\u20ac", "\x01", "\x7f", "\ufffd",
    "\u2581", "\u2581\u2581", "<0x0A>", "<unk>", "\u0301", "\u0323\u0307", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u0344", "\u0958",
    "\u212b", "\U0001d15e", "\u0b47\u0b3e",
]


def random_char(rng):
    """Any code point but NUL and the surrogates, the lower planes preferred."""
    while True:
        code = rng.randrange(1, rng.choice([0x80, 0x250, 0x3000, 0x10000, 0x20000, 0x110000]))
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def random_text(rng, extra=(), parts=20):
    """A text of up to `parts` snippets and characters; `extra` are more snippets, such as added tokens."""
    out = []
    for _ in range(rng.randrange(1, parts + 1)):
        kind = rng.random()
        if extra and kind < 0.12:
            out.append(rng.choice(extra))
        elif kind < 0.8:
            out.append(rng.choice(SNIPPETS))
        elif kind < 0.85:
            out.append(rng.choice(SNIPPETS) * rng.randrange(2, 9))
        else:
            out.append(random_char(rng))
    return "".join(out)


def generator(seed):
    return random.Random(seed)
