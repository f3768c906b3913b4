"""Extractors that are imported late: nothing of their form passes by them."""

import random
from collections.abc import Iterator

import pytest

from cairn.formats import BytesSource
from cairn.formats.limits import HEAD_BYTES
from cairn.scanner import EXTRACTORS
from cairn.scanner.deferred import DeferredExtractor
from tests.scanner import (
    test_attack_cases,
    test_form_cases,
    test_held_out,
    test_published_bypasses,
)

DEFERRED = [one for one in EXTRACTORS if isinstance(one, DeferredExtractor)]
CASES = [
    case
    for suite in (test_attack_cases, test_form_cases, test_held_out, test_published_bypasses)
    for case in suite.CASES
]
NAMES = (
    *("file.pkl", "m/code/__torch__.py", "bytecode.pkl", "file.safetensors", "config.json"),
    *("run.sh", "Dockerfile", "dockerfile.gpu", "Makefile", "workflow.yml", "requirements.txt"),
    *("dev-requirements.in", "pip.conf", "environment.yml", "pyproject.toml", "package.json"),
    *("MLmodel", "fingerprint.pb", "a.ipynb", "x.onnx_data", "variables.data-00000-of-00001"),
    *("pickle_module_info.txt", "graph.pbtxt", "chat_template.jinja", "start.pth", "tox.ini"),
    *(".pre-commit-config.yaml", "tasks.json", ".envrc", "justfile", "noxfile.py", "MLproject"),
)


def heads() -> Iterator[tuple[str, bytes]]:
    """The beginnings of the files of all cases under their own names, and some bytes of noise."""
    for case in CASES:
        for name, data in case.files.items():
            yield name, data[:HEAD_BYTES]
    yield "tokenizer.model", b"\x0a\x08" + b"\x0a\x01a\x15\0\0\0\0"
    yield "events.out", bytes(12) + b"\x09" + bytes(8) + b"\x1a\x0dbrain.Event:2"
    noise = random.Random(0)
    for first in range(256):
        yield "noise", bytes([first]) + noise.randbytes(HEAD_BYTES - 1)


@pytest.mark.parametrize("extractor", DEFERRED, ids=lambda one: one.name)
def test_what_stands_for_an_extractor_claims_all_that_it_claims(
    extractor: DeferredExtractor,
) -> None:
    claimed = 0
    for name, head in heads():
        source = BytesSource(head, name)
        wanted = extractor.real.claims(head, source)
        assert extractor.claims(head, source) == wanted, (name, head[:60])
        claimed += wanted
    for name in NAMES:
        for head in (b"", b"on:\njobs:\n", b"import os\n", b"!!py%74hon/name:os.system ''"):
            source = BytesSource(head, name)
            wanted = extractor.real.claims(head, source)
            assert extractor.claims(head, source) == wanted, (name, head)
            claimed += wanted
    assert claimed
