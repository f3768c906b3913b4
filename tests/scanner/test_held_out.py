"""Attacks of our own, made after the scanner, get their verdicts; what looks like them is clean."""

import base64
import json
import time

import pytest

from cairn.domain import Verdict
from cairn.formats import BytesSource
from cairn.scanner import gather, report_of
from tests.scanner import (
    held_out_forms,
    held_out_pickles,
    held_out_scripts,
    held_out_sources,
    held_out_templates,
)
from tests.scanner.form_cases import ELF
from tests.scanner.pickle_assembly import SYSTEM

CASES = [
    *held_out_pickles.CASES,
    *held_out_templates.CASES,
    *held_out_sources.CASES,
    *held_out_forms.CASES,
    *held_out_scripts.CASES,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_attack_of_our_own_gets_its_verdict(case: held_out_pickles.Case) -> None:
    reports = [
        report_of(name, len(data), gather(BytesSource(data, name)))
        for name, data in case.files.items()
    ]
    wrong = [report for report in reports if report.verdict is not case.verdict]
    assert wrong == [], case.what


def test_templates_without_end_are_unread_and_cost_little() -> None:
    data = json.dumps({f"template {number}": "{{ x }}" for number in range(20_000)}).encode()
    report = report_of("config.json", len(data), gather(BytesSource(data, "config.json")))
    assert report.verdict is Verdict.UNREAD
    assert [finding.message for finding in report.findings] == ["more than 500 templates"]


@pytest.mark.parametrize("link", [b".a", b"['a']", b"()"])
def test_chains_of_names_in_source_end(link: bytes) -> None:
    data = b"import os\nx = os" + link * 2000 + b"\nos.system('true')\n"
    report = report_of("a.py", len(data), gather(BytesSource(data, "a.py")))
    assert report.verdict in (Verdict.MALICIOUS, Verdict.UNREAD)


@pytest.mark.parametrize("hidden", [SYSTEM, ELF])
def test_texts_too_long_to_be_decoded_whole_are_looked_into_at_both_ends(
    hidden: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn.scanner.encoded_texts.MOST_CHARS", 1000)
    spelled = base64.b64encode(hidden + bytes(2000)).decode()
    for text in (spelled, spelled[::-1]):
        data = json.dumps({"x": text}).encode()
        found = report_of("a.json", len(data), gather(BytesSource(data, "a.json")))
        assert found.verdict is Verdict.SUSPICIOUS


@pytest.mark.parametrize("piece", ["sh -i ", "nc -e ", "|sh", "|env a==== ", "/", "eval $(", "A= "])
def test_scripts_made_to_be_slow_cost_little(piece: str) -> None:
    cell = {"cell_type": "code", "source": "!" + piece * 10_000}
    notebook = json.dumps({"cells": [cell]}).encode()
    start = time.process_time()
    for name, data in (("run.sh", cell["source"].encode()), ("a.ipynb", notebook)):
        gather(BytesSource(data, name))
    assert time.process_time() - start < 5  # milliseconds; what grows with the square takes hours
