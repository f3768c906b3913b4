"""Heads are signed notes other tools can read; a wrong key, a changed byte, a cut file is named."""

import stat
from pathlib import Path

import pytest

from cairn.errors import IntegrityError, LimitError, MalformedError, RequestError, UnavailableError
from cairn.provenance.log import (
    PrivateKey,
    PublicKey,
    Signatory,
    TreeHead,
    consistency_proof,
    open_note,
    root_hash,
)
from tests.provenance.log_trees import entries_of, log_of

# The example of golang.org/x/mod/sumdb/note: key, text and signature made by another program.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngo"
    "tpRZb6KE6RyyBwJnAM=\n"
)
KEY = PrivateKey("hub.example/log", bytes(range(32)))
HEAD = TreeHead("hub.example/log", 5, bytes(32))


def test_a_note_that_another_program_signed_is_believed() -> None:
    text = open_note(GO_NOTE.encode(), [PublicKey.parse(GO_KEY)])
    assert text == GO_NOTE.partition("\n\n")[0] + "\n"


def test_a_note_with_one_changed_byte_is_not() -> None:
    changed = GO_NOTE.replace("answer", "answeR").encode()
    with pytest.raises(IntegrityError, match="PeterNeumann is wrong"):
        open_note(changed, [PublicKey.parse(GO_KEY)])


def test_keys_are_read_back_as_they_were_written_and_the_seed_is_not_shown() -> None:
    assert PrivateKey.parse(KEY.serialise() + "\n") == KEY
    assert PublicKey.parse(str(KEY.public)) == KEY.public
    assert KEY.seed.hex() not in repr(KEY) and repr(KEY.seed) not in repr(KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000+AAAA",
        GO_KEY.replace("c74f20a3", "c74f20a4"),
        GO_KEY.replace("PeterNeumann", "Peter Neumann"),
        GO_KEY.replace("+AR", "+AB"),
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="key"):
        PublicKey.parse(text)


def test_a_signature_by_another_key_of_the_same_name_is_not_enough() -> None:
    impostor = PrivateKey(KEY.name, bytes(32))
    with pytest.raises(IntegrityError, match=r"not signed by hub\.example/log"):
        open_note(impostor.sign(HEAD.text).encode(), [KEY.public])


def test_signatures_of_unknown_witnesses_are_ignored_beside_a_known_one() -> None:
    witness = PrivateKey("witness.example", bytes(32)).sign(HEAD.text).rpartition("\n\n")[2]
    both = (KEY.sign(HEAD.text) + witness).encode()
    assert TreeHead.parse(open_note(both, [KEY.public])) == HEAD


@pytest.mark.parametrize(
    ("note", "error"),
    [
        (b"", MalformedError),
        (b"text\n", MalformedError),
        (b"text\n\n", MalformedError),
        (b"text\n\n- name AAAAAAAA\n", MalformedError),
        ("text\n\n— name AAA\n".encode(), MalformedError),
        ("text\n\n— name AAAA\n".encode(), MalformedError),
        ("te\txt\n\n— name AAAAAAAA\n".encode(), MalformedError),
        (b"\xff\n\n", MalformedError),
        (b"x" * 70_000, LimitError),
    ],
)
def test_what_is_no_note_is_refused(note: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        open_note(note, [KEY.public])


@pytest.mark.parametrize(
    "text",
    ["", "o\n5\n", "o\n05\nAAAA\n", "o\n-1\nAAAA\n", "o\n5\nAAAA\n", "\n5\n" + "A" * 43 + "=\n"],
)
def test_a_text_that_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="head of a log"):
        TreeHead.parse(text)


@pytest.fixture
def signatory(tmp_path: Path) -> Signatory:
    return Signatory(tmp_path / "log-key", tmp_path / "log-head", "hub.example/log")


def sign(signatory: Signatory, entries: list[bytes]) -> TreeHead:
    tree = log_of(entries).tree()
    note = signatory.sign(
        tree.size,
        root_hash(tree.size, tree.node),
        signatory.last_head(),
        lambda old: consistency_proof(old, tree.size, tree.node),
    )
    return TreeHead.parse(open_note(note, [signatory.public_key]))


def test_the_key_is_made_once_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    files = (tmp_path / "log-key", tmp_path / "log-head")
    first = Signatory(*files, None).public_key
    assert Signatory(*files, "ignored.example").public_key == first
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [files[0]]


def test_a_damaged_key_is_not_replaced_by_another(tmp_path: Path, signatory: Signatory) -> None:
    (tmp_path / "log-key").write_text("PRIVATE+KEY+x+y+z\n")
    with pytest.raises(UnavailableError, match="put the log's key back"):
        _ = signatory.public_key


def test_a_growing_tree_is_signed_and_the_same_head_again(signatory: Signatory) -> None:
    assert signatory.last_head() is None
    for size in (0, 3, 3, 300):
        head = sign(signatory, entries_of(size))
        assert (head.size, signatory.last_head()) == (size, head)


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        (entries_of(7), "was cut"),
        (entries_of(12, " other"), "was rewritten"),
        ([*entries_of(7), b"x", b"y", b"z"], "was rewritten"),
    ],
)
def test_a_tree_that_does_not_begin_with_the_signed_one_is_not_signed(
    signatory: Signatory, entries: list[bytes], why: str
) -> None:
    signed = sign(signatory, entries_of(10))
    with pytest.raises(IntegrityError, match=f"{why}.*backup"):
        sign(signatory, entries)
    assert signatory.last_head() == signed


def test_nothing_is_signed_while_the_last_head_cannot_be_believed(
    tmp_path: Path, signatory: Signatory
) -> None:
    sign(signatory, entries_of(10))
    (tmp_path / "log-head").write_text(PrivateKey.new(KEY.name).sign(HEAD.text))
    with pytest.raises(IntegrityError, match="not the last head"):
        sign(signatory, entries_of(11))
