"""What hostile content may cost: each of these took from 7 seconds to hours for a megabyte."""

import base64
import json
import time

import pytest

from cairn.domain import Verdict
from cairn.formats import BytesSource
from cairn.formats.limits import MAX_TEMPLATE_CHARS
from cairn.scanner import gather, report_of
from cairn.scanner.evidence.base import Form, Unread
from cairn.scanner.pickle_search import SearchBudget, find_pickles
from cairn.scanner.trace import MAX_KEPT, MAX_NOTED
from tests.scanner.archive_assembly import zipped

ENDED = b"\x80\x02N.\x01"  # a whole pickle, and a byte that makes what follows be searched
PLACE = b"cA\nB\n"  # a name that nothing calls
MOST_CPU_S = 10  # on a busy machine; alone they take one or two


def carried(*values: bytes) -> bytes:
    return b"\x80\x03(" + b"".join(b"B" + len(v).to_bytes(4, "little") + v for v in values) + b"t."


SEARCHED = {
    "lines": ENDED + b"V" * 1_000_000,
    "lines that end like two names": ENDED + b"V\x93" * 200_000,
    "names that are memoized": ENDED + (b"V" * 190 + b"q") * 5_000 + b"\x93",
    "names on lines": ENDED + PLACE * 60_000,
    "names on the stack": ENDED + b"U\x02aaU\x02aa\x93" * 40_000,
    "bytes": carried(*[PLACE * 13_000] * 5),
    "base64": carried(*[base64.b64encode(PLACE * 9_000)] * 5),
}


@pytest.mark.parametrize("data", SEARCHED.values(), ids=SEARCHED)
def test_what_looks_like_the_beginning_of_pickles_is_searched_for_a_bounded_time(
    data: bytes,
) -> None:
    begun = time.process_time()
    found = gather(BytesSource(data, "file.pkl"))
    assert time.process_time() - begun < MOST_CPU_S
    assert any(isinstance(one, Unread) for one in found)


def test_a_pickle_after_many_names_that_nothing_calls_is_found() -> None:
    hidden = PLACE * 1_000 + b"cos\nsystem\n(S'x'\ntR."
    budget = SearchBudget()
    called = [call.callee.full_name for one in find_pickles(hidden, budget) for call in one.calls]
    assert called == ["os.system"]


@pytest.mark.parametrize(
    "names",
    [
        b"cos\nsystem\n",
        b"Vos\nVsystem\n\x93",
        b"S'os'\np0\nS'system'\np1\n\x93",
        b"U\x02osq\x00U\x06systemq\x01\x93",
        b"X\x02\0\0\0os\x94\x8c\x06system\x94\x93",
        b"\x8d\x02\0\0\0\0\0\0\0osr\x01\0\0\0T\x06\0\0\0systemr\x02\0\0\0\x93",
        # The last letter of the name could be an opcode of the memo, and what follows its index.
        b"\x8c\x02os\x8c\x06getdir\x93)R.\x93",
    ],
)
def test_names_are_found_however_they_are_pushed(names: bytes) -> None:
    data = b"\xff\x00V" + names + b"(tR."
    assert [one.calls[0].callee.exact for one in find_pickles(data, SearchBudget())] == [True]


def test_a_list_of_words_is_text() -> None:
    words = b"\n".join(b"civic%d" % n for n in range(100_000, 100_700))
    assert [one.name for one in gather(BytesSource(words, "vocab.txt"))] == ["text"]


def test_a_flood_of_what_is_suspicious_does_not_hide_what_is_malicious() -> None:
    flood = b"".join(b"cm%d\nx\n0" % n for n in range(MAX_NOTED + 10))
    data = b"\x80\x02" + flood + b"cos\nsystem\n(S'x'\ntR" + b"cnt\nsystem\n0."
    found = gather(BytesSource(data, "file.pkl"))
    assert len(found) == MAX_KEPT
    assert any(isinstance(one, Unread) for one in found)
    assert report_of("file.pkl", len(data), found).verdict is Verdict.MALICIOUS


def test_members_of_one_form_are_no_evidence_each() -> None:
    data = zipped({f"{n}.txt": b"words" for n in range(50)})
    assert [one.name for one in gather(BytesSource(data)) if isinstance(one, Form)] == [
        "zip",
        "text",
    ]


def test_templates_of_a_file_are_parsed_up_to_a_number_of_characters_in_all() -> None:
    template = "{{a}}" * (MAX_TEMPLATE_CHARS // 4 // 5)
    for count, unread in ((3, 0), (5, 1)):
        text = json.dumps({f"template {n}": template for n in range(count)})
        found = gather(BytesSource(text.encode(), "tokenizer_config.json"))
        assert sum(isinstance(one, Unread) for one in found) == unread


def test_long_python_source_is_read_when_it_says_little_and_bounded_when_it_says_much() -> None:
    table = b"T = [" + b"1250000, " * 60_000 + b"]\n"
    told = gather(BytesSource(table + b"import os\nos.system('x')\n", "table.py"))
    assert not any(isinstance(one, Unread) for one in told)
    assert report_of("table.py", len(table), told).verdict is Verdict.MALICIOUS
    begun = time.process_time()
    found = gather(BytesSource(b"a()\n" * 500_000, "calls.py"))
    assert time.process_time() - begun < MOST_CPU_S
    assert any(isinstance(one, Unread) for one in found)
