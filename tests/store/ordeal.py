"""What a store must survive, round by round: kills, failing system calls, flipped bits.

Each round is made from a seed alone (as far as the machine's timing allows) and ends in an
`OrdealError` that says what was lost, or in the name of what it went through.
"""

import random
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from cairn.domain import Digest
from cairn.errors import BlobNotFoundError, CairnError, IntegrityError
from cairn.store import FAST, SMALL
from cairn.workflows.folder_store import FolderStore
from cairn.workflows.origins import local_origin
from cairn.workflows.repair import repair, suspects_in
from tests.store import families, victim
from tests.store.failing_calls import KINDS, FailingCalls
from tests.store.making import layout_of
from tests.store.victims import Victims, check, check_tidy

FLIPPED = {
    "packs/*.pack": "packs", "recipes/*/*": "recipes",
    "packs/*.idx": "indexes", "sketches/*/*": "sketches",
}  # fmt: skip
HINTS = ("packs/*.idx", "sketches/*/*")  # damage to these harms no blob
ROUNDS_PER_STORE = 20
NO_FAULT = "(no call failed)"


class OrdealError(Exception):
    """Something was lost, wrong, or said in the wrong way."""


class Ward:
    """One store, what it acknowledged, and random work on it."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.rng = random.Random(seed)
        self.kept: dict[int, Digest] = {}
        self.store = victim.open_store(root)

    def put(self, number: int) -> None:
        self.kept[number] = self.store.put_bytes(families.member(number)).digest

    def optimize(self) -> None:
        for digest in sorted(self.store.pending()):
            file = self.store.read_bytes(digest, 1 << 30)
            self.store.optimize(digest, layout_of(file))

    def collect(self) -> None:
        self.store.collect(self.kept.values, 0)

    def drop(self) -> None:
        if len(self.kept) > 2:
            del self.kept[self.rng.choice(sorted(self.kept))]

    def repair(self, *backups: Path) -> None:
        """Heal what is known to be damaged from what is here, and from copies elsewhere."""
        origins = [local_origin(backup, self.root) for backup in backups]
        repair(FolderStore(self.store), suspects_in(self.store), origins, lambda _: None)

    def remake(self) -> None:
        if self.kept:
            number = self.rng.choice(sorted(self.kept))
            layout, profile = layout_of(families.member(number)), self.rng.choice([FAST, SMALL])
            self.store.remake(self.kept[number], layout, profile=profile)

    def reopen(self) -> None:
        self.store = victim.open_store(self.root)

    def read(self, number: int) -> None:
        digest, file = self.kept[number], families.member(number)
        if self.store.local_path(digest) is not None:
            found = self.store.read_bytes(digest, 1 << 30)  # streams of raw blobs trust the disk
        else:
            with self.store.open(digest) as reader:
                found = b"".join(reader.stream())
        if found != file:
            raise OrdealError(f"blob {digest} reads back as {len(found)} other bytes")

    def read_one(self) -> None:
        if self.kept:
            self.read(self.rng.choice(sorted(self.kept)))

    def fill(self, count: int) -> None:
        """Members of two families, in any order; most rewritten, some left raw."""
        numbers = self.rng.sample(range(2 * families.MEMBERS), count)
        for number in numbers:
            self.put(number)
            if self.rng.random() < 0.8:
                self.optimize()

    def works(self, count: int) -> Iterator[Callable[[], None]]:
        """Random pieces of work."""
        for _ in range(count):
            yield self.rng.choice(
                [
                    lambda: self.put(self.rng.randrange(3 * families.MEMBERS)),
                    self.optimize, self.optimize, self.collect, self.collect,
                    self.drop, self.read_one, self.read_one, self.reopen, self.repair,
                    self.remake,
                ]
            )  # fmt: skip

    def unreadable(self) -> set[int]:
        """The members that now end in an error, which must name them; wrong bytes raise."""
        bad = set()
        for number, digest in self.kept.items():
            try:
                self.read(number)
            except (IntegrityError, BlobNotFoundError) as error:
                bad.add(number)
                if digest.hex not in str(error):
                    raise OrdealError(f"{digest} is not named by: {error}") from error
        return bad

    def check(self, bad: set[int] | None = None) -> None:
        """All that was acknowledged is here, except for `bad`; `verify` names just these."""
        expected = {self.kept[number].hex for number in bad or () if number in self.kept}
        self.reopen()
        found = {self.kept[number].hex for number in self.unreadable()}
        if found != expected:
            raise OrdealError(f"unreadable: {sorted(found)}, expected {sorted(expected)}")
        mine = {digest.hex for digest in self.kept.values()}  # dropped ones may linger, damaged
        named = {digest.hex: why for digest, why in self.store.verify().bad if digest.hex in mine}
        if not expected <= set(named):
            raise OrdealError(f"verify names {named}, expected {sorted(expected)}")
        if not bad and named:
            raise OrdealError(f"verify finds damage where there is none: {named}")


def failing_round(root: Path, seed: int) -> str:
    """Work while system calls fail; afterwards all is there. Returns the kind of failure."""
    ward = Ward(root, seed)
    ward.fill(5)
    rng = ward.rng
    kind = rng.choice(KINDS)
    calls = FailingCalls(
        root, kind, rng.choice([1, 5, 20, 60]) + rng.randrange(20), rng.choice([1, 3, 10_000]), seed
    )
    with calls.installed():
        for work in ward.works(60):
            _attempt(work, calls)
            if calls.fired and rng.random() < 0.1:
                break
    ward.check()
    for work in (ward.optimize, ward.collect, ward.collect):
        work()
        ward.check()
    return kind.name if calls.fired else NO_FAULT


def _attempt(work: Callable[[], None], calls: FailingCalls) -> None:
    """Errors of the tree are an answer, once something failed; all others are not."""
    try:
        work()
    except OrdealError:
        raise
    except CairnError as error:
        if not calls.fired:
            raise OrdealError(f"without a failing call: {error}") from error
    except Exception as error:
        trace = "".join(traceback.format_exception(error))
        raise OrdealError(f"{calls.kind.name} came out as {error!r}:\n{trace}") from error


def flipped_round(root: Path, seed: int) -> str:
    """Flip bits of stored objects: no wrong byte, damage named, nothing else lost, healed."""
    ward = Ward(root, seed)
    rng = ward.rng
    ward.fill(7)
    ward.optimize()
    backup = root.with_name(f"{root.name}.backup")
    shutil.copytree(root, backup)
    pattern = rng.choice(list(FLIPPED))
    if rng.random() < 0.3:
        _flip(root, "packs/*.idx", rng)  # so that indexes are made anew from what is damaged
    for _ in range(rng.choice([1, 1, 3])):
        _flip(root, pattern, rng)
    ward.reopen()
    bad = ward.unreadable()
    if bad and pattern in HINTS:
        raise OrdealError(f"damage of {pattern} makes {bad} unreadable")
    ward.check(bad)
    for work in ward.works(6):
        with suppress(IntegrityError):
            work()
        _no_worse(ward, bad)
    if rng.random() < 0.5:
        ward.repair(backup)
        ward.check()
    for number in sorted(bad & set(ward.kept)):
        ward.put(number)
    for work in (ward.optimize, ward.collect, ward.collect):
        work()
        ward.check()
    return f"bit flips in {FLIPPED[pattern]}"


def _no_worse(ward: Ward, bad: set[int]) -> None:
    ward.reopen()
    worse = ward.unreadable() - bad
    if worse:
        raise OrdealError(f"members {worse} were whole before, {bad} were not")


def _flip(root: Path, pattern: str, rng: random.Random) -> None:
    paths = sorted(root.glob(pattern))
    if paths:
        path = rng.choice(paths)
        data = bytearray(path.read_bytes())
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            path.write_bytes(data)


def concurrent_round(root: Path, seed: int, lanes: list[Victims], seconds: float = 1.0) -> str:
    """Uploads, optimize and gc in several processes, with failing calls, and one that reads."""
    rng = random.Random(seed)
    for lane, server in enumerate(lanes):
        action = "watch" if lane == 0 else "for_a_while"
        server.start(
            action, root, seed=rng.random(), lane=lane, first=victim.FAMILIES, seconds=seconds
        )
    for server in lanes:
        server.killed()
    _check_nothing_wrong(root)
    check(root)
    return "several processes, failing calls"


def kill_round(root: Path, seed: int, lanes: list[Victims], number: int) -> int:
    """Kill one process that reads and others that work; returns how many were killed at work."""
    rng = random.Random(seed)
    for lane, server in enumerate(lanes):
        server.start(
            "watch" if lane == 0 else "forever", root, seed=rng.random(), lane=lane,
            first=victim.FAMILIES, die_after_s=rng.uniform(0.01, 0.5),
        )  # fmt: skip
    killed = [server.killed() for server in lanes]
    _check_nothing_wrong(root)
    last = number % ROUNDS_PER_STORE == ROUNDS_PER_STORE - 1
    check(root, contents=last or number % 5 == 0)
    if last:
        check_tidy(root)
        check(root)
    return sum(killed[1:])


def _check_nothing_wrong(root: Path) -> None:
    wrong = Path(f"{root}.wrong")
    if wrong.exists():
        raise OrdealError(f"a reader met: {wrong.read_text()}")


def remove(root: Path) -> None:
    """Remove a store that went through its rounds, and what was noted about it."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.rmtree(root.with_name(f"{root.name}.backup"), ignore_errors=True)
    for name in ("acks", "wrong"):
        Path(f"{root}.{name}").unlink(missing_ok=True)
