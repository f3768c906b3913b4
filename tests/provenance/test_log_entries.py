"""Entries say what happened in one way only; those of private repos say it to who is shown it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from cairn.domain import Blob, Digest, Entry, LogEvent, LogKind, RepoId, RepoType
from cairn.errors import IntegrityError, LimitError, MalformedError, RequestError
from cairn.provenance.log import (
    Hidden,
    LogProof,
    Opening,
    PrivateKey,
    TreeHead,
    decode,
    encode,
    hide,
    inclusion_proof,
    manifest_digest,
    reveal,
    root_hash,
)
from tests.provenance.log_trees import entries_of, log_of

AT = datetime(2026, 11, 27, 4, 8, 28, 123456, tzinfo=UTC)
EVENT = LogEvent(
    kind=LogKind.REF,
    repo=RepoId(RepoType.MODEL, "ann", "m"),
    actor="ann",
    at=AT,
    ref="refs/heads/größe",
    old=None,
    new="a" * 40,
    details={"manifest": "sha256:" + "0" * 64},
)
KEY = PrivateKey("hub.example/log", bytes(32))


def test_an_entry_is_canonical_json_and_is_read_back() -> None:
    assert encode(EVENT).decode() == (
        '{"actor":"ann","at":"2026-11-27T04:08:28.123456Z","details":{"manifest":"sha256:'
        + "0" * 64
        + '"},"kind":"ref","new":"'
        + "a" * 40
        + '","old":null,"ref":"refs/heads/größe","repo":"models/ann/m","v":1}'
    )
    assert decode(encode(EVENT)) == EVENT


def test_the_time_is_that_of_utc_wherever_the_hub_stands() -> None:
    elsewhere = replace(EVENT, at=AT.astimezone(timezone(timedelta(hours=5))))
    assert encode(elsewhere) == encode(EVENT)


def test_a_hidden_entry_tells_nothing_but_its_time() -> None:
    entry, opening = hide(EVENT)
    assert set(json.loads(entry)) == {"at", "commitment", "v"}
    assert isinstance(decode(entry), Hidden)
    assert reveal(entry, opening) == EVENT
    assert hide(EVENT)[0] != entry, "equal events must not look equal"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda opening: replace(opening, salt=bytes(32)),
        lambda opening: replace(opening, content=encode(replace(EVENT, actor="eve"))),
    ],
)
def test_an_opening_of_another_entry_is_refused(wrong) -> None:
    entry, opening = hide(EVENT)
    with pytest.raises(IntegrityError, match="commits to"):
        reveal(entry, wrong(opening))


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"v":1}',
        b'{"v":2}',
        b"[" * 60_000,
        encode(EVENT).replace(b',"v"', b', "v"'),
        encode(EVENT).replace(b'"v":1', b'"v":1,"x":1'),
        encode(EVENT).replace(b'"ref","new"', b'"other","new"'),
        encode(EVENT).replace(b"models/ann", b"models/.."),
        encode(EVENT).replace(b'"old":null', b'"old":"b"'),
        b'{"at":"2026-11-27T04:08:28.123456Z","commitment":"sha256:0","v":1}',
    ],
)
def test_an_entry_of_another_form_is_refused(entry: bytes) -> None:
    with pytest.raises(MalformedError, match="log entry"):
        decode(entry)


@pytest.mark.parametrize(
    "fields",
    [
        {"new": None},
        {"ref": None},
        {"old": "main"},
        {"at": datetime(2026, 1, 1)},  # noqa: DTZ001 - that it has no zone is the point
        {"details": {"reason": "x" * 9000}},
    ],
)
def test_an_event_that_makes_no_sense_is_not_logged(fields: dict) -> None:
    with pytest.raises(RequestError):
        replace(EVENT, **fields)


def test_the_digest_of_a_manifest_is_that_of_its_lines() -> None:
    blob = Blob(Digest.sha256("ab" * 32), 7)
    files = [Entry(path, blob, "0" * 40, lfs=True) for path in ("b", "é", "a/c")]
    # printf '%s 7 a/c\n%s 7 b\n%s 7 é\n' abab... abab... abab... | sha256sum
    assert manifest_digest(files) == (
        "sha256:ff356d33cc4c42df9ae5758c46d5a43f1b40c6c8e95248867f65cabe811cd74a"
    )


def proof_in(entries: list[bytes], index: int, opening: Opening | None = None) -> LogProof:
    tree = log_of(entries).tree()
    head = TreeHead(KEY.name, tree.size, root_hash(tree.size, tree.node))
    path = tuple(inclusion_proof(index, tree.size, tree.node))
    return LogProof(entries[index], opening, index, path, KEY.sign(head.text).encode())


def test_a_proof_file_shows_an_entry_without_the_log() -> None:
    entry, opening = hide(EVENT)
    for entries, shown in (
        ([*entries_of(9), encode(EVENT)], None),
        ([*entries_of(9), entry, *entries_of(300)], opening),
        ([encode(EVENT)], None),
    ):
        index = 9 if len(entries) > 1 else 0
        content = proof_in(entries, index, shown).serialise()
        assert LogProof.parse(content).check([KEY.public]) == EVENT
        assert content.startswith(b"c2sp.org/tlog-proof@v1\nextra ")


def test_a_hidden_entry_is_proved_without_being_opened() -> None:
    proof = proof_in([hide(EVENT)[0]], 0)
    assert isinstance(proof.check([KEY.public]), Hidden)


def test_a_proof_with_anything_exchanged_is_refused() -> None:
    entries = [*entries_of(9), encode(EVENT), *entries_of(300)]
    proof = proof_in(entries, 9)
    other_entry = encode(replace(EVENT, new="b" * 40))
    older = proof_in(entries[:20], 9)
    for changed in (
        replace(proof, entry=other_entry),
        replace(proof, index=10),
        replace(proof, path=proof.path[:-1]),
        replace(proof, path=proof.path[::-1]),
        replace(proof, note=older.note),
        replace(proof, note=PrivateKey.new(KEY.name).sign(proof.head.text).encode()),
    ):
        with pytest.raises(IntegrityError):
            changed.check([KEY.public])


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: content.replace(b"@v1", b"@v2", 1),
        lambda content: content.replace(b"index 9", b"index -9"),
        lambda content: content.replace(b"index 9", b"index 9\nAAAA"),
        lambda content: content.replace(b"extra ", b"extra !"),
    ],
)
def test_a_file_that_is_no_proof_is_refused(change) -> None:
    proof = proof_in([*entries_of(9), encode(EVENT)], 9)
    with pytest.raises(MalformedError, match="not a proof"):
        LogProof.parse(change(proof.serialise()))


def test_a_proof_file_too_long_to_be_one_is_not_read() -> None:
    with pytest.raises(LimitError):
        LogProof.parse(bytes(2_000_000))
