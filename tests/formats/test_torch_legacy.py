"""torch files from before 1.6: the very values that torch would load, and files made to deceive."""

import io
import pickle
import struct
import tarfile

import pytest
import torch
from torch import nn

from cairn.domain import DType, Role
from cairn.errors import LimitError, MalformedError, UnknownFormatError
from cairn.formats import BytesSource, read_layout
from cairn.formats.values import read_array
from cairn.testing.readers import CountingSource
from tests.formats.making import (
    TORCH_DTYPES,
    Persistent,
    bytes_of,
    layout_of,
    pickled,
    rebuilt,
    saved,
    tensor_of,
)

MAGIC = 0x1950A86A20F9469CFC6C
# torch 2.13 writes these and cannot read them back: their storages have no type.
UNTYPED = {
    "C32",
    "U16",
    "U32",
    "U64",
    "F8_E4M3",
    "F8_E5M2",
    "F8_E4M3FNUZ",
    "F8_E5M2FNUZ",
    "F8_E8M0",
}


def legacy(value, **options) -> bytes:
    return saved(value, _use_new_zipfile_serialization=False, **options)


def by_name(layout):
    return {tensor.name: tensor for tensor in layout.tensors}


def by_hand(program: bytes, storages=(), keys=None, protocol: int = 1001) -> bytes:
    """A legacy file around any pickle; `storages` are (key, count, bytes)."""
    keys = [key for key, _, _ in storages] if keys is None else keys
    return (
        pickle.dumps(MAGIC, 2)
        + pickle.dumps(protocol, 2)
        + pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2)
        + program
        + pickle.dumps(keys, 2)
        + b"".join(struct.pack("<q", count) + data for _, count, data in storages)
    )


class Part(Persistent):
    """A storage that shows a part of another, as torch wrote them before version 1."""

    def __init__(self, key: str, count: int, part: object) -> None:
        super().__init__(key, count)
        self.id = (*self.id, part)


@pytest.mark.parametrize("label", sorted(TORCH_DTYPES))
@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_values_of_every_dtype_and_view_are_those_torch_loads(label: str, options) -> None:
    base = tensor_of(TORCH_DTYPES[label], (4, 5, 6), 1)
    data = saved(
        {
            "whole": base,
            "turned": base.transpose(0, 2),
            "sliced": base[1:3, 2:, ::2],
            "expanded": base[:1, :1].expand(3, 2, 6),
            "strided": base.as_strided((3, 4), (7, 2), 5),
            "scalar": base[1, 2, 3],
            "empty": base[:0],
            "alone": tensor_of(TORCH_DTYPES[label], (3, 2), 2).t(),
        },
        **options,
    )
    layout = layout_of(data)
    known = base if options and label in UNTYPED else None
    loaded = torch.load(io.BytesIO(data)) if known is None else None
    assert {tensor.dtype for tensor in layout.tensors} == {DType[label]}
    for name, found in by_name(layout).items():
        if loaded is not None:
            assert found.shape == tuple(loaded[name].shape)
            assert read_array(found, BytesSource(data)).tobytes() == bytes_of(loaded[name]), name
    whole = read_array(by_name(layout)["whole"], BytesSource(data)).tobytes()
    assert whole == bytes_of(base)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_every_pickle_protocol_is_read(protocol: int) -> None:
    data = legacy({"w": torch.arange(3.0), "n": 7}, pickle_protocol=max(protocol, 2))
    if protocol < 2:
        data = data.replace(pickle.dumps(MAGIC, 2), pickle.dumps(MAGIC, protocol))
    layout = layout_of(data)
    assert layout.format == "torch-legacy"
    assert layout.metadata["n"] == 7
    assert read_array(layout.tensors[0], BytesSource(data)).tobytes() == bytes_of(torch.arange(3.0))


def test_training_states_have_roles_and_metadata() -> None:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    data = legacy({"epoch": 4, "model": model.state_dict(), "optimizer": optimizer.state_dict()})
    layout = layout_of(data)
    roles = {tensor.name: tensor.role for tensor in layout.tensors}
    assert roles["model.weight"] is Role.WEIGHTS
    assert roles["optimizer.state.0.exp_avg"] is Role.OPTIMIZER
    assert layout.metadata["epoch"] == 4
    assert layout.metadata["optimizer.param_groups.0.lr"] == 0.5


def test_a_module_pickled_with_its_source_has_the_names_of_its_state_dict() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    data = legacy(model)
    layout = layout_of(data)
    state = model.state_dict()
    assert by_name(layout).keys() == state.keys()
    for name, found in by_name(layout).items():
        assert read_array(found, BytesSource(data)).tobytes() == bytes_of(state[name])
    assert any("source of module classes" in note for note in layout.notes)
    assert not any("other than a global" in note for note in layout.notes)


def test_a_storage_may_show_a_part_of_another() -> None:
    part = Part("7", 6, ("8", 2, 3))
    floats = struct.pack("<6f", *range(6))
    data = by_hand(pickled({"w": rebuilt(part, 1, (2,), (1,))}), [("7", 6, floats)])
    layout = layout_of(data)
    assert read_array(layout.tensors[0], BytesSource(data)).view("<f4").tolist() == [3.0, 4.0]
    assert layout.storages[0].span.size_bytes == 24


@pytest.mark.parametrize("part", [("8", 4, 3), ("8", -1, 2), ("8", 0, -1), ("8", 0, 2**62), 7])
def test_a_part_that_reaches_outside_its_storage_is_refused(part) -> None:
    data = by_hand(pickled([rebuilt(Part("7", 6, part))]), [("7", 6, bytes(24))])
    with pytest.raises(MalformedError, match="part of another"):
        layout_of(data)


def test_a_view_that_reaches_outside_its_part_is_refused() -> None:
    data = by_hand(
        pickled([rebuilt(Part("7", 6, ("8", 4, 2)), 1, (2,), (1,))]), [("7", 6, bytes(24))]
    )
    with pytest.raises(MalformedError, match="reaches to byte"):
        layout_of(data)


ONE = rebuilt(Persistent("0", 4))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (by_hand(pickled([ONE]), [("0", 5, bytes(16))]), "5 elements"),
        (by_hand(pickled([ONE]), [("0", 2**61, bytes(16))]), "elements of 4 bytes"),
        (by_hand(pickled([ONE]), [("0", -1, bytes(16))]), "-1 elements"),
        (by_hand(pickled([ONE]), [("0", -(2**63), bytes(16))]), "elements"),
        (by_hand(pickled([ONE]), [("0", 3, bytes(12))]), "declared with 16 bytes and has 12"),
        (by_hand(pickled([ONE]), [("0", 4, bytes(16)), ("0", 4, bytes(16))]), "twice"),
        (by_hand(pickled([ONE]), [("9", 4, bytes(16))]), "does not refer to"),
        (by_hand(pickled([ONE]), [("0", 4, bytes(16))], keys=[0]), "list of storages"),
        (by_hand(pickled([ONE]), [("0", 4, bytes(16))], keys="0"), "no list"),
        (by_hand(pickled([ONE])), "not in the file"),
        (by_hand(pickled([ONE]), [("0", 4, bytes(17))]), "follow the last storage"),
        (by_hand(pickled([]), protocol=1002), "protocol"),
        (by_hand(b"\x80\x02K"), "too few|no pickle opcode|ends"),
    ],
)
def test_an_impossible_file_is_refused(data, why) -> None:
    with pytest.raises(MalformedError, match=why):
        layout_of(data)


def test_storages_of_a_legacy_file_never_overlap() -> None:
    """Two keys for the same bytes cannot be said: each storage follows the one before."""
    value = [rebuilt(Persistent("0", 2)), rebuilt(Persistent("1", 2))]
    layout = layout_of(by_hand(pickled(value), [("0", 2, bytes(8)), ("1", 2, bytes(8))]))
    first, second = layout.storages
    assert first.span.stop + 8 == second.span.start


def test_a_storage_nobody_refers_to_is_refused_since_its_size_is_unknown() -> None:
    with pytest.raises(MalformedError, match="does not refer to"):
        layout_of(by_hand(pickled([]), [("0", 4, b"a payload nobody reads")]))


def test_a_storage_of_two_types_is_judged_by_the_first() -> None:
    value = [rebuilt(Persistent("0", 4, "ByteStorage")), rebuilt(Persistent("0", 4))]
    with pytest.raises(MalformedError, match="declared with 16 bytes and has 4"):
        layout_of(by_hand(pickled(value), [("0", 4, bytes(4))]))


def test_memo_bombs_and_deep_nesting_end_in_a_limit() -> None:
    deep = b"\x80\x02" + b"(" * 100_000 + b"l" * 100_000 + b"."
    with pytest.raises(LimitError, match="nested deeper"):
        layout_of(by_hand(deep))
    bomb = b"\x80\x02]" + b"r\xff\xff\xff\x7f" + b"j\xff\xff\xff\x7f" * 50 + b"."
    assert any("memo index" in note for note in layout_of(by_hand(bomb)).notes)


def test_a_huge_declared_length_is_refused_before_it_is_allocated() -> None:
    with pytest.raises(MalformedError, match="promised"):
        layout_of(by_hand(b"\x80\x04\x8e" + struct.pack("<Q", 2**62)))


def test_the_first_pickles_may_not_be_long() -> None:
    data = pickle.dumps(MAGIC, 2) + pickle.dumps(list(range(5000)), 2)
    with pytest.raises(LimitError, match="opcodes"):
        layout_of(data)


def test_little_is_read_beyond_the_pickles() -> None:
    source = CountingSource(BytesSource(legacy({"a": torch.zeros(500_000)})))
    assert len(read_layout(source).tensors) == 1
    assert source.bytes_read < 40_000


def test_the_tar_format_of_the_first_releases_is_named() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    with pytest.raises(UnknownFormatError, match="tar format of torch"):
        layout_of(buffer.getvalue())
