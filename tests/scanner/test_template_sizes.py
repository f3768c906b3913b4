"""What templates multiply through variables, loops and macros is seen; what chats need is not."""

import json
import time

import pytest

from cairn.domain import FileReport, Verdict
from cairn.formats import BytesSource
from cairn.scanner import gather, report_of


def scanned(template: str) -> FileReport:
    data = json.dumps({"chat_template": template}).encode()
    return report_of("tokenizer_config.json", len(data), gather(BytesSource(data, "config.json")))


GROWING = "{% for m in messages %}"


@pytest.mark.parametrize(
    "template",
    [
        "{% set x='a'*99999 %}{{ x*99999 }}",
        "{% set n=99999 %}{{ 'a'*n*n }}",
        "{% set n=999 %}{% for i in range(n) %}{% for j in range(n) %}{% endfor %}{% endfor %}",
        "{% set ns=namespace(n=99999) %}{% set m=ns %}{{ ('a'*m.n)*ns.n }}",
        "{% set ns=namespace() %}{% set ns.n=99999 %}{{ range(ns.n)|list * ns.n }}",
        "{% macro f(n, m=1) %}{{ ('a'*n)*m }}{% endmacro %}{{ f(99999, m=99999) }}",
        "{% macro f() %}{{ caller()*9999 }}{% endmacro %}{% call f() %}{{ 'a'*9999 }}{% endcall %}",
        "{% for i in range(99999) %}{{ 'a'*99999 }}{% endfor %}",
        "{% for a in 'a'*9999 %}{% for b in 'a'*9999 %}{% endfor %}{% endfor %}",
        "{% set l=[99999, 5] %}{{ 'a'*l[0]*l[0] }}",
        "{% set d={'n': 99999} %}{{ 'a'*d.n*d['n'] }}",
        "{% set a, b = 99999, 99999 %}{{ 'a'*a*b }}",
        "{% set n='99999'|int %}{{ 'a'*n*n }}",
        "{% set n=('9'*5)|int %}{{ 'a'*n*n }}",
        "{% set e=0.00001 %}{{ 'a' * ((1/e)|int) * 99 }}",
        "{% set x %}{% for i in range(9999) %}aaaaaaaaaa{% endfor %}{% endset %}{{ x*9999 }}",
        "{% set x='a'*99999 %}{{ x|replace('a', x) }}",
        "{% set x='a'*9999 %}{{ [x, x, x]|join(x * 9) }}",
        "{% filter replace('a', 'b'*9999) %}{{ 'a'*9999 }}{% endfilter %}",
        "{% if x %}{% set n=99999 %}{% else %}{% set n=1 %}{% endif %}{{ 'a'*n*n }}",
        "{% set n=99999 if x else 5 %}{% with m=n %}{{ 'a'*m*n }}{% endwith %}",
        "{% set f='%' ~ '999999999d' %}{{ f % 1 }}",
        "{% set ns=namespace(t='') %}{% for i in range(9999) %}{% set ns.t = ns.t ~ 'a'*99 %}"
        "{% endfor %}",
        "{% set ns=namespace(a='x', b='y') %}" + GROWING + "{% set ns.a=ns.a~ns.b %}"
        "{% set ns.b=ns.b~ns.a %}{% endfor %}",
        "{% set ns=namespace(a='x', b='x', c='x') %}" + GROWING + "{% set t=ns.a~ns.b %}"
        "{% set ns.a=ns.b %}{% set ns.b=ns.c %}{% set ns.c=t %}{% endfor %}",
        "{% set l=[1] %}" + GROWING + "{% set _=l.extend(l) %}{% endfor %}",
        "{% macro f(s, k) %}{% if k %}{{ f(s~s, k-1) }}{% endif %}{% endmacro %}{{ f('a', 99) }}",
    ],
)
def test_what_is_multiplied_through_variables_is_suspicious(template: str) -> None:
    report = scanned(template)
    assert report.verdict is Verdict.SUSPICIOUS
    assert {finding.rule for finding in report.findings} == {"templates"}


@pytest.mark.parametrize(
    "template",
    [
        "{% set x='-'*40 %}{% for m in messages %}{{ x }}{{ m.content }}{% endfor %}",
        "{% set ns=namespace(i=0, t='') %}" + GROWING + "{% set ns.i=ns.i+1 %}"
        "{% set ns.t=ns.t ~ m.content ~ '\n' %}{% for c in m.tool_calls %}"
        "{% set ns.t=ns.t ~ c.name ~ (c.arguments|tojson) %}{% endfor %}{% endfor %}{{ ns.t }}",
        "{% set k=1024 %}{{ size/(k*k) }}{% for n in [512, 4096] %}{{ n*n }}{% endfor %}",
        "{% macro t(s, ind) %}{% for p in s.properties %}{{ t(p, ind ~ '    ') }}{% endfor %}"
        "{{ t(s.items, ind) }}{% for q in s.any %}{{ t(q, ind ~ '  ') }}{% endfor %}{% endmacro %}"
        "{{ t(tools[0], '') }}",
        "{% for i in range(messages|length) %}{% for j in range(i, messages|length) %}"
        "{{ messages[j].content }}{% endfor %}{% endfor %}",
        "{% set l=[] %}" + GROWING + "{% set _=l.append(m.content) %}{% endfor %}{{ l|join(' ') }}",
        GROWING + "{% set content = m.content.split('</think>')[1:]|join('</think>') %}"
        "{% set content = ('<a>' ~ content).split('<b>')[1:]|join('<b>') %}{{ content }}"
        "{% endfor %}",
        "{% set messages = [{'content': 'x'*10}] + messages %}{{ '=' * (80 - title|length) }}",
    ],
)
def test_what_chats_need_is_clean(template: str) -> None:
    assert scanned(template).findings == ()


def test_macros_that_call_each_other_over_and_over_are_unread_and_cost_little() -> None:
    names = "abcdefghij"
    bodies = ["x", *("{{ " + f"{name}()" + " }}" for name in names)]
    template = "".join(
        "{% macro " + name + "() %}" + body * 10 + "{% endmacro %}"
        for name, body in zip(names, bodies, strict=False)
    )
    begun = time.process_time()
    report = scanned(template + "{{ j() }}{{ x.__class__ }}")
    assert time.process_time() - begun < 20  # two seconds where nothing else runs
    assert report.verdict is Verdict.MALICIOUS
    assert any("takes more than" in finding.message for finding in report.findings)
