"""Folders of very many files, names and optimizers: conclusions cost no more than in proportion.

What is counted is how often something is done, not how long it takes.
"""

import time
from collections import Counter
from contextlib import nullcontext

import pytest

from cairn.domain import Checkpoint, DType, Layout, Role, Scalar, Span, Storage, TensorInfo
from cairn.formats import ASSEMBLERS, BytesSource, File
from cairn.formats.limits import (
    MAX_ASSEMBLIES,
    MAX_INDEXES,
    MAX_NOTES,
    MAX_SUFFIX_CHARS,
    MAX_SUFFIX_SEGMENTS,
)
from cairn.formats.recognition import recognise
from cairn.formats.weight_names import WeightNames
from cairn.workflows import conclusions, ownership
from cairn.workflows.conclusions import conclude
from cairn.workflows.diff import pairing_of
from cairn.workflows.readable import ReadableCheckpoint

COUNT = 2000


def layout(
    *names: str,
    role: Role = Role.WEIGHTS,
    kind: str = "torch-zip",
    values: dict[str, Scalar] | None = None,
) -> Layout:
    tensors = tuple(TensorInfo(name, DType.F32, (), Span(0, 4), role) for name in names)
    return Layout(kind, 4, tensors, (Storage(Span(0, 4), DType.F32),), values or {})


def file(data: bytes = b"") -> File:
    return File(len(data), lambda: nullcontext(BytesSource(data, "x")))


def concluded(layouts: dict[str, Layout], **others: File) -> Checkpoint:
    files = {path: file() for path in layouts} | others
    return conclude("x", files, layouts, {}, other_files_bytes=0)


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time that the parameters of a model are put in order."""
    made: list[str] = []
    ordered = ownership._Parameters._ordered

    def counted(self, files, part):
        made.append(part)
        return ordered(self, files, part)

    monkeypatch.setattr(ownership._Parameters, "_ordered", counted)
    return made


def test_thousands_of_optimizers_in_one_file_put_the_parameters_in_order_once(orders) -> None:
    states = [f"a{n}.state.0.exp_avg" for n in range(COUNT)]
    found = concluded(
        {
            "optimizer.pt": layout(*states, role=Role.OPTIMIZER),
            "model.pt": layout(*(f"layers.{n}.weight" for n in range(COUNT))),
        }
    )
    assert orders == [""]
    assert len(found.notes) <= MAX_NOTES + 1


def test_thousands_of_optimizer_files_put_the_parameters_in_order_once(orders) -> None:
    values = {"param_groups.0.params": "[1 values]"}
    state = layout("state.0.exp_avg", role=Role.OPTIMIZER, values=values)
    found = concluded({f"o{n}.pt": state for n in range(COUNT)} | {"model.pt": layout("weight")})
    assert orders == [""]
    assert len(found.belongs) == COUNT


def test_matching_of_optimizers_ends_when_their_budget_is_spent(monkeypatch) -> None:
    monkeypatch.setattr(ownership, "MAX_MATCHED_PARAMETERS", 20)
    values = {"param_groups.0.params": "[1 values]"}
    state = layout("state.0.exp_avg", role=Role.OPTIMIZER, values=values)
    found = concluded({f"o{n:03}.pt": state for n in range(50)} | {"model.pt": layout("weight")})
    assert len(found.belongs) == 10
    assert "too many optimizers to match all of them to parameters" in found.notes


@pytest.mark.parametrize(
    "path",
    [
        "d{}/.metadata",
        "d{}/mp_rank_00/model_optim_rng.pt",
        "d{}/zero_pp_rank_0_mp_rank_00_optim_states.pt",
        "d{}/zero/p/fp32.pt",
        "d{}.mlmodel",
    ],
)
def test_of_thousands_of_spread_checkpoints_some_are_put_together(monkeypatch, path) -> None:
    calls: Counter[str] = Counter()
    for each in ASSEMBLERS:
        real, assemble = type(each), type(each).assemble

        def counted(self, anchor, files, layouts, assemble=assemble):
            calls[self.name] += 1
            return assemble(self, anchor, files, layouts)

        monkeypatch.setattr(real, "assemble", counted)
        break  # all are of one deferring class
    unread: dict[str, str] = {}
    files = {path.format(n): file() for n in range(COUNT)}
    conclude("x", files, {}, unread, other_files_bytes=0)
    assert calls and max(calls.values()) == MAX_ASSEMBLIES
    assert sum("more than" in why for why in unread.values()) == COUNT - MAX_ASSEMBLIES


def test_of_thousands_of_indexes_some_are_compared(monkeypatch) -> None:
    read: list[str] = []
    read_index = conclusions.read_index

    def counted(source):
        read.append(source.name)
        return read_index(source)

    monkeypatch.setattr(conclusions, "read_index", counted)
    index = file(b'{"weight_map": {"w": "model.safetensors"}}')
    found = concluded(
        {"model.safetensors": layout("w", kind="safetensors")},
        **{f"{n}.safetensors.index.json": index for n in range(COUNT)},
    )
    assert len(read) == MAX_INDEXES
    assert any(f"{COUNT} indexes" in note for note in found.notes)


def test_endings_of_long_names_are_not_kept_in_full() -> None:
    prefix = ("a." * 30 + "b" * 130 + ".") * 20
    names = WeightNames({f"{prefix}m{n}.weight": (1,) for n in range(100)})
    assert sum(map(len, names._by_suffix)) < 100 * MAX_SUFFIX_SEGMENTS * MAX_SUFFIX_CHARS
    assert names.find("m7.weight") is not None


def test_a_name_of_one_long_segment_does_not_keep_the_rules_searching() -> None:
    """A search from every character to the end of the segment took 0.1 seconds for each name."""
    shapes = {"b" * 4000 + f"{n}x.lora_A.weight": (4, 8) for n in range(2000)}
    shapes |= {"b" * 4000 + f"{n}x.weight": (4, 8) for n in range(2000)}
    began = time.process_time()
    found = recognise(shapes)
    assert time.process_time() - began < 30  # minutes before
    assert found is not None and found.kind == "lora"


def test_names_of_thousands_of_segments_are_paired_by_short_wrappers_only() -> None:
    def named(last: str) -> ReadableCheckpoint:
        names = (".a" * 2000 + f".{n}{last}" for n in range(500))
        layouts = {"m.pt": layout(*names)}
        return ReadableCheckpoint(Checkpoint("x", layouts), {"m.pt": file()})

    found = pairing_of(named("x"), named("y"), values=False)
    assert (len(found.removed), len(found.added), found.wrapper) == (500, 500, "")
