"""Templates of tools/goldens/make_jinja_goldens.py: expressions and whole templates, and a generator of random ones."""
import random

VARIABLES = {
    "name": "Ada", "empty": "", "n": 5, "z": 0, "f": 2.5, "yes": True, "no": False, "nil": None,
    "word": "Straße ÅNGSTRÖM ΣΑΣ ǆ ﬁ", "text": "  one two\tthree \u00a0\n", "lines": "a\nb\r\nc\n\nd",
    "xs": [3, 1, 2, 10, -4], "ss": ["b", "A", "c", "a"], "mixed": [1, "a", None, 2.0, [1], {"k": 1}],
    "d": {"b": 2, "a": 1, "C": 3}, "nested": {"x": {"y": [1, {"z": "deep"}]}},
    "people": [{"name": "Eve", "age": 30, "tags": ["x"]}, {"name": "bob", "age": 25},
               {"name": "Al", "age": 30, "tags": []}],
    "quote": "it's \"q\" \\ \x07 \u200b é \U0001f600", "items_key": {"items": 1, "keys": 2, "get": 3},
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <|im_end|> there"},
                 {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello", "tool_calls": None},
                 {"role": "user", "content": [{"type": "text", "text": "part"}, {"type": "image"}]},
                 {"role": "assistant", "content": None,
                  "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"a": 1, "é": [True, None]}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d\n\"q\"", "parameters":
               {"type": "object", "properties": {"a": {"type": "integer"}}, "required": []}}}],
    "big": 18446744073709551615, "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4}]}]}],
}

EXPRESSIONS = r"""
1 + 2 * 3
7 / 2
7 // 2
-7 // 2
7 % -3
-7 % 3
7.5 // 2
-7.5 % 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
1_000 + 0x1F + 0b11 + 0o17
1e3
1.5e-7
1e16
123456789012345678
0.1 + 0.2
1e22
1e-5
0.0001
100000.0
3.0
10 / 5
1 / 0
1 % 0
'a' + 'b'
'a' + 1
1 + 'a'
'a' * 3
3 * 'ab'
[1] * 2
(1,) * 2
[1] + [2]
(1,) + (2, 3)
[1] + (2,)
'a' ~ 1 ~ none ~ true ~ 1.0
1 ~ undefined_x ~ 2
undefined_x + 1
1 + undefined_x
undefined_x
undefined_x.y
undefined_x['y']
undefined_x()
nested.nope
nested.nope.more
nil.x
nil['x']
name.nope
xs.nope
xs[99]
xs[99].y
xs['a']
n.real_nope
nested.x.y[1].z
nested['x']['y'][0]
nested.x.y.1.z
nested.x.y[1:]
d.b
d['b']
d.items()|list
d.keys()|list
d.values()|list
d.items()
d.keys()
d.get('a')
d.get('q')
d.get('q', 9)
items_key.items
items_key['items']
items_key.keys()|list
d.update({'x': 1})
d.pop
d.update
xs.append(1)
xs.append
xs.pop()
ss.sort()
''.__class__
xs.__len__()
d['__class__']
xs[0]
xs[-1]
xs[1:3]
xs[::-1]
xs[::2]
xs[-2:]
xs[:-1]
xs[10:]
xs[5:1:-1]
xs[::0]
name[0]
name[-1]
name[::-1]
word[::-1]
word[3:8]
word[1]
word[-2]
name[5]
name[1:2]
'héllo wörld'[1:4]
(1, 2, 3)[1:]
range(10)[2:5]
range(5)
range(1, 10, 3)|list
range(5, 0, -2)|list
range(0)|list
range(200000)
range(3)[1]
range(2.0)
1 == 1.0
1 == true
'1' == 1
[1, 2] == [1, 2]
[1] == (1,)
{'a': 1} == {'a': 1.0}
none == false
undefined_x == undefined_y
undefined_x == none
1 < 2 < 3
1 < 2 > 3
3 > 2 > 1 == 1
'a' < 'b'
'a' < 1
[1, 2] < [1, 3]
(1,) < (1, 0)
none < 1
1 in xs
3 in xs
99 not in xs
'd' in name
'Ad' in name
1 in name
'a' in d
'z' in d
[1] in mixed
1 in nil
1 in undefined_x
not yes
not no and yes
yes or no
'' or 'default'
0 or none or 'x'
'a' and 'b'
'' and 'b'
not 1 == 2
1 if yes else 2
1 if no else 2
1 if no
(1 if no) is undefined
(1 if no).x
'a' if no else 'b' if yes else 'c'
[1, 2, 3]
(1, 2)
(1,)
()
[]
{}
{'a': 1, 2: 'b', none: [true]}
{'a': {'b': [1, 'x', "it's"]}}
[undefined_x]
{'a': 1,}
[1,]
quote
[quote]
'a\nb\t\x41\u00e9\101\q\'"'
"a\\n"
'a' 'b' 'c'
"\é"
'\
x'
true
True
none
None
-5
+5
- n
-'a'
+true
not none
nil
yes
f
[1.0, 1e100, -0.0]
name|upper
name|lower|length
word|upper
word|lower
word|title
word|capitalize
word.title()
word.swapcase()
word.upper().lower()
'ΑΣ ΣΑΣ. Σ'|lower
'they\'re bill\'s (x) [y] <z>-w'|title
"they're bill's".title()
text|trim
text.strip()
text.lstrip()
text.rstrip()
'xxaxx'.strip('x')
'xyaxy'|trim('xy')
text.split()
'a,b,,c'.split(',')
'a,b,c'.split(',', 1)
'a,b,c'.rsplit(',', 1)
'  a b  c '.split(none, 1)
'  a b  c '.rsplit(none, 1)
'abc'.split('')
lines.splitlines()
lines.splitlines(true)
lines.split('\n')[0]
messages[2].content.split('</think>')[-1].lstrip('\n')
messages[2].content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n')
'aXbXc'.replace('X', '-')
'aXbXc'.replace('X', '-', 1)
'abc'.replace('', '-')
'aXbXc'|replace('X', '')
'abc'|replace('', '.', 2)
5|replace('5', 'five')
'abc'.startswith('a')
'abc'.startswith(('x', 'a'))
'abc'.endswith('bc')
'abc'.startswith('b', 1)
'abc'.find('c')
'abc'.find('z')
'wörld'.find('l')
'abcabc'.rfind('b')
'abc'.index('z')
'abab'.count('ab')
'aaa'.count('')
'a-b-c'.partition('-')
'a-b-c'.rpartition('-')
'abc'.partition('x')
'abc'.removeprefix('a').removesuffix('c')
','.join(ss)
','.join(xs)
'-'.join('abc')
'7'.zfill(3)
'-7'.zfill(4)
'ab'.ljust(5, '.')
'ab'.rjust(5) ~ '|'
'ab'.center(5, '*')
'abc'.center(6, '*')
'ab'|center(7)
'a\tb'.expandtabs(4)
'abc'.isalpha()
'ab1'.isalnum()
'12'.isdigit()
'²'.isdigit()
'½'.isnumeric()
'٣'.isdecimal()
' \t\u2003'.isspace()
'Ab'.isupper()
'AB1'.isupper()
'ab'.islower()
'Ab Cd'.istitle()
'a_1'.isidentifier()
'é'.isascii()
''.isalpha()
'{} {}'.format(1, 'a')
'{0} {1} {0}'.format('x', 'y')
'{a}-{b[0]}-{c.x}'.format(a=1, b=[2], c={'x': 3})
'{:>5}|{:<5}|{:^5}'.format('a', 'b', 'c')
'{:05d} {:+d} {:x} {:,}'.format(42, 7, 255, 1234567)
'{:.2f} {:8.3f} {:e} {:g}'.format(3.14159, 2.5, 12345.678, 0.0001)
'{{}} {!r}'.format('x')
'{} {0}'.format(1)
'{'.format(1)
'%s and %d' % ('x', 3.7)
'%5.1f|%-5s|%05d|%x' % (3.14159, 'ab', 42, 255)
'%(a)s %(b)r' % {'a': 1, 'b': 'x'}
'%s' % 'x'
'%s %s' % ('x',)
'%s' % ('x', 'y')
'%%'  % ()
'%s'|format('x')
'%(a)s'|format(a=1)
'%d' % 'x'
'%c%c' % (65, 'b')
xs|sort
xs|sort(reverse=true)
ss|sort
ss|sort(case_sensitive=true)
mixed|sort
people|sort(attribute='age')|map(attribute='name')|list
people|sort(attribute='age,name')|map(attribute='name')|join(',')
people|map(attribute='tags', default='none')|list
people|map(attribute='name')|map('upper')|join(' ')
people|selectattr('tags', 'defined')|map(attribute='name')|list
people|selectattr('tags')|list|length
people|rejectattr('age', 'equalto', 30)|map(attribute='name')|list
people|selectattr('age', '>', 26)|map(attribute='name')|list
people|groupby('age')
people|groupby('age')|map(attribute='grouper')|list
people|groupby('tags', default='-')|length
xs|select('odd')|list
xs|reject('odd')|list
xs|select|list
xs|select('divisibleby', 2)|list
xs|select('nope')|list
xs|map('nope')|list
xs|map
xs|select
xs|select('odd')|length
(xs|select('odd')) is iterable
yes if xs|select('gt', 100) else no
xs|first
xs|last
[]|first
[]|last
'abc'|first
'abc'|last
d|first
xs|min
xs|max
[]|max
ss|max
ss|min
people|max(attribute='age')
xs|sum
people|sum(attribute='age')
xs|sum(start=100)
['a', 'b']|sum
xs|reverse|list
'abc'|reverse
xs|reverse
xs|length
name|length
word|length
d|count
n|length
undefined_x|length
nil|length
xs|join
xs|join(', ')
people|join('/', attribute='name')
nil|join
xs|list
'abc'|list
d|list
nil|list
['a', 'A', 'b', 'a']|unique|list
[1, 1.0, true, 2]|unique|list
['a', 'A']|unique(true)|list
xs|batch(2)|list
xs|batch(2, 0)|list
xs|slice(3)|list
xs|slice(3, 0)|list
d|dictsort
d|dictsort(true)
d|dictsort(by='value', reverse=true)
d|items|list
undefined_x|items|list
nil|items|list
undefined_x|default('x')
nil|default('x')
nil|default('x', true)
''|d('x', boolean=true)
undefined_x|d
'42'|int
'42.7'|int
'x'|int
'x'|int(default=-1)
'0x1F'|int(base=16)
' 12 '|int
'1_000'|int
3.99|int
-3.99|int
true|int
nil|int
'1.5'|float
'x'|float
'inf'|float
n|float
'abc'|float(1.5)
-5|abs
-2.5|abs
'a'|abs
2.5|round
3.5|round
2.675|round(2)
1234.5|round(-2)
2.123|round(1, 'ceil')
2.19|round(1, 'floor')
5|round
5|round(1, 'ceil')
n|string
1.0|string ~ 'x'
'a\nb\n\nc'|indent
'a\nb\n\nc'|indent(2, true)
'a\nb\n\nc'|indent(2, blank=true)
'a\nb'|indent('> ')
'<a href="x">&\'</a>'|escape
'<b>'|e ~ 'x'
'foo bar baz qux'|truncate(9)
'foo bar baz qux'|truncate(9, true)
'foo bar baz qux'|truncate(11)
'foo bar baz qux'|truncate(9, false, '..', 0)
'Hello, big world_1'|wordcount
'a b/c?d=é'|urlencode
{'a': 1, 'b c': 'é'}|urlencode
1234567|filesizeformat
1000|filesizeformat(true)
d|tojson
nested|tojson
messages[4]|tojson
tools|tojson
tools|tojson(indent=2)
tools|tojson(indent=4, sort_keys=true)
d|tojson(sort_keys=true)
d|tojson(separators=(',', ':'))
word|tojson
word|tojson(ensure_ascii=true)
quote|tojson(true)
quote|tojson
[1.0, 1e100, true, none, 0.1]|tojson
{1: 2, none: 3, true: 4, 1.5: 5}|tojson
{}|tojson(indent=2)
[[], {}]|tojson(indent=1)
(1, 2)|tojson
undefined_x|tojson
range(3)|tojson
big
big|tojson
big + 1
'x' is string
1 is number
true is number
true is integer
1.0 is float
1 is integer
d is mapping
xs is mapping
xs is sequence
d is sequence
'a' is sequence
1 is sequence
undefined_x is sequence
xs is iterable
1 is iterable
undefined_x is iterable
nil is none
none is none
undefined_x is none
undefined_x is defined
name is defined
nested.q is defined
nested.q is undefined
undefined_x.q is defined
3 is odd
4 is even
9 is divisibleby 3
9 is divisibleby(2)
1 is in [1, 2]
'a' is in 'abc'
1 is eq 1
1 is equalto(1.0)
1 is sameas 1
true is sameas true
none is sameas none
1 is not eq 2
5 is gt 3
5 is ge 5
'b' is lt 'c'
5 is le 4
true is true
1 is true
false is false
true is boolean
1 is boolean
range is callable
name is callable
'abc' is lower
'ABC' is upper
'upper' is filter
'nope' is filter
'odd' is test
name is not defined
not name is defined
name is string and n is number
name is nope
n is odd is true
1 is none or true
n is divisibleby 5 and yes
x is defined and x.y
namespace(a=1).a
namespace(a=1).b
namespace({'a': 1}, b=2).b
dict(a=1, b=2)
dict([('a', 1)])
dict({'a': 1}, b=2)
cycler(1, 2).next()
joiner('|')() ~ 'a'
raise_exception('stop ' ~ name)
raise_exception()
strftime_now('%Y-%m-%d')
strftime_now('%d %B %Y, %A %H:%M:%S %j %b %a %y %I %p %%')
strftime_now('%-d %e')
lipsum_nope()
name()
5()
xs.index(2)
xs.index(99)
xs.count(1)
(1, 2, 1).count(1)
ss|map('upper')|list
'abc'|attr('upper')
d|attr('a')
'x'|nope
name|upper|replace('A', name|lower)
(1, 2)|join('-')
[[1, 2], [3]]|sum(start=[])
xs|map('string')|join('+')
d.items()|map(attribute=0)|list
d.items()|map(attribute='1')|list
messages|map(attribute='role')|unique|list
messages|selectattr('role', 'equalto', 'user')|list|length
messages|selectattr('role', 'in', ['system', 'user'])|map(attribute='role')|join(',')
messages[1:]|length
messages[-1]['role']
messages[-1].tool_calls[0].function.arguments|tojson
messages[0]['content'] is string
messages[3].content is string
messages[3].content is iterable and messages[3].content is not mapping
messages[3]['content'][0]['text']
messages|length % 2 == 0
(messages|length) % 2 == 0
loop
loop is defined
1.real_nope
d.a.b.c
not undefined_x
undefined_x or 'x'
undefined_x is not none
undefined_x < 1
undefined_x in [1]
undefined_x ~ 'a'
[undefined_x]|join('x')
undefined_x|list
undefined_x|join
undefined_x|upper
undefined_x|trim
undefined_x|tojson
undefined_x|first
undefined_x|sum
nil|upper
nil|trim
5|upper
xs|upper
'a' is in undefined_x
'ß'.upper() ~ 'ŉ'.title()
'İ'|lower|length
'\u0130'.lower()
'ab'[1:][0]
'%s' % none
'%s' % undefined_x
'%s' % [1, 2]
'%r' % 'x'
'{}'.format(none)
'{}'.format([1, 'a'])
'{:d}'.format('a')
'{:>{}}'.format('a', 4)
'a' == 'a' == 'a'
1 in [1] in [[1]]
""".strip("\n").split("\n")

TEMPLATES = [
    "a\n", "a\n\n", "\na", "", "\n", "{{ 1 }}\n", "a{# c #}b", "a\n  {# c #}\nb", "a {#- c -#} b",
    "{% if yes %}\nA\n{% endif %}\nB\n", "  {% if yes %}  \n  A\n  {% endif %}  \nB", "x  {%- if yes %} A {% endif -%}  y",
    "  {%+ if yes %}A{% endif %}", "{% if yes +%}\nA{% endif %}", "{{- 1 }} {{ 2 -}} 3", " {{+ 1 }}", "a\n\n  {{- 1 -}}\n\n b",
    "\t{% set x = 1 %}\t\n{{ x }}", "{% raw %}{{ x }}{% endraw %}", "  {% raw %}\n {{ x }}\n  {% endraw %}\nb", "{%- raw -%} {% x {%- endraw -%} c",
    "{% raw %}a", "{# a", "{{ 1", "{% if yes %}", "{% endif %}", "{% nope %}", "{{ 1 +}}", "{{ }}", "{{ 1 2 }}", "{% if %}{% endif %}",
    "{{ 'a }}", "{{ (1 }}", "{{ 1) }}", "{{ [1) }}", "{{ $ }}", "{{ a.}}", "{% set 1 = 2 %}", "{% for x in %}{% endfor %}", "{% for in x %}{% endfor %}",
    "{% set x = 1, 2 %}{{ x }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = xs %}", "{% set a, b = [1] %}", "{% set (a, b) = (3, 4) %}{{ a + b }}",
    "{% set x %}a {{ n }} b{% endset %}[{{ x }}]", "{% set x | upper | trim %} ab {% endset %}[{{ x }}]", "{% set ns.x = 1 %}",
    "{% set ns = namespace() %}{% for i in xs %}{% set ns.last = i %}{% endfor %}{{ ns.last }}", "{% set ns = namespace(c=0) %}{% for i in xs %}{% set ns.c = ns.c + i %}{% endfor %}{{ ns.c }} {{ ns }}",
    "{% set ns = namespace(_a=1) %}", "{% set ns = namespace() %}{% set ns._a = 1 %}", "{% set x = 1 %}{% for i in xs %}{% set x = i %}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if yes %}{% set x = 2 %}{% endif %}{{ x }}", "{% for i in xs %}{{ x }}{% set x = i %}{% endfor %}", "{% set d.x = 1 %}",
    "{% for x in xs %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }} {% endfor %}",
    "{% for x in xs if x > 1 %}{{ loop.index }}{{ loop.length }}{{ loop.last }}{{ x }},{% endfor %}", "{% for x in xs if x > 100 %}{% else %}none{% endfor %}",
    "{% for x in [] %}a{% else %}b{% endfor %}", "{% for x in undefined_x %}a{% else %}b{% endfor %}", "{% for x in nil %}a{% endfor %}", "{% for x in 5 %}a{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for c in name %}{{ c }}.{% endfor %}", "{% for a, b in [[1, 2], [3]] %}{{ a }}{% endfor %}",
    "{% for x in xs %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}", "{% for x in xs %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, 1, 2] %}{{ loop.changed(x) }} {% endfor %}", "{% for x in xs %}{% for y in ss %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 10 %}{% break %}{% endif %}{{ x }}{% endfor %}", "{% break %}", "{% for x in xs %}{% break %}{% else %}e{% endfor %}",
    "{% for t in tree recursive %}{{ t.v }}{% if t.kids %}({{ loop(t.kids) }}){% endif %}{{ loop.depth }}{% endfor %}", "{% for t in xs %}{{ loop([1]) }}{% endfor %}",
    "{% for loop in xs %}{% endfor %}", "{% for x in xs %}{% set loop = 1 %}{% endfor %}", "{% for x in xs|select('odd') %}{{ loop.last }}{{ x }} {% endfor %}",
    "{% set g = xs|map('string') %}{{ g|join }}|{{ g|join }}", "{% for x in range(3) %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% if no %}a{% elif n == 5 %}b{% else %}c{% endif %}", "{% if no %}a{% elif z %}b{% else %}c{% endif %}", "{% if xs|select('gt', 99) %}always{% endif %}",
    "{% macro m(a, b=2, *c) %}{% endmacro %}", "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=4, a=5) }} {{ m() }}", "{% macro m(a, b=2) %}{% endmacro %}{{ m(1, 2, 3) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(q=1) }}", "{% macro m() %}{{ varargs }} {{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m(x) %}{{ x }}{% set y = 3 %}{% endmacro %}{{ m(2) }}{{ y }}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}body{% endcall %}", "{% macro m() %}[{{ caller(1, 2) }}]{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% macro m() %}x{% endmacro %}{% call m() %}b{% endcall %}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}", "{% macro m(x=n) %}{{ x }}{% endmacro %}{{ m() }}",
    "{{ m() }}{% macro m() %}x{% endmacro %}", "{% macro m() %}{{ q }}{% endmacro %}{% set q = 1 %}{{ m() }}{% set q = 2 %}{{ m() }}", "{% for i in xs %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m() %}{% endmacro %}{{ m }}{{ m.name }}{{ m.arguments }}",
    "{% filter upper %}a{{ name }}{% endfilter %}", "{% filter trim|replace('a', 'b') %}  aa {% endfilter %}", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}", "{% with a = n %}{% set n = 3 %}{{ a }}{{ n }}{% endwith %}{{ n }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}",
    "{% with a = 1, b = a %}{{ b }}{% endwith %}", "{% generation %}a{{ n }}{% endgeneration %}", "x\n  {% generation %}\n a\n  {% endgeneration %}\n y", "{% generation %}{% set q = 1 %}{% endgeneration %}{{ q }}", "{% print 1, 2 %}", "{% set x = undefined_x %}{{ x is defined }}",
    "{% if false %}{{ x|nope }}{% endif %}ok", "{{ x|nope if false else 1 }}", "{{ x|nope }}", "{{ 1 is nope }}", "{% if 1 is nope %}{% endif %}", "{% extends 'x' %}", "{% include 'x' %}",
    "{{ 'a' if false }}b", "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + (m['content'] if m['content'] is string else m['content']|tojson) + '<|im_end|>\n' }}{% endfor %}",
    "{%- for m in messages %}\n  {%- if m.role == 'user' and m.content is string -%}\n    [INST] {{ m.content|trim }} [/INST]\n  {%- elif m.tool_calls %}\n {%- for c in m.tool_calls %}{{ c.function|tojson }}{% endfor %}\n  {%- endif %}\n{%- endfor %}",
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% endfor %}",
    "{% set loop_messages = messages[1:] if messages[0]['role'] == 'system' else messages %}{% set sys = messages[0]['content'] %}{{ sys }}{% for m in loop_messages %}{{ loop.index0 }}{{ m.role }}{% endfor %}",
    "{%- set ns = namespace(multi=true, last=messages|length - 1) %}{%- for m in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}{%- if ns.multi and m.role == 'user' and m.content is string and not (m.content.startswith('<tool>')) %}{%- set ns.multi = false %}{%- set ns.last = index %}{%- endif %}{%- endfor %}{{ ns.last }}",
    "{% macro props(p) %}{%- for k, v in p|dictsort %}{{ k }}:{{ v.type }}{% endfor %}{% endmacro %}{% for t in tools %}{{ t.function.name }}({{ props(t.function.parameters.properties) }}){% endfor %}",
    "{{ {'a': {'b': 1}}.a.b }}", "{{ '}}' }}", "{{ '%}' }}", "{% set x = '{{ y }}' %}{{ x }}", "a{{ '\n' }}b\r\nc\rd", "{{ 1 }}{#- x #}\n\n{{ 2 }}", "{{ [1,2,3]|map('multiply') }}", "{{ x }}\n{{ y }}\n{{ raise_exception('on line 3') }}",
    "{% for k, v in people|groupby('age') %}{{ k }}:{% for p in v %}{{ p.name }}{% endfor %};{% endfor %}", "{% for g in people|groupby('age') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}", "{{ namespace(a=[1]).a.append(2) }}", "{% set x = namespace(v=1) %}{% set y = x %}{% set y.v = 2 %}{{ x.v }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}", "{% set j = joiner() %}{% for x in xs %}{{ j() }}{{ x }}{% endfor %}", "{{ super() }}", "{% set messages = messages + [{'role': 'x', 'content': 'y'}] %}{{ messages|length }}",
    "{{ xs|length }}{{- '\n' -}} z", "{% if name %}{{ name }}{% endif -%}\n   x", "{%- if name -%}\n a\n{%- endif %}\n b", "{% for x in xs %}\n{{ x }}\n{% endfor %}", "{% for x in xs -%}\n{{ x }}\n{%- endfor %}", "   {{ x }}   \n   {%- set y = 1 %}\n z", "{{ foo(*[1], **{'a': 2}) }}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}{{ m(1, *[2]) }}", "{{ dict(**d)|length }}", "{% for x in xs %}{{ loop }}{% break %}{% endfor %}", "{{ [1, 2, 3,][1:,] }}", "{{ 5 is divisibleby 5 }}{{ 'x' is in ['x'] }}{{ not 'x' is in ['x'] }}",
]

ATOMS = ["1", "2.5", "-3", "0", "true", "none", "'ab'", "'A b'", "''", "xs", "ss", "d", "name", "word", "nested", "people",
         "undefined_x", "n", "f", "[1, 'x']", "(1, 2)", "{'k': 'v'}", "text", "mixed", "messages", "range(4)", "quote", "lines"]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
FILTERS = ["upper", "lower", "title", "trim", "length", "first", "last", "list", "join('-')", "sort", "reverse", "tojson", "string",
           "int", "float", "abs", "round", "unique|list", "min", "max", "sum", "default('d')", "default('d', true)", "capitalize",
           "replace('a', 'zz')", "indent", "map('string')|list", "select|list", "reject('none')|list", "batch(2)|list", "slice(2)|list",
           "dictsort", "items|list", "wordcount", "center(9)", "urlencode", "escape", "truncate(6)", "map(attribute='name')|list",
           "selectattr('age')|list", "groupby('age')", "count", "tojson(indent=1)", "round(1)", "join", "list|length"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float", "boolean", "true",
         "false", "odd", "even", "divisibleby 2", "in xs", "eq 1", "lower", "upper", "callable", "sameas none", "gt 1"]
METHODS = [".upper()", ".strip()", ".split()", ".split('b')", ".items()", ".keys()|list", ".get('k')", ".name", ".k", "[0]", "[-1]", "[1:]",
           "[::-1]", "['k']", "['name']", ".title()", ".count('a')", ".index(1)", ".splitlines()", ".startswith('a')", ".find('b')",
           ".replace(' ', '_')", ".capitalize()", ".isdigit()", ".partition('b')", ".x.y", ".values()|list", "[1:3]", "[:-1]", "[::2]",
           ".zfill(7)", ".rjust(8, '.')", ".swapcase()", ".append(1)", ".format(1, k=2)", ".casefold_nope"]


def expression(rng, depth):
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(ATOMS)
    inner = expression(rng, depth - 1)
    kind = rng.randrange(8)
    if kind <= 1:
        return "(%s %s %s)" % (inner, rng.choice(BINARY), expression(rng, depth - 1))
    if kind <= 3:
        return "(%s)|%s" % (inner, rng.choice(FILTERS))
    if kind == 4:
        return "(%s is %s%s)" % (inner, rng.choice(["", "not "]), rng.choice(TESTS))
    if kind <= 6:
        return "(%s)%s" % (inner, rng.choice(METHODS))
    return rng.choice(["(%s if %s else 'no')" % (inner, expression(rng, depth - 1)), "(not %s)" % inner, "[%s]" % inner,
                       "(%s ~ '|' ~ %s)" % (inner, expression(rng, depth - 1)), "{'k': %s}" % inner, "(-%s)" % inner])


PIECES = ["a", " ", "\n", "  ", "\n\n", "{{ n }}", "{{- name }}", "{{ name -}}", "{# c #}", "{#- c -#}", "{% set q = 1 %}", "{%- set q = 2 -%}",
          "{{ q }}", "{% if yes %}", "{%- if no %}", "{% else %}", "{% endif %}", "{%- endif -%}", "{% for x in xs %}", "{%- for x in ss -%}",
          "{% endfor %}", "{{ loop.index }}", "{{ x }}", "{% raw %}", "{% endraw %}", "\t", "{%+ if yes %}", "{% endif +%}", "b\n", "{% break %}"]


def template(rng):
    if rng.random() < 0.6:
        return "{{ %s }}" % expression(rng, rng.randrange(1, 4))
    return "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 14)))


def random_templates(seed, count):
    rng = random.Random(seed)
    return [template(rng) for _ in range(count)]
