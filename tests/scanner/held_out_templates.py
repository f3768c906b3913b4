"""Chat templates that reach for the interpreter, or for endless work, past the scanner's lists."""

import base64
import json
import struct

from tests.scanner.form_cases import (
    CLEAN,
    MALICIOUS,
    SSTI,
    SUSPICIOUS,
    Case,
    gguf,
    numbered,
    pair,
)
from tests.scanner.form_cases import text as gguf_text


def _templates(id_: str, what: str, verdict: object, *templates: str) -> Case:
    encoded = (template.encode() for template in templates)
    return Case(id_, what, verdict, numbered(".jinja", *encoded))  # type: ignore[arg-type]


def _array(*texts: str) -> bytes:
    """An array of strings."""
    return struct.pack("<IQ", 8, len(texts)) + b"".join(map(gguf_text, texts))


_PACKED = base64.b64encode(b"import os; os.system('true')").decode()

CASES = [
    _templates(
        "HELD-keywords",
        "the name of an attribute, got from a keyword, a macro or a variable",
        MALICIOUS,
        "{% set k = dict(__class__=1)|first %}{{ x[k] }}",
        "{% for c in dict(__init__=1) %}{{ x[c] }}{% endfor %}",
        "{% macro __class__() %}{% endmacro %}{{ x[__class__.name] }}",
        "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
    ),
    _templates(
        "HELD-made",
        "the name of an attribute, made of a constant by filters, methods and slices",
        SUSPICIOUS,
        "{{ x['class'.center(9, '_')] }}",
        "{{ x['CLASS'|lower|center(9, '_')] }}",
        "{{ x['&#95;&#95;class&#95;&#95;'|striptags] }}",
        "{{ x['_ _class_ _'|replace(' ', '')] }}",
        "{{ x['ssalc'[::-1]] }}",
        "{{ x['u_u_c_l_a_s_s'.split('u')|join] }}",
    ),
    _templates(
        "HELD-picked",
        "attributes and filters by the arguments of other filters",
        SUSPICIOUS,
        "{{ [x]|map(attribute='cl' ~ 'ass')|list }}",
        "{% set a = '_' * 2 %}{% set b = a ~ 'class' ~ a %}{{ x|map(attribute=b)|list }}",
        "{{ x|groupby('cl' ~ 'ass') }}",
    ),
    _templates(
        "HELD-spelled",
        "a command in base64, forwards and backwards",
        SUSPICIOUS,
        f"{{{{ x('{_PACKED}') }}}}",
        f"{{% set a = '{_PACKED[::-1]}' %}}{{{{ a|reverse }}}}",
    ),
    Case(
        "HELD-arrays",
        "templates in arrays of GGUF, and under names of their own",
        MALICIOUS,
        {
            "a.gguf": gguf((pair("tokenizer.chat_templates", 9, _array(SSTI, "{{ x }}")),)),
            "b.gguf": gguf((pair("some.list", 9, _array("plain", SSTI)),)),
            "c.gguf": gguf((pair("tokenizer.chat_template.tool_use", 8, gguf_text(SSTI)),)),
        },
    ),
    Case(
        "HELD-tokens",
        "tokens that look like pieces of templates, and lists of plain words",
        CLEAN,
        {
            "a.gguf": gguf(
                (pair("tokenizer.ggml.tokens", 9, _array("{{", "{%", "{{ x.__class__ }}")),)
            ),
            "b.gguf": gguf((pair("general.tags", 9, _array("text", "{{ user }}")),)),
        },
    ),
    _templates("HELD-map", "attr handed to map", MALICIOUS, "{{ [x]|map('attr', 'cl')|list }}"),
    _templates(
        "HELD-work",
        "loops in loops, and texts of 10**9 characters",
        SUSPICIOUS,
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 9999 * 9999 }}",
        "{{ 'a'.zfill(999999999) }}",
        "{{ x|indent(999999999) }}",
        "{{ ''|center(2000000000) }}",
        "{{ 2 ** 99999999 }}",
        "{{ '%(a)999999999d' % {'a': 1} }}",
        "{{ '%*d' % (999999999, 1) }}",
        "{% set x = x * 2 %}",
    ),
    _templates(
        "HELD-plain",
        "what published templates do with texts, loops and numbers",
        CLEAN,
        "{% for i in range(10) %}{% for m in messages %}{{ m['role'] }}{% endfor %}{% endfor %}",
        "{{ messages[0]['content'].split('</think>')[-1].strip() }}",
        "{{ messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|join }}",
        "{{ message[tool.name|lower] }}{{ tools[loop.index0 - 1] }}{{ '-' * 40 }}",
        "{{ tool|tojson(indent=4) }}{{ messages|length * 2 }}",
    ),
    Case(
        "HELD-places",
        "templates where chats look for them",
        MALICIOUS,
        {
            "a.gguf": gguf((pair("tokenizer.chat_template.rag", 8, gguf_text(SSTI)),)),
            "tokenizer_config.json": json.dumps(
                {"chat_template": [{"name": "default", "template": SSTI}]}
            ).encode(),
            "chat_template.json": json.dumps({"chat_template": SSTI}).encode(),
            "additional_chat_templates/tool.jinja": SSTI.encode(),
        },
    ),
]
