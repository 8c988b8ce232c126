#!/usr/bin/env python3
"""Writes tests/golden/chat/cases.json: what jinja2 makes of conversations with the templates beside it.

    tools/goldens/make_chat_goldens.py

Needs: pip install jinja2. The environment is that of transformers' chat templates. The clock stands still.
"""
import copy
import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox

import chat_cases

NOW = datetime.datetime(2026, 3, 5, 14, 7, 9)


class Generation(jinja2.ext.Extension):
    """{% generation %} writes its body."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_write"), [], [], body).set_lineno(line)

    def _write(self, caller):
        return caller()


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    made = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                        extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = NOW.strftime
    return made


def marked(messages):
    messages = copy.deepcopy(messages)
    content = messages[-1]["content"]
    if isinstance(content, list):
        content[-1]["text"] += chat_cases.MARK
    else:
        messages[-1]["content"] = content + chat_cases.MARK
    return messages


def cut(text):
    at = text.rindex(chat_cases.MARK.strip())
    return text[:at] if text[at:].startswith(chat_cases.MARK) else text[:at].rstrip()


def rendered(template, conversation):
    ending = conversation.get("ending", "answer")

    def render(messages):
        return template.render(messages=messages, tools=conversation.get("tools"), documents=conversation.get("documents"),
                               add_generation_prompt=ending == "answer", bos_token=chat_cases.BOS,
                               eos_token=chat_cases.EOS, **conversation.get("variables", {}))

    if ending != "continued":
        return chat_cases.write(render, conversation["messages"])
    return cut(chat_cases.write(render, marked(conversation["messages"])))


def main():
    made = environment()
    expected = {}
    for name, source in chat_cases.templates():
        template = made.from_string(source)
        expected[name] = {}
        for label, conversation in chat_cases.CONVERSATIONS.items():
            try:
                expected[name][label] = {"text": rendered(template, conversation)}
            except jinja2.exceptions.UndefinedError as error:
                expected[name][label] = {"undefined": str(error)}
            except jinja2.exceptions.TemplateError as error:
                expected[name][label] = {"refused": str(error)}
            except Exception as error:  # of Python, in words of its own
                expected[name][label] = {"fails": str(error)}
    golden = {"made by": "tools/goldens/make_chat_goldens.py with jinja2 %s" % jinja2.__version__,
              "now": NOW.strftime("%Y-%m-%d %H:%M:%S"), "bos": chat_cases.BOS, "eos": chat_cases.EOS,
              "conversations": chat_cases.CONVERSATIONS, "expected": expected}
    path = chat_cases.TEMPLATES / "cases.json"
    path.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    outcomes = [next(iter(case)) for cases in expected.values() for case in cases.values()]
    print("%d templates, %d conversations: %s" % (len(expected), len(chat_cases.CONVERSATIONS),
                                                  {kind: outcomes.count(kind) for kind in sorted(set(outcomes))}))


if __name__ == "__main__":
    main()
