#!/usr/bin/env python3
"""Writes tests/golden/jinja/cases.json: what jinja2, configured as transformers configures it for chat templates, makes
of the templates of jinja_cases.py. Or compares it with another interpreter on random ones.

    pip install transformers jinja2 && tools/goldens/make_jinja_goldens.py tests/golden/jinja/cases.json
    tools/goldens/make_jinja_goldens.py --random SEED COUNT RENDER

RENDER is a program that reads lines of {"t": template, "v": variables} and writes a line of {"o": output} or {"e": error}
for each.
"""
import copy
import datetime
import json
import re
import subprocess
import sys

import jinja2
import transformers
from transformers.utils import chat_template_utils

import jinja_cases

NOW = datetime.datetime(2026, 11, 29, 8, 5, 9)
RANDOM_SEED, RANDOM_CASES = 17, 400
# What a Python object that is no plain data looks like when it is printed.
OPAQUE = re.compile(r"<(generator|built-in|bound|function|list_reverseiterator|reversed|range_iterator|dict_|method"
                    r"|str_|tuple_|odict|class|jinja2|transformers|Macro|Cycler|unhashable)")
# Sliced constants: where the compiler of jinja2 evaluates them, it makes an undefined value of an error.
CONSTANT_SLICE = re.compile(r"[\d})e]\)\[[-\d]*:")


def render(template, variables):
    """("o", output) or ("e", kind of error)."""
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        # A copy: jinja2 extends a list that is given to `indent`.
        text = compiled.render(strftime_now=lambda form: NOW.strftime(form), **copy.deepcopy(variables))
    except jinja2.exceptions.TemplateSyntaxError as error:
        return "e", "syntax"
    except jinja2.exceptions.TemplateError as error:
        return "e", str(error)
    except Exception as error:
        return "e", type(error).__name__
    return "o", text


def comparable(template, result):
    return result[0] == "e" or not (OPAQUE.search(result[1]) or CONSTANT_SLICE.search(template))


def cases(templates):
    kept = []
    for template in templates:
        result = render(template, jinja_cases.VARIABLES)
        if comparable(template, result):
            kept.append({"t": template, result[0]: result[1]})
    return kept


def write(path):
    templates = ["{{ %s }}" % line for line in jinja_cases.EXPRESSIONS] + jinja_cases.TEMPLATES
    templates += jinja_cases.random_templates(RANDOM_SEED, RANDOM_CASES)
    golden = {"made_by": "tools/goldens/make_jinja_goldens.py, jinja2 %s, transformers %s, random seed %d"
                         % (jinja2.__version__, transformers.__version__, RANDOM_SEED),
              "now": NOW.isoformat(), "variables": jinja_cases.VARIABLES, "cases": cases(templates)}
    with open(path, "w", encoding="utf-8") as out:
        out.write('{"made_by": %s,\n"now": %s,\n"variables": %s,\n"cases": [\n' % tuple(
            json.dumps(golden[key]) for key in ("made_by", "now", "variables")))
        out.write(",\n".join(json.dumps(case) for case in golden["cases"]))
        out.write("\n]}\n")
    print("%d cases" % len(golden["cases"]))


def compare(seed, count, program):
    templates = jinja_cases.random_templates(int(seed), int(count))
    lines = "".join(json.dumps({"t": t, "v": jinja_cases.VARIABLES}) + "\n" for t in templates)
    replies = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout.splitlines()
    different = 0
    for template, line in zip(templates, replies, strict=True):
        result, reply = render(template, jinja_cases.VARIABLES), json.loads(line)
        if comparable(template, result) and (result[0] not in reply or (result[0] == "o" and reply["o"] != result[1])):
            different += 1
            print("template  %r\n  jinja2  %r\n  program %r" % (template, result, reply))
    print("%d of %d templates differ" % (different, len(templates)))
    return different != 0


if __name__ == "__main__":
    if len(sys.argv) == 5 and sys.argv[1] == "--random":
        sys.exit(compare(*sys.argv[2:]))
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(sys.argv[1])
