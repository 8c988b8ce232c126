#!/usr/bin/env python3
"""Rules of the repository that the compiler does not see. Prints one line per violation, exits 1 if any.

usage: check_house.py [ROOT]

Each rule is a function from (path, text) to complaints, or from all texts by path to (place, complaint);
house_test.py shows that each one can fail.
"""

import collections
import os
import re
import sys

# The ladder, lowest rung first: a folder includes itself and the folders of lower rungs. Folders on the same
# rung do not see each other.
LADDER = [
    ["base"],
    ["tensor"],
    ["io", "text", "linalg"],
    ["kernels", "model"],
    ["runtime"],
    ["checkpoint", "train"],
    ["compress", "eval", "engine", "mpi", "page"],
    ["serve", "api"],
    ["apps"],
]
RUNG = {folder: rung for rung, folders in enumerate(LADDER) for folder in folders}

MAX_LINES = 800
# Tables written by a script in tools/.
GENERATED = {"src/text/unicode/nfc_tables.cpp", "src/text/unicode/unicode_properties.cpp",
             "src/text/jinja/python_tables.cpp"}

MAX_COLUMNS = 100
# Markdown that is no document: written by a script in tools/, or an input of a reader.
NO_DOCUMENTS = ("tests/golden/", "fuzz/seeds/")

# Folders that explain themselves, beside those directly below src/.
README_FOLDERS = {"src", "apps/pare", "bench", "examples", "fuzz", "tests", "tools"}
# Folders further below src/ do so from this number of sources on.
LARGE_FOLDER = 10

# Headers for programs that use the library, and how many there may be.
PUBLIC_HEADERS = "include/pare/"
MAX_PUBLIC_HEADERS = 10

INTRINSICS_FOLDERS = ("src/kernels/cpu/avx2/", "src/kernels/cpu/avx512/", "src/kernels/cpu/amx/")

# The definition of a type outside of others: it begins a line.
TYPE = re.compile(r"^(?:struct|class|enum class)\s+(\w+)\s*(?:final\s*)?(?::[^:;{][^;{]*)?\{", re.MULTILINE)

# Vector operations on rows of the host, such as logits.
HOST_OPERATIONS = "kernels/cpu/vector_ops.h"

# Where models may be named: the readers of their configurations, and the names that tokenizer files give to
# their pre-tokenizers.
MODEL_NAME_PLACES = ("src/checkpoint/arch/", "src/text/", "src/checkpoint/gguf_tokenizer.cpp",
                     "src/checkpoint/gguf_pre_tokenizers.cpp")
# "llama3" is also the name of a RoPE scaling that several architectures use; llama.cpp and Ollama are programs.
MODEL_NAME = re.compile(r"(?<!o)llama(?!3|\.cpp)|mistral|qwen|gemma|smollm|gptneox|\bphi[-_0-9]*\b|\"opt\"|\bOPTFor",
                        re.IGNORECASE)

# Where flags may be spelled in src/: the model card, which shows its readers commands.
FLAG_PLACES = ("src/checkpoint/model_card.cpp",)
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")

# Written so that this file does not match itself.
FOREIGN = re.compile(r"/wor[k]/|pypi[.]org|pythonh[o]sted[.]org|deb[.]debian[.]org")

# Beginnings of comments that cannot be read without what stands above them.
LEANING = re.compile(r"(of|the same|as for|and|but|neither|nor|likewise|also|these|they|those|whether|how)\b",
                     re.IGNORECASE)

SKIPPED_FOLDERS = re.compile(r"^(\.git|\.cache|\.venv|build.*|demo-out|__pycache__)$")

_TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      |R"(?P<tag>[^()\\ ]{0,16})\((?P<raw>.*?)\)(?P=tag)"
      |"(?P<string>(?:\\.|[^"\\\n])*)"
      |(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])*'""", re.DOTALL | re.VERBOSE)


def code_only(text, keep_strings=False):
    """C++ text without comments and (unless keep_strings) the contents of strings; lines stay where they are."""

    def replacement(match):
        if match.group("comment") is None and keep_strings:
            return match.group(0)
        return ('""' if match.group("comment") is None else " ") + "\n" * match.group(0).count("\n")

    return _TOKEN.sub(replacement, text)


def matching_lines(pattern, text):
    for number, line in enumerate(text.split("\n"), 1):
        found = re.search(pattern, line)
        if found:
            yield number, found.group(0).strip()


def is_cpp(path):
    return path.endswith((".h", ".cpp", ".cu", ".cuh"))


def folder_of(path):
    parts = path.split("/")
    if parts[0] == "apps":
        return "apps"
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def check_ladder(path, text):
    """A folder of src/ includes only itself and folders further down the ladder."""
    folder = folder_of(path)
    if folder is None or not is_cpp(path):
        return
    if folder not in RUNG:
        yield f"src/{folder} has no rung on the ladder (tests/house/check_house.py)"
        return
    # Comments go first: an include that is commented out is none. Strings stay: they are the paths.
    for number, line in enumerate(code_only(text, keep_strings=True).split("\n"), 1):
        found = re.match(r'\s*#\s*include\s*["<]([a-z_]+)/', line)
        if found and found.group(1) in RUNG and found.group(1) != folder:
            if RUNG[found.group(1)] >= RUNG[folder]:
                yield f"line {number}: {folder} must not include {found.group(1)}/"


def check_size(path, text):
    """No source file is longer than MAX_LINES."""
    lines = text.count("\n")
    if path not in GENERATED and (is_cpp(path) or path.endswith(".py")) and lines > MAX_LINES:
        yield f"{lines} lines, the limit is {MAX_LINES}"


def check_silence(path, text):
    """Nothing below apps/ prints or ends the process."""
    if not path.startswith("src/") or not is_cpp(path):
        return
    loud = (r"\b(v|f)?printf\s*\(|\bputs\s*\(|\bperror\s*\(|\bstd::(cout|cerr|clog)\b|\bfmt::print\b"
            r"|\b(_|quick_|_E)?[eE]xit\s*\(|\babort\s*\(|\bstd::terminate\b")
    for number, what in matching_lines(loud, code_only(text)):
        yield f"line {number}: {what} below apps/"


def check_model_names(path, text):
    """Only checkpoint/arch/ knows a model's name."""
    if not path.startswith("src/") or not is_cpp(path) or path.startswith(MODEL_NAME_PLACES):
        return
    for number, what in matching_lines(MODEL_NAME, code_only(text, keep_strings=True)):
        yield f"line {number}: the model name {what} outside src/checkpoint/arch/"


def check_backends(path, text):
    """What lies above kernels/ knows backends, not what one of them is made of."""
    if not path.startswith(("src/", "apps/")) or path.startswith("src/kernels/") or not is_cpp(path):
        return
    for number, line in enumerate(code_only(text, keep_strings=True).split("\n"), 1):
        found = re.match(r'\s*#\s*include\s*["<](kernels/\w+/[^">]+)', line)
        if found and found.group(1) != HOST_OPERATIONS:
            yield f"line {number}: {found.group(1)} belongs to a backend"
        found = re.search(r"\b(active_isa|detected_isa|\w+_(amx|avx2|avx512))\b", code_only(line))
        if found:
            yield f"line {number}: {found.group(1)} above kernels/"


def check_flags(path, text):
    """The library names options in words (`max_tokens`); flags belong to the command line."""
    if not path.startswith("src/") or not is_cpp(path) or path in FLAG_PLACES:
        return
    for token in _TOKEN.finditer(text):
        content = token.group("string") or token.group("raw") or ""
        for flag in FLAG.finditer(content):
            number = text.count("\n", 0, token.start()) + 1
            yield f"line {number}: the flag {flag.group(0)} below apps/"


def check_intrinsics(path, text):
    """Intrinsics stay in the folders that are compiled for their instruction set."""
    if not path.startswith(("src/", "apps/")) or not is_cpp(path) or path.startswith(INTRINSICS_FOLDERS):
        return
    intrinsics = r"\b_mm(256|512)?_\w+|\b__m(128|256|512)\w*|\b_tile_\w+|\b\w*intrin\.h"
    for number, what in matching_lines(intrinsics, code_only(text, keep_strings=True)):
        yield f"line {number}: {what} outside {', '.join(INTRINSICS_FOLDERS)}"


def check_public_headers(path, text):
    """The headers of include/pare/ include the standard library and each other only."""
    if not path.startswith(PUBLIC_HEADERS):
        return
    for number, line in enumerate(code_only(text, keep_strings=True).split("\n"), 1):
        found = re.match(r"\s*#\s*include\s*(\S+)", line)
        if found and not re.fullmatch(r'<[a-z_0-9]+>|"pare/[a-z_]+\.h"', found.group(1)):
            yield f"line {number}: {found.group(1)} in a public header"


def check_foreign(path, text):
    """The repository names no path of one machine and no registry host."""
    for number, what in matching_lines(FOREIGN, text):
        yield f"line {number}: {what}"


def check_range_for(path, text):
    """No range-based for runs over a part of what a call returns: C++20 ends the life of the whole first."""
    if not is_cpp(path):
        return
    code = code_only(text)
    for head in re.finditer(r"\bfor\s*\([^;(){}]*[^:]:\s*[\w:]+(?=\()", code):
        end, depth = head.end(), 0
        while end < len(code):
            depth += {"(": 1, ")": -1}.get(code[end], 0)
            end += 1
            if depth == 0:
                break
        if re.match(r"\s*(\[|(\.|->)(at|back|front|get|items|value|view)\()", code[end:]):
            number = code.count("\n", 0, head.start()) + 1
            yield f"line {number}: give what {head.group(0).split()[-1]} returns a name before the loop"


def first_comments(text):
    """(line number, text) of each comment behind code and of the first line of each block of comments."""
    column_of = {}  # of the comments that a comment on the next line may go on
    for token in _TOKEN.finditer(text):
        comment = token.group("comment")
        if comment is None:
            continue
        start = token.start()
        line_start = text.rfind("\n", 0, start) + 1
        number = text.count("\n", 0, start) + 1
        alone = not text[line_start:start].strip()
        if not (alone and column_of.get(number - 1) == start - line_start):
            yield number, comment.lstrip("/*!< \n")
        column_of[number + comment.count("\n")] = start - line_start


def check_comments(path, text):
    """A comment can be read alone: it does not begin with a word that leans on the code or comment above."""
    if not path.startswith(("src/", "apps/", "include/")) or not is_cpp(path) or path in GENERATED:
        return
    for number, comment in first_comments(text):
        found = LEANING.match(comment)
        if found:
            yield f'line {number}: a comment begins with "{found.group(0)}"'


def check_columns(path, text):
    """No line of a document is longer than MAX_COLUMNS."""
    if not path.endswith(".md") or path.startswith(NO_DOCUMENTS):
        return
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_COLUMNS:
            yield f"line {number}: {len(line)} characters, the limit is {MAX_COLUMNS}"


def check_type_names(texts):
    """Headers of src/ and apps/ share no name of a type: two definitions in one namespace are one to the linker."""
    places = {}
    for path, text in sorted(texts.items()):
        if path.startswith(("src/", "apps/")) and path.endswith(".h"):
            for match in TYPE.finditer(code_only(text)):
                places.setdefault(match.group(1), []).append(path)
    for name, found in places.items():
        if len(found) > 1:
            yield found[1], f"the type {name} is defined in {found[0]} too"


def check_readmes(paths):
    """README_FOLDERS, every folder of src/ and every large folder below have a README.md."""
    sources = collections.Counter(os.path.dirname(path) for path in paths if is_cpp(path))
    folders = {path[:i] for path in paths for i, letter in enumerate(path) if letter == "/"}
    for folder in sorted(folders):
        depth = folder.count("/")
        wanted = folder in README_FOLDERS or (
            folder.startswith("src/") and (depth == 1 or sources[folder] >= LARGE_FOLDER))
        if wanted and f"{folder}/README.md" not in paths:
            yield folder, "no README.md"


def check_public_face(paths):
    """There are at most MAX_PUBLIC_HEADERS public headers."""
    headers = [path for path in paths if path.startswith(PUBLIC_HEADERS)]
    if len(headers) > MAX_PUBLIC_HEADERS:
        yield "include/pare", f"{len(headers)} headers, the limit is {MAX_PUBLIC_HEADERS}"


RULES = [check_ladder, check_size, check_silence, check_model_names, check_flags, check_backends, check_intrinsics,
         check_public_headers, check_foreign, check_range_for, check_comments, check_columns]
TREE_RULES = [check_type_names, check_readmes, check_public_face]


def files_of(root):
    """Every file of the tree but build outputs, as (path with slashes, text)."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not SKIPPED_FOLDERS.match(name))
        for name in sorted(names):
            full = os.path.join(folder, name)
            if os.path.isfile(full):
                with open(full, encoding="utf-8", errors="replace") as file:
                    yield os.path.relpath(full, root).replace(os.sep, "/"), file.read()


def violations(root):
    texts = {}
    for path, text in files_of(root):
        texts[path] = text
        for rule in RULES:
            for complaint in rule(path, text):
                yield f"{path}: {complaint}"
    for rule in TREE_RULES:
        for place, complaint in rule(texts):
            yield f"{place}: {complaint}"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..")
    found = list(violations(root))
    for line in found:
        print(line)
    print(f"{len(found)} violations of {len(RULES) + len(TREE_RULES)} rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
