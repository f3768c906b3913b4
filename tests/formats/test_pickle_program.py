"""Pickles are read as programs: all protocols, nothing run, nothing blown up, nothing hidden."""

import collections
import contextlib
import datetime as dt
import decimal
import io
import os
import pickle
import pickletools
import re
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cairn.errors import LimitError, MalformedError
from cairn.formats import BytesSource, limits
from cairn.formats.pickle_opcodes import NAMES
from cairn.formats.pickle_program import (
    AnomalyKind,
    Call,
    Global,
    Mapping,
    Members,
    Payload,
    PersistentId,
    PickleProgram,
    read_program,
)
from cairn.testing.readers import CountingSource
from tests.formats.making import Made, Name, pickled


def program_of(data: bytes) -> PickleProgram:
    return read_program(BytesSource(data, "test.pkl"))


def value_of(data: bytes) -> object:
    return program_of(data).result()


def kinds(program: PickleProgram) -> set[AnomalyKind]:
    return {anomaly.kind for anomaly in program.anomalies}


def plain(value: object) -> object:
    """The Python value that inert containers stand for."""
    match value:
        case Mapping(items=items):
            return {plain(k): plain(v) for k, v in zip(items[::2], items[1::2], strict=True)}
        case Members(elements=elements, frozen=frozen):
            return (frozenset if frozen else set)(plain(e) for e in elements)
        case list():
            return [plain(e) for e in value]
        case tuple():
            return tuple(plain(e) for e in value)
    return value


def test_the_opcode_table_is_the_one_of_the_standard_library() -> None:
    assert {ord(opcode.code): opcode.name for opcode in pickletools.opcodes} == NAMES


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**3000), 2**3000)
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=300)
    | st.binary(max_size=300)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.sets(st.integers(), max_size=5)
        | st.frozensets(st.text(max_size=3), max_size=5)
    ),
    max_leaves=20,
)


def built_by_call(data: bytes) -> bool:
    return b"_codecs" in data or b"__builtin__" in data or b"builtins" in data


@settings(max_examples=200, deadline=None)
@given(values, st.integers(0, 5))
def test_plain_values_come_back_equal(value, protocol) -> None:
    data = pickle.dumps(value, protocol)
    program = program_of(data)
    assert program.failure is None
    assert program.end == len(data)
    assert program.opcodes == len(list(pickletools.genops(data)))
    assert not program.anomalies
    if not built_by_call(data):
        assert plain(program.result()) == value


class Point:
    def __init__(self) -> None:
        self.x = 1
        self.__dict__["y"] = [2]


class Slotted:
    __slots__ = ("a",)

    def __init__(self) -> None:
        self.a = 7


REAL_OBJECTS = [
    Point(),
    Slotted(),
    dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    decimal.Decimal("1.5"),
    Path("a/b"),
    collections.OrderedDict(a=1),
    collections.Counter("hello"),
    complex(1, 2),
    range(5),
    bytearray(b"xyz"),
    ValueError("no"),
    AnomalyKind.EXTENSION,
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", REAL_OBJECTS, ids=lambda value: type(value).__name__)
def test_globals_are_those_the_unpickler_imports(value, protocol) -> None:
    if isinstance(value, Slotted):
        protocol = max(protocol, 2)  # the pickler refuses slots below
    data = pickle.dumps(value, protocol)
    asked: list[str] = []

    class Recorder(pickle._Unpickler):
        def find_class(self, module, name):
            asked.append(f"{module}.{name}")
            return super().find_class(module, name)

    Recorder(io.BytesIO(data)).load()
    program = program_of(data)
    assert program.failure is None
    seen = [found.full_name for found in program.globals]
    # Old protocols name Python 2 modules, which the unpickler maps before asking.
    assert len(seen) == len(asked)
    if protocol >= 3:
        assert seen == asked


@pytest.mark.parametrize("protocol", range(6))
def test_a_call_is_recorded_and_never_made(protocol, tmp_path) -> None:
    witness = tmp_path / "executed"

    class Attack:
        def __reduce__(self):
            return os.system, (f"touch {witness}",)

    data = pickle.dumps({"weights": [Attack()]}, protocol)
    program = program_of(data)
    assert not witness.exists()
    assert [found.name for found in program.globals] == ["system"]
    (call,) = program.calls
    assert call.args == (f"touch {witness}",)
    assert data[call.offset : call.offset + 1] == b"R"
    pickle.loads(data)
    assert witness.exists(), "the pickle was no attack, so the test proves nothing"


ATTACKS = {
    "REDUCE": b"cos\nsystem\n(S'true'\ntR.",
    "INST": b"(S'true'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'true'\no.",
    "NEWOBJ": b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85\x81.",
    "NEWOBJ_EX": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85}\x92.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    "popped OBJ": b"(cos\nsystem\nS'true'\no0N.",
    "popped REDUCE": b"cos\nsystem\n(S'true'\ntR0N.",
    "BUILD": b"cos\nsystem\n(S'true'\ntR}b.",
    "before a bad opcode": b"cos\nsystem\n(S'true'\ntR\xff",
    "before the end": b"cos\nsystem\n(S'true'\ntR",
    "before an underflow": b"cos\nsystem\n(S'true'\ntR00000.",
    "under a mark left over": b"cos\nsystem\n(S'true'\ntR(N.",
}


@pytest.mark.parametrize("data", ATTACKS.values(), ids=ATTACKS)
def test_every_way_to_call_is_seen_even_when_the_program_breaks_off(data) -> None:
    program = program_of(data)
    assert "os.system" in [found.full_name for found in program.globals]
    (call,) = program.calls
    assert isinstance(call.callee, Global)
    assert call.args == ("true",)


def test_dotted_names_stay_one_name() -> None:
    """GHSA-5j3x-jp52-966f: `pathlib` and `os.system` reach os.system through pathlib."""
    program = program_of(b"\x80\x04\x8c\x07pathlib\x8c\tos.system\x93.")
    (found,) = program.globals
    assert (found.module, found.name, found.exact) == ("pathlib", "os.system", True)


def test_a_computed_global_is_recorded_as_such() -> None:
    program = program_of(b"\x80\x04cfoo\nbar\n)R\x8c\x06system\x93.")
    assert AnomalyKind.GLOBAL_COMPUTED in kinds(program)
    assert [found.exact for found in program.globals] == [True, False]


def test_extension_codes_are_recorded() -> None:
    for data in (b"\x82\x05.", b"\x83\x05\x01.", b"\x84\x05\x00\x00\x01."):
        assert kinds(program_of(data)) == {AnomalyKind.EXTENSION}


def test_persistent_ids_of_both_kinds() -> None:
    assert isinstance(value_of(b"Pstorage 0\n."), PersistentId)
    found = value_of(b"\x80\x02K\x07K\x08\x86Q.")
    assert isinstance(found, PersistentId)
    assert found.id == (7, 8)


def test_out_of_band_buffers_are_recorded() -> None:
    data = pickle.dumps(pickle.PickleBuffer(b"abc"), 5, buffer_callback=lambda _: False)
    assert AnomalyKind.BUFFER_OUT_OF_BAND in kinds(program_of(data))


def test_objects_get_their_state() -> None:
    found = value_of(pickle.dumps(Point(), 4))
    assert isinstance(found, Call)
    assert [plain(state) for state in found.states] == [{"x": 1, "y": [2]}]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"]K\x01K\x02s.", AnomalyKind.TARGET_MISMATCH),  # CVE-2026-24747
        (b"K\x01K\x02a.", AnomalyKind.TARGET_MISMATCH),
        (b"K\x01}b.", AnomalyKind.TARGET_MISMATCH),
        (b"](K\x01\x90.", AnomalyKind.TARGET_MISMATCH),
        (b"cos\nsystem\n)R)R.", AnomalyKind.CALLEE_COMPUTED),
        (b"cos\nsystem\n]R.", AnomalyKind.ARGUMENTS_COMPUTED),
        (b"K\x01K\x02.", AnomalyKind.LEFTOVER_STACK),
        (b"K\x01(K\x02.", AnomalyKind.LEFTOVER_STACK),
        (b"\x80\x09N.", AnomalyKind.PROTOCOL_UNKNOWN),
        (b"N\x80\x02.", AnomalyKind.PROTOCOL_MOVED),
        (b"Nr\xff\xff\xff\xff.", AnomalyKind.MEMO_HUGE_INDEX),
        (b"Nq\x00K\x01q\x00.", AnomalyKind.MEMO_REPLACED),
        (b"\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00\x8c\x04true.", AnomalyKind.FRAME_CROSSED),
        (b"\x80\x04\x95\xff\x00\x00\x00\x00\x00\x00\x00N.", AnomalyKind.FRAME_PAST_END),
        (
            b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x95\x02\x00\x00\x00\x00\x00\x00\x00N.",
            AnomalyKind.FRAME_NESTED,
        ),
        (b"X\x01\x00\x00\x00\xff.", AnomalyKind.TEXT_UNDECODABLE),
        (b"c\xff\nb\n.", AnomalyKind.TEXT_UNDECODABLE),
    ],
)
def test_what_no_pickler_writes_is_recorded_and_read_on(data, kind) -> None:
    program = program_of(data)
    assert program.failure is None
    assert kind in kinds(program)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"I0x1F\n.", 31),
        (b"I0o17\n.", 15),
        (b"I017\n.", 15),
        (b"L0x10L\n.", 16),
        (b"F1_0\n.", 10.0),
        (b"S'\xe9'\n.", "é"),
        (b"U\x01\xe9.", "é"),
        (b"I 12\n.", 12),
        (b"I1\0x\n.", 1),
        (b"L1\0L\n.", 1),
        (b"F1.\0\n.", 1.0),
        (b"K\x05p1\n0g1\0\n.", 5),
        (b"K\x05p1\n0g 1\n.", 5),
    ],
)
def test_literals_on_which_parsers_differ_are_read_as_the_c_unpickler_does(data, value) -> None:
    """security.md 2.2: each of these stops or misleads at least one of CPython's parsers."""
    program = program_of(data)
    assert program.result() == value
    assert kinds(program) == {AnomalyKind.LITERAL_DISPUTED}


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"I00\n.", False),
        (b"I01\n.", True),
        (b"I-5\n.", -5),
        (b"L12L\n.", 12),
        (b"F-1.5e3\n.", -1500.0),
        (b"S'a\\x41\\n\\'\\101'\n.", "aA\n'A"),
        (b'S"q"\n.', "q"),
        (b"Va\\u00e9\n.", "aé"),
        (b"\x8a\x00.", 0),
        (b"\x8a\x01\xff.", -1),
        (b"(K\x01K\x02d.", {1: 2}),
        (b"(K\x01l.", [1]),
        (b"(K\x01K\x020t.", (1,)),
        (b"(K\x011N.", None),
        (b"K\x012\x86.", (1, 1)),
        (b"K\x01p5\n0g5\n.", 1),
        (b"K\x01\x940h\x00.", 1),
    ],
)
def test_old_opcodes_mean_what_they_mean_to_cpython(data, value) -> None:
    program = program_of(data)
    assert plain(program.result()) == value == pickle.loads(data)
    assert not program.anomalies


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ends"),
        (b"N", "ends"),
        (b".", "no value"),
        (b"\xff.", "no pickle opcode"),
        (b"K", "ends"),
        (b"0.", "no MARK"),
        (b"N1.", "no MARK"),
        (b"R.", "too few"),
        (b"NR.", "too few"),
        (b"(o.", "too few"),
        (b"(K\x01d.", "without a value"),
        (b"}(K\x01u.", "without a value"),
        (b"\x87.", "too few"),
        (b"N\x87.", "too few"),
        (b"h\x05.", "never written"),
        (b"q\x05.", "too few"),
        (b"gx\n.", "memo index"),
        (b"g-1\n.", "memo index"),
        (b"Ix\n.", "not an integer"),
        (b"I" + b"1" * 5000 + b"\n.", "characters"),
        (b"Fx\n.", "not a float"),
        (b"Sx\n.", "not quoted"),
        (b"Vabc", "ends"),
        (b"V", "ends"),
        (b"c", "ends"),
        (b"cos", "ends"),
        (b"T\xff\xff\xff\xff.", "string of -1"),
        (b"\x8b\xff\xff\xff\xff.", "integer of -1"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "ends where"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "ends where"),
        (b"\x96\x00\x00\x00\x00\x00\x00\x00\x7f.", "ends where"),
        (b"B\xff\xff\xff\xff.", "ends where"),
        (b"\x8b\xff\xff\xff\x7f.", "ends where"),
    ],
)
def test_what_cannot_be_carried_out_is_a_failure_with_its_offset(data, why) -> None:
    program = program_of(data)
    assert isinstance(program.failure, MalformedError)
    with pytest.raises(MalformedError, match=why):
        program.result()
    assert "test.pkl" in str(program.failure)


def measured(data: bytes) -> tuple[PickleProgram, float, int]:
    tracemalloc.start()
    start = time.perf_counter()
    program = program_of(data)
    wall = time.perf_counter() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return program, wall, peak


def test_a_huge_memo_index_costs_nothing() -> None:
    _, _, peak = measured(b"Nr\xff\xff\xff\x7f.")
    assert peak < 1 << 20


def test_huge_declared_lengths_cost_nothing() -> None:
    for opcode, width in ((b"\x8e", 8), (b"\x8d", 8), (b"\x96", 8), (b"B", 4), (b"X", 4)):
        _, _, peak = measured(opcode + b"\xff" * (width - 1) + b"\x7f" + b"x" * 1000)
        assert peak < 1 << 20


def test_long_payloads_stay_in_the_file() -> None:
    data = b"\x80\x04\x8e" + (5_000_000).to_bytes(8, "little") + b"x" * 5_000_000 + b"."
    source = CountingSource(BytesSource(data))
    program = read_program(source)
    payload = program.result()
    assert isinstance(payload, Payload)
    assert (payload.start, payload.stop, payload.kind) == (11, 5_000_011, "bytes")
    assert source.bytes_read < 1 << 20


@pytest.mark.parametrize(
    "unit",
    [b"]", b"}", b"(", b"N\x94", b"K\x01\x85", b")", b"\x8f", b"cA\nB\n", b"N2", b"C\x01x"],
    ids=repr,
)
def test_memory_stays_in_proportion_to_the_bytes_read(unit) -> None:
    data = unit * (40_000 // len(unit))
    _, _, peak = measured(data)
    assert peak < 400 * len(data)


def test_doubling_by_dup_and_memo_stays_linear() -> None:
    data = b"\x80\x02K\x01" + b"2\x86" * 100_000 + b"."
    program, wall, peak = measured(data)
    assert program.failure is None
    assert peak < 100 << 20
    assert wall < 20


def test_deep_nesting_neither_recurses_nor_crashes() -> None:
    for data in (
        b"(" * 300_000 + b"t" * 300_000 + b".",
        b"(" * 300_000 + b"l" * 300_000 + b".",
        b"N" + b"\x85" * 300_000 + b".",
        b"cA\nB\n" + b")R" * 300_000 + b".",
        b"cA\nB\n)R" + b"cA\nB\n)R" * 10 + b"b" * 10 + b".",
    ):
        program = program_of(data)
        assert program.failure is None
        repr(program.anomalies)


def test_opcodes_and_objects_are_capped() -> None:
    source = BytesSource(b"N" * 1000 + b".")
    assert isinstance(read_program(source, max_opcodes=100).failure, LimitError)
    source = BytesSource(b"]" * 1000 + b".")
    assert isinstance(read_program(source, max_objects=100).failure, LimitError)
    assert isinstance(program_of(b"I" + b"1" * (2 << 20) + b"\n.").failure, LimitError)


def test_anomalies_are_capped_and_counted() -> None:
    program = program_of(b"\x82\x01" * 5000 + b".")
    assert len(program.anomalies) == limits.MAX_ANOMALIES
    assert program.anomalies_dropped == 5001 - limits.MAX_ANOMALIES


def test_a_pickle_in_the_middle_of_a_file_is_read_from_there() -> None:
    first, second = pickle.dumps([1, 2]), pickle.dumps({"a": "b"})
    source = BytesSource(first + second + b"tail")
    one = read_program(source)
    two = read_program(source, one.end)
    assert plain(one.result()) == [1, 2]
    assert plain(two.result()) == {"a": "b"}
    assert two.end == len(first) + len(second)


def test_a_pickle_larger_than_a_block_is_read_whole() -> None:
    value = [(f"key{i}", i, float(i), bytes([i % 256]) * 50) for i in range(20_000)]
    data = pickle.dumps(value, 4)
    assert len(data) > 1_000_000
    assert plain(value_of(data)) == value
    data = pickle.dumps(value, 0)
    program = program_of(data)
    assert program.failure is None
    assert program.end == len(data)


opcode_soup = st.lists(
    st.sampled_from([bytes([code]) for code in NAMES])
    | st.sampled_from([b"K\x01", b"X\x01\x00\x00\x00a", b"cA\nB\n", b"N", b"(", b")", b"}", b"]"])
    | st.binary(max_size=6),
    max_size=40,
).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(opcode_soup)
def test_any_opcodes_end_in_a_program(data) -> None:
    program = program_of(data + b".")
    assert program.end <= len(data) + 1
    assert program.failure is None or str(program.failure)


class _Silent:
    """Takes part in anything an unpickler does to what it imported."""

    def __init__(self, *_, **__) -> None: ...
    def __setstate__(self, state) -> None: ...
    def append(self, item) -> None: ...
    def extend(self, items) -> None: ...
    def add(self, item) -> None: ...
    def __setitem__(self, key, value) -> None: ...


# Both unpicklers allocate what BYTEARRAY8 declares; the C one also by these lengths and
# indexes, before it reads. Running them on such input would take the machine's memory.
ALLOCATING = re.compile(rb"[rj\x8b\x8d\x8eBXT]|p[0-9]{6}")


@settings(max_examples=400, deadline=None)
@given(opcode_soup)
def test_whatever_cpython_imports_was_seen(data) -> None:
    """The soundness oracle of security.md 7: real unpicklers with imports that do nothing."""
    data = b"\x80\x04" + data + b"."
    program = program_of(data)
    # After this the C unpickler loses its place (cpython#154848): recorded, never clean.
    assume(AnomalyKind.FRAME_CROSSED not in kinds(program))
    seen = {(found.module, found.name) for found in program.globals}
    assume(b"\x96" not in data)
    imported = _imported(pickle._Unpickler, data)
    if not ALLOCATING.search(data):
        imported |= _imported(pickle.Unpickler, data)
    assert imported <= seen


def _imported(unpickler: type, data: bytes) -> set[tuple[str, str]]:
    asked: set[tuple[str, str]] = set()

    class Recorder(unpickler):
        def find_class(self, module, name):
            asked.add((module, name))
            return _Silent

        def persistent_load(self, pid):
            return _Silent()

    with contextlib.suppress(Exception):
        Recorder(io.BytesIO(data), fix_imports=False).load()
    return asked


@pytest.mark.parametrize("data", [b"cos\nsystem!", b"(ios\nsystem!"])
def test_a_name_the_end_cuts_short_was_seen(data) -> None:
    """Found by the oracle: the Python unpickler drops a byte and imports `os.system`."""
    assert ("os", "system") in _imported(pickle._Unpickler, data)
    assert [found.full_name for found in program_of(data).globals] == ["os.system"]


def test_hand_made_pickles_are_what_the_unpickler_reads() -> None:
    """`pickled` of the other tests writes real pickles."""
    assert pickle.loads(pickled([Made(Name("builtins", "complex"), 1, 2)])) == [1 + 2j]
