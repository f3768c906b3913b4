"""A log gets another key, and witnesses: who trusted it before goes on, and nobody is misled."""

import base64
import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cairn.bootstrap import open_house
from cairn.config import Settings
from cairn.domain import Account, Actor, LogEvent, LogKind, RepoId, RepoType, ScanPolicy, Scope
from cairn.errors import (
    ForbiddenError,
    IntegrityError,
    MalformedError,
    RequestError,
    UnavailableError,
)
from cairn.hub.log_witness import ask_witness
from cairn.provenance.log import (
    KEYS,
    Mirror,
    PrivateKey,
    PublicKey,
    RememberedLogs,
    TreeHead,
    check_consistency,
    cosignatures,
    note_text,
    open_note,
    signatory,
    witness_key,
)
from cairn.workflows import transparency
from cairn.workflows.follow_log import (
    check_log,
    check_proof,
    check_witnesses,
    mirror_log,
)
from cairn.workflows.house import House
from cairn.workflows.transparency import (
    OwnLog,
    consistency_lines,
    keep_cosignatures,
    prove,
    rotate_key,
    signed_head,
)
from tests.workflows.test_transparency import push

OPERATOR = Actor(Account("operator", "Operator", is_admin=True), Scope.WRITE)
MODEL = RepoId(RepoType.MODEL, "ann", "m")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = open_house(Settings(data_dir=tmp_path / "data"))
    house.catalog.accounts.create_user("ann")
    grow(house)
    yield house
    house.catalog.close()


def grow(house: House) -> None:
    """Two entries more."""
    for policy in (ScanPolicy.WARN, None):
        house.catalog.scan_policies.put_hub(policy, OPERATOR)


@pytest.fixture
def logs(tmp_path: Path) -> RememberedLogs:
    return RememberedLogs(tmp_path / "logs")


def test_who_trusted_the_old_key_is_led_to_the_new_one(
    house: House, logs: RememberedLogs, tmp_path: Path
) -> None:
    old = house.signatory.public_key
    assert check_log(OwnLog(house), logs, old, None).key == old
    new = rotate_key(house, OPERATOR)
    assert new != old and house.signatory.public_key == new
    assert old.name == new.name, "it is the same log"
    grow(house)
    assert signed_by(signed_head(house), new) and not signed_by(signed_head(house), old)
    checked = check_log(OwnLog(house), logs, None, lambda _: lambda _: None)
    assert checked.key == new and checked.before is not None
    newest = rotate_key(house, OPERATOR)
    mirror = Mirror(tmp_path / "mirror")
    assert mirror_log(OwnLog(house), mirror, logs, None, lambda _: lambda _: None).key == newest
    others = RememberedLogs(tmp_path / "others")
    assert check_log(mirror, others, old, None).key == newest, "offline, over two handovers"
    (row,) = house.catalog.audit.search(action="log.key", limit=1)
    assert row.detail == f"{new} -> {newest}"


def signed_by(note: bytes, key: PublicKey) -> bool:
    try:
        return bool(open_note(note, [key]))
    except IntegrityError:
        return False


def test_proofs_from_before_and_after_hold_for_who_trusts_either_key(
    house: House, logs: RememberedLogs, tmp_path: Path
) -> None:
    house.catalog.repos.create(MODEL, private=False)
    push(house, "a")
    before = prove(house, OPERATOR, MODEL, None).serialise()
    old = house.signatory.public_key
    new = rotate_key(house, OPERATOR)
    push(house, "b")
    after = prove(house, OPERATOR, MODEL, None).serialise()
    for key in (old, new):
        logs = RememberedLogs(tmp_path / key.key_id.hex())
        check_log(OwnLog(house), logs, key, None)  # remembers how they belong together
        for content in (before, after):
            event, _ = check_proof(content, logs, None)
            assert isinstance(event, LogEvent) and event.kind is LogKind.REF
    stranger = PrivateKey.new(old.name).public
    with pytest.raises(IntegrityError, match="before, not"):
        check_proof(after, logs, stranger)
    assert check_proof(before, RememberedLogs(tmp_path / "none"), old)
    with pytest.raises(IntegrityError, match="not signed by"):
        check_proof(after, RememberedLogs(tmp_path / "none"), old)


def test_a_key_that_was_handed_over_signs_nothing_any_more(
    house: House, logs: RememberedLogs, tmp_path: Path
) -> None:
    signed_head(house)
    text = (tmp_path / "data" / "log-key").read_text()
    stolen = PrivateKey.parse(text.partition("\n")[0])
    rotate_key(house, OPERATOR)
    grow(house)
    note = signed_head(house)
    check_log(OwnLog(house), logs, stolen.public, None)
    forged = stolen.sign(note_text(note)).encode()
    assert stolen.serialise() not in (tmp_path / "data" / "log-key").read_text()

    class Forged(OwnLog):
        def read(self, path: str, max_bytes: int) -> bytes:
            return forged if path == "checkpoint" else super().read(path, max_bytes)

    with pytest.raises(IntegrityError, match="handed over"):
        check_log(Forged(house), logs, None, None)


@pytest.mark.parametrize("change", ["swap", "cut", "other"])
def test_handovers_that_prove_nothing_lead_nowhere(
    house: House, logs: RememberedLogs, change: str
) -> None:
    old = house.signatory.public_key
    rotate_key(house, OPERATOR)
    rotate_key(house, OPERATOR)
    lines = house.signatory.handovers().splitlines(keepends=True)
    told = {
        "swap": b"".join(reversed(lines)),
        "cut": lines[0],
        "other": lines[0].replace(lines[0][200:204], b"AAAA"),
    }[change]

    class Told(OwnLog):
        def read(self, path: str, max_bytes: int) -> bytes:
            return told if path == KEYS else super().read(path, max_bytes)

    with pytest.raises((IntegrityError, MalformedError)):
        check_log(Told(house), logs, old, None)


def test_only_administrators_rotate(house: House) -> None:
    key = house.signatory.public_key
    ann = Actor(house.catalog.accounts.get("ann"))
    with pytest.raises(ForbiddenError):
        rotate_key(house, ann)
    assert house.signatory.public_key == key


def test_a_kill_before_the_new_key_is_in_force_leaves_the_old_one(
    house: House, monkeypatch: pytest.MonkeyPatch, logs: RememberedLogs
) -> None:
    old = house.signatory.public_key
    replace = signatory._replace

    def killed(path: Path, content: bytes) -> None:
        if path.name == "log-key":
            raise KeyboardInterrupt
        replace(path, content)

    monkeypatch.setattr(signatory, "_replace", killed)
    with pytest.raises(KeyboardInterrupt):
        rotate_key(house, OPERATOR)
    monkeypatch.undo()
    assert house.signatory.public_key == old
    grow(house)
    assert check_log(OwnLog(house), logs, old, None).key == old
    assert check_log(OwnLog(house), logs, None, None).key == old
    new = rotate_key(house, OPERATOR)
    assert check_log(OwnLog(house), logs, None, None).key == new


@pytest.mark.parametrize("rotates", [True, False])
def test_a_head_that_was_overtaken_is_not_signed(
    house: House, monkeypatch: pytest.MonkeyPatch, logs: RememberedLogs, *, rotates: bool
) -> None:
    old = house.signatory.public_key
    check_log(OwnLog(house), logs, old, None)
    grow(house)
    settle, overtaken = transparency.settle, []

    def slow(of: House) -> int:
        size = settle(of)
        if not overtaken:  # what others do between this request's count and its signature
            overtaken.append(size)
            grow(of)
            if rotates:
                rotate_key(of, OPERATOR)
            signed_head(of)
        return size

    monkeypatch.setattr(transparency, "settle", slow)
    head = TreeHead.parse(note_text(signed_head(house)))
    (size,) = overtaken
    assert head.size > size and house.signatory.last_head() == head
    assert check_log(OwnLog(house), logs, None, None).head == head


def test_handovers_of_other_keys_are_neither_remembered_nor_passed_on(
    house: House, logs: RememberedLogs, tmp_path: Path
) -> None:
    stranger = open_house(Settings(data_dir=tmp_path / "stranger"))
    rotate_key(stranger, OPERATOR)
    junk = stranger.signatory.handovers()
    stranger.catalog.close()

    class Told(OwnLog):
        def read(self, path: str, max_bytes: int) -> bytes:
            return junk if path == KEYS else super().read(path, max_bytes)

    mirror, old = Mirror(tmp_path / "mirror"), house.signatory.public_key
    mirror_log(Told(house), mirror, logs, old, lambda _: lambda _: None)
    assert not (tmp_path / "mirror" / KEYS).exists()
    assert not list((tmp_path / "logs").glob("*.keys"))
    (path,) = (tmp_path / "logs").iterdir()
    path.with_suffix(".keys").write_bytes(junk)  # as it was remembered once
    new = rotate_key(house, OPERATOR)
    assert check_log(OwnLog(house), logs, None, None).key == new
    assert path.with_suffix(".keys").read_bytes() == house.signatory.handovers()
    path.with_suffix(".keys").write_bytes(b"?")
    with pytest.raises(IntegrityError, match=r"\.keys, which remembers how"):
        check_log(OwnLog(house), logs, None, None)


# --- witnesses -----------------------------------------------------------------------------


@dataclass
class Witness:
    """A witness as c2sp.org/tlog-witness has it, written from the specification."""

    log: PublicKey
    name: str = "witness.example/w"
    seen: TreeHead | None = None
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    lies: bool = False

    @property
    def public(self) -> bytes:
        return b"\x04" + self.key.public_key().public_bytes_raw()

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self.public).decode()}"

    def add_checkpoint(self, body: bytes) -> tuple[int, bytes]:
        head, _, note = body.partition(b"\n\n")
        first, *proof = head.decode().split("\n")
        old = int(first.removeprefix("old "))
        new = TreeHead.parse(open_note(note, [self.log]))
        known = 0 if self.seen is None else self.seen.size
        if old != known:
            return 409, f"{known}\n".encode()
        if self.seen is not None:
            hashes = [base64.b64decode(line) for line in proof]
            check_consistency(known, self.seen.root, new.size, new.root, hashes)
        self.seen = new
        return 200, self.line(new.text)

    def line(self, text: str, at_s: int = 1_795_000_000) -> bytes:
        signed = f"cosignature/v1\ntime {at_s}\n{text}".encode()
        if self.lies:
            signed += b"x"
        raw = self.key_id + at_s.to_bytes(8, "big") + self.key.sign(signed)
        return f"— {self.name} {base64.b64encode(raw).decode()}\n".encode()


@pytest.fixture
def witness(house: House) -> Witness:
    return Witness(house.signatory.public_key)


@pytest.fixture
def address(witness: Witness) -> Iterator[str]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, text = witness.add_checkpoint(body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def submit(house: House, address: str, key: str) -> TreeHead:
    note = signed_head(house)
    head = TreeHead.parse(note_text(note))
    answered = ask_witness(address, note, lambda old: consistency_lines(house, old, head.size))
    keep_cosignatures(house, answered, [witness_key(key)])
    return head


def test_a_witness_cosigns_heads_as_the_log_grows_and_readers_ask_for_it(
    house: House, witness: Witness, address: str, logs: RememberedLogs
) -> None:
    log_key, key = house.signatory.public_key, witness_key(witness.vkey)
    checked = check_log(OwnLog(house), logs, log_key, None)
    with pytest.raises(IntegrityError, match="no witness"):
        check_witnesses(OwnLog(house), checked, [key])
    submit(house, address, witness.vkey)
    grow(house)
    head = submit(house, address, witness.vkey)  # which it saw before is asked for
    assert witness.seen == head
    grow(house)
    checked = check_log(OwnLog(house), logs, None, None)
    found = check_witnesses(OwnLog(house), checked, [key])
    assert found.head == head and [one.witness for one in found.by] == [key]
    assert int(found.by[0].at.timestamp()) == 1_795_000_000
    other = witness_key(Witness(log_key, "other.example").vkey)
    with pytest.raises(IntegrityError, match=r"other\.example"):
        check_witnesses(OwnLog(house), checked, [key, other])


def test_two_witnesses_of_one_head_are_kept_together(house: House, witness: Witness) -> None:
    note = signed_head(house)
    other = Witness(witness.log, "other.example")
    keys = [witness_key(one.vkey) for one in (witness, other)]
    for one in (witness, other):
        keep_cosignatures(house, note + one.line(note_text(note)), keys)
    kept = house.signatory.witnessed()
    assert kept is not None and len(cosignatures(kept, keys)) == 2


def test_witnesses_whose_answers_come_at_once_are_all_kept(
    house: House, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a lock each would add its line to what was there before the others."""
    note = signed_head(house)
    many = [Witness(witness.log, f"w{number}.example") for number in range(4)]
    keys = [witness_key(one.vkey) for one in (witness, *many)]
    keep_cosignatures(house, note + witness.line(note_text(note)), keys)
    together = threading.Barrier(len(many))
    merged = transparency.merge

    def merge_slowly(before: bytes, after: bytes) -> bytes:
        time.sleep(0.02)
        return merged(before, after)

    def answer(one: Witness) -> None:
        together.wait()
        keep_cosignatures(house, note + one.line(note_text(note)), keys)

    monkeypatch.setattr(transparency, "merge", merge_slowly)
    with ThreadPoolExecutor(len(many)) as pool:
        list(pool.map(answer, many))
    kept = house.signatory.witnessed()
    assert kept is not None
    assert {one.witness for one in cosignatures(kept, keys)} == set(keys)


def test_a_quiet_log_keeps_the_newest_word_of_each_witness(
    house: House, witness: Witness, tmp_path: Path
) -> None:
    note, other = signed_head(house), Witness(witness.log, "other.example")
    text, keys = note_text(note), [witness_key(one.vkey) for one in (witness, other)]
    kept = tmp_path / "data" / "log-witnessed"
    kept.write_bytes(note + witness.line(text) * 1000)  # more than is read
    for hour in (2, 3, 1):
        at_s = 1_795_000_000 + 3600 * hour
        line = other.line(text, at_s)  # not asked for: not checked
        keep_cosignatures(house, note + witness.line(text, at_s) + line, keys[:1])
    keep_cosignatures(house, note + other.line(text), keys)
    found = cosignatures(kept.read_bytes(), keys)
    assert [int(one.at.timestamp()) for one in found] == [1_795_010_800, 1_795_000_000]
    assert len(kept.read_bytes().splitlines()) == len(note.splitlines()) + 2


def test_what_no_known_witness_signed_is_not_kept(house: House, witness: Witness) -> None:
    note, key = signed_head(house), witness_key(witness.vkey)
    text = note_text(note)
    with pytest.raises(RequestError, match="did not cosign"):
        keep_cosignatures(house, note, [key])
    witness.lies = True
    with pytest.raises(IntegrityError, match="cosignature by"):
        keep_cosignatures(house, note + witness.line(text), [key])
    witness.lies = False
    other = TreeHead(witness.log.name, TreeHead.parse(text).size, bytes(32)).text
    with pytest.raises(IntegrityError):
        keep_cosignatures(house, f"{other}\n".encode() + witness.line(other), [key])
    assert house.signatory.witnessed() is None


def test_a_witness_that_does_not_answer_is_unavailable(house: House) -> None:
    with pytest.raises(UnavailableError, match="cannot be asked"):
        ask_witness("http://127.0.0.1:1", signed_head(house), lambda _: [])
    with pytest.raises(RequestError, match="http"):
        ask_witness("ftp://w.example", b"", lambda _: [])
