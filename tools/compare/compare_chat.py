#!/usr/bin/env python3
"""Compares the ids of conversations as pare writes them with transformers' apply_chat_template, template by template.

    tools/compare/compare_chat.py MODEL [TEMPLATE.jinja...] [--pare build/release/apps/pare/pare]

MODEL is what tools/compare/library_tokenizer.py reads; its tokenizer gets the special tokens of the templates. Without templates those of
tests/golden/chat are compared, over the conversations of tools/goldens/chat_cases.py. Where a user writes special tokens, pare rightly reads
none: texts are compared then, and the special tokens with those in the template's own parts.
Needs: pip install tokenizers transformers jinja2 gguf
"""
import argparse
import concurrent.futures
import copy
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import transformers
from transformers import PreTrainedTokenizerFast

# The cases that the goldens are made of.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "goldens"))

import chat_cases  # noqa: E402
import library_tokenizer  # noqa: E402


def make_library(model, sources):
    library = PreTrainedTokenizerFast(tokenizer_object=library_tokenizer.load(model), bos_token=chat_cases.BOS,
                                      eos_token=chat_cases.EOS)
    library.add_special_tokens({"additional_special_tokens": chat_cases.special_tokens(sources)})
    return library


def expected(library, conversation, tokenize):
    """Ids or text of a conversation; raises what the template raises."""
    ending = conversation.get("ending", "answer")

    def render(messages):
        continues = ending == "continued" and messages[-1]["role"] == "assistant"
        return library.apply_chat_template(
            copy.deepcopy(messages), tools=conversation.get("tools"), documents=conversation.get("documents"),
            add_generation_prompt=ending == "answer", continue_final_message=continues, tokenize=False,
            **conversation.get("variables", {}))

    text = chat_cases.write(render, conversation["messages"])
    return library.encode(text, add_special_tokens=False) if tokenize else text


def run(pare, folder, conversation, place):
    body = {key: conversation[key] for key in ("messages", "tools", "documents") if key in conversation}
    body["chat_template_kwargs"] = conversation.get("variables", {})
    ending = conversation.get("ending", "answer")
    body["add_generation_prompt"] = ending == "answer"
    body["continue_final_message"] = ending == "continued"
    place.write_text(json.dumps(body), encoding="utf-8")
    done = subprocess.run([pare, "tokenize", folder, "--chat", place, "--json"], capture_output=True)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.decode().strip()


def specials(library, ids):
    special = set(library.all_special_ids)
    return [i for i in ids if i in special]


def same_but_for_tokens(library, conversation, got):
    """Where strings of the conversation hold special tokens."""
    trusted = [i for part in got["parts"] if part["from_template"]
               for i in specials(library, library.encode(part["text"], add_special_tokens=False))]
    return got["text"] == expected(library, conversation, False) and specials(library, got["ids"]) == trusted


def check(library, label, conversation, got):
    """What differs, or nothing; and whether the template refused."""
    try:
        want = expected(library, conversation, True)
    except Exception as error:
        # pare goes on with a message of which the template drops a part; transformers does not.
        fine = isinstance(got, str) or "does not appear in the chat" in str(error)
        return (None if fine else "transformers refuses (%s), pare does not" % error), True
    if isinstance(got, str):
        return "pare refuses: " + got, False
    if label in chat_cases.FOREIGN_TOKENS:
        return (None if same_but_for_tokens(library, conversation, got) else "special tokens of a user: %r" % got["text"]), False
    if got["ids"] == want:
        return None, False
    return "expected %r\n      got      %r" % (library.decode(want), library.decode(got["ids"])), False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("templates", nargs="*", type=Path)
    parser.add_argument("--pare", default="build/release/apps/pare/pare")
    args = parser.parse_args()
    sources = [(path.stem, path.read_text(encoding="utf-8")) for path in args.templates] or chat_cases.templates()
    library = make_library(args.model, [source for _, source in sources])
    bad = 0
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(2) as pool:
        folder = Path(scratch) / "model"
        for name, source in sources:
            library.chat_template = source
            library.save_pretrained(folder)
            cases = list(chat_cases.CONVERSATIONS.items())
            answers = pool.map(lambda case: run(args.pare, folder, case[1], Path(scratch) / (case[0].replace(" ", "_") + ".json")),
                               cases)
            refused, differ = 0, []
            for (label, conversation), got in zip(cases, list(answers)):
                difference, is_refused = check(library, label, conversation, got)
                refused += is_refused
                if difference:
                    differ.append("  %s: %s" % (label, difference))
            print("%-28s %d conversations, %s%s" % (name, len(cases), "%d differ" % len(differ) if differ else "equal",
                                                    ", %d of them refused" % refused if refused else ""), flush=True)
            print("\n".join(differ[:3]), end="\n" if differ else "")
            bad += len(differ)
    print("transformers %s: %s" % (transformers.__version__, "%d differ" % bad if bad else "all equal"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
