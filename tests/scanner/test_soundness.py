"""Whatever an unpickler of CPython would import is known to the scan, or the file is not clean."""

import collections
import datetime as dt
import json
import pickle
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cairn.domain import Verdict
from cairn.formats import BytesSource
from cairn.scanner import gather, report_of
from cairn.scanner.evidence.pickles import ImportedName
from tests.scanner import pickle_cases
from tests.scanner.archive_assembly import STATE_DICT

Names = set[tuple[str, str]]

_ORACLE = Path(__file__).with_name("import_oracle.py")
_VALUES = (
    [1, "two", b"three", 4.0, None, True, {5}, frozenset((6,))],
    collections.OrderedDict(a=dt.date(2026, 1, 1), b=Decimal("1.5")),
    {"array": np.arange(4), "number": np.float32(1), "nested": [collections.Counter("aab")]},
)
_SEEDS = [
    *(pickle.dumps(value, protocol) for value in _VALUES for protocol in range(6)),
    *(data for case in pickle_cases.CASES for data in case.files.values() if len(data) < 2000),
    STATE_DICT,
]
# Opcodes that name, call, remember and frame: what mutations put in.
_INSERTED = b"cibR\x93\x81\x92oq\x94hpgr2(t\x85)0.\x80\x95\x8c\x8dUTXSVPQ\x82Cb]}ueas\x88NK\n"


def mutated(data: bytes, random: Random) -> bytes:
    """Data with one to four bytes, or runs of them, changed, dropped, doubled or put in."""
    raw = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(raw) + 1)
        stop = min(len(raw), at + random.randint(1, 8))
        match random.randrange(5):
            case 0:
                raw[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                del raw[at:stop]
            case 2:
                raw[at:at] = raw[at:stop]
            case 3:
                raw[at:at] = bytes([random.choice(_INSERTED)])
            case 4:
                other = random.choice(_SEEDS)
                start = random.randrange(len(other))
                raw[at:stop] = other[start : start + random.randint(1, 40)]
    return bytes(raw)


def imported_by_unpicklers(samples: list[bytes]) -> list[Names]:
    """What the C and the Python unpickler ask for, together."""
    lines = "".join(sample.hex() + "\n" for sample in samples)
    answered = subprocess.run(
        [sys.executable, "-I", str(_ORACLE)],
        input=lines, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return [
        {
            (module, name)
            for names in json.loads(line)
            for module, name in names
            if can_be_meant(module, name)
        }
        for line in answered.stdout.splitlines()
    ]


def can_be_meant(module: str, name: str) -> bool:
    """Whether Python could import the name. Any prose that begins with a c names something else."""
    return all(part.isidentifier() for part in (*module.split("."), *name.split(".")))


def scanned(data: bytes) -> tuple[Verdict, Names]:
    evidence = gather(BytesSource(data, "file.pkl"))
    found = {(one.module, one.name) for one in evidence if isinstance(one, ImportedName)}
    return report_of("file.pkl", len(data), evidence).verdict, found


def check(samples: list[bytes]) -> tuple[int, int]:
    """How many samples import anything, and how many of these are clean; all must be known."""
    importing = clean = 0
    for sample, wanted in zip(samples, imported_by_unpicklers(samples), strict=True):
        verdict, found = scanned(sample)
        assert wanted <= found or verdict is not Verdict.CLEAN, sample
        importing += bool(wanted)
        clean += bool(wanted) and verdict is Verdict.CLEAN
    return importing, clean


def test_every_name_an_unpickler_imports_of_a_whole_pickle_is_known() -> None:
    importing, clean = check(_SEEDS)
    assert importing > 40 and clean > 8


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_every_name_an_unpickler_imports_of_a_mutated_pickle_is_known(seed: int) -> None:
    random = Random(seed)
    importing, clean = check([mutated(random.choice(_SEEDS), random) for _ in range(2000)])
    assert importing > 400 and clean > 0
