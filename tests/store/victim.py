"""A process that works on a store until it is killed; run as a script, it forks victims.

Reads jobs as JSON lines from standard input, runs each in a forked child (so that a
victim starts in a millisecond) and answers with how the child ended. A victim appends
what the store acknowledged to `<root>.acks` before it goes on.
"""

import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from cairn.bootstrap import open_house
from cairn.config import Settings
from cairn.domain import Digest
from cairn.errors import BlobNotFoundError, CairnError, IntegrityError
from cairn.store import (
    PROFILES,
    BlobStore,
    FamilyContents,
    FamilyFile,
    StoppedError,
    open_local_store,
)
from cairn.store.backends import LocalBackend
from cairn.store.codecs import CODECS
from cairn.store.locks import Locks
from cairn.workflows.family_repos import import_repos
from cairn.workflows.folder_store import open_folder
from cairn.workflows.origins import local_origin
from cairn.workflows.repair import repair as heal
from cairn.workflows.repair import suspects_in
from tests.store import families
from tests.store.failing_calls import KINDS, FailingCalls
from tests.store.making import checkpoint, layout_of, optimized

PACK_BYTES = 150_000
TENSOR_ELEMENTS = 20_000
FAMILIES = 1_000_000
# Every call that changes what is on disk: a victim can die right before any of them.
CHANGES = ("write", "link", "unlink", "rename", "replace", "fsync", "utime", "mkdir", "rmdir")


def open_store(root: Path) -> BlobStore:
    """A store with small packs, so that little data makes many of them."""
    open_local_store(root)
    return BlobStore(LocalBackend(root), Locks(root / "locks"), CODECS, PACK_BYTES)


def file_of(seed: int) -> bytes:
    """A checkpoint that shares tensors with its neighbours, or from `FAMILIES` on its relatives.

    The thousands name a lane: two lanes may hold the same file, each for itself.
    """
    if seed >= FAMILIES:
        return families.member(seed % 1_000)
    return checkpoint([seed, seed + 1, seed + 2], TENSOR_ELEMENTS)


def acknowledge(root: Path, word: str, seed: int, digest: Digest) -> None:
    """Record, in one write that survives a kill, what the store said."""
    line = f"{word} {seed} {digest.hex}\n".encode()
    descriptor = os.open(f"{root}.acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    REAL["write"](descriptor, line)
    os.close(descriptor)


def acknowledged(root: Path, words: tuple[str, ...] = ("put",)) -> dict[int, Digest]:
    """Seeds put (with "want": or about to be) and not dropped since."""
    kept: dict[int, Digest] = {}
    path = Path(f"{root}.acks")
    for line in path.read_text().splitlines() if path.exists() else []:
        word, seed, digest = line.split()
        if word in words:
            kept[int(seed)] = Digest.sha256(digest)
        elif word == "drop":
            kept.pop(int(seed), None)
    return kept


def put(root: Path, job: dict) -> None:
    store = open_store(root)
    for seed in job["seeds"]:
        blob = store.put([file_of(seed)[at : at + 50_000] for at in range(0, 300_000, 50_000)])
        acknowledge(root, "put", seed, blob.digest)


def optimize(root: Path, job: dict) -> None:
    store = open_store(root)
    left = job.get("stop_after", 1 << 60)

    def progress(plain_bytes: int) -> None:
        nonlocal left
        left -= plain_bytes
        if left < 0:
            raise StoppedError

    with suppress(StoppedError):
        for digest in sorted(store.pending()):
            store.optimize(digest, layout_of(store.read_bytes(digest, 1 << 30)), progress)


def remake(root: Path, job: dict) -> None:
    """Make everything acknowledged anew, in the order of its seeds."""
    store = open_store(root)
    for seed, digest in sorted(acknowledged(root).items()):
        layout = layout_of(file_of(seed))
        store.remake(digest, layout, profile=PROFILES[job["profile"]])


def gc(root: Path, job: dict) -> None:
    open_store(root).collect(lambda: acknowledged(root).values(), 0)


def repair(root: Path, job: dict) -> None:
    folder = open_folder(root)
    origin = local_origin(Path(job["origin"]), root)
    heal(folder, suspects_in(folder.store), [origin], lambda _: None)


def take(root: Path, job: dict) -> None:
    """Import a family file."""
    with FamilyFile(Path(job["file"])) as file:
        contents = FamilyContents(file)
        with open_store(root).importing(contents, lambda done: None):
            pass


def arrive(root: Path, job: dict) -> None:
    """Import a family file of repos into the hub whose data is in `root`."""
    house = open_house(Settings(data_dir=root))
    with FamilyFile(Path(job["file"])) as file:
        import_repos(house, FamilyContents(file), progress=lambda done: None)


def forever(root: Path, job: dict) -> None:
    """Put, drop, optimize and collect at random until killed."""
    rng = random.Random(job["seed"])
    store = open_store(root)
    while True:
        toil(store, root, job, rng)


def toil(store: BlobStore, root: Path, job: dict, rng: random.Random) -> None:
    """One random piece of work."""
    first = job.get("first", 0) + job["lane"] * 1_000
    match rng.choice(["put", "put", "optimize", "remake", "gc", "drop"]):
        case "put":
            seed = rng.randrange(40) + first
            file = file_of(seed)
            wanted = Digest.sha256(hashlib.sha256(file).hexdigest())
            acknowledge(root, "want", seed, wanted)
            acknowledge(root, "put", seed, store.put_bytes(file).digest)
        case "optimize":
            with suppress(BlobNotFoundError):  # the other lane's gc was faster
                optimize(root, {**job, "stop_after": rng.choice([1 << 60, rng.randrange(500_000)])})
        case "remake":
            kept = acknowledged(root)
            if kept:
                seed = rng.choice(sorted(kept))
                profile = rng.choice(list(PROFILES.values()))
                with suppress(BlobNotFoundError):
                    open_store(root).remake(kept[seed], layout_of(file_of(seed)), profile=profile)
        case "gc":
            # Grace: the clock that stamps files is some milliseconds late.
            store.collect(lambda: acknowledged(root, ("want", "put")).values(), 0.05)
        case "drop":
            mine = [s for s in acknowledged(root) if first <= s < first + 1_000]
            if mine:
                seed = rng.choice(mine)
                acknowledge(root, "drop", seed, acknowledged(root)[seed])


def for_a_while(root: Path, job: dict) -> None:
    """As `forever`, until a time is over, while system calls fail now and then."""
    rng = random.Random(job["seed"])
    end = time.monotonic() + job["seconds"]
    store = open_store(root)
    while time.monotonic() < end:
        calls = FailingCalls(root, rng.choice(KINDS), rng.randrange(40), 1, rng.randrange(99))
        with suppress(CairnError), calls.installed():
            for _ in range(3):
                toil(store, root, job, rng)


def watch(root: Path, job: dict) -> None:
    """Read what is acknowledged, through readers held open, until killed or a time is over.

    What must not be is written to `<root>.wrong`.
    """
    rng = random.Random(job["seed"])
    end = time.monotonic() + job.get("seconds", 1e9)
    store = open_store(root)
    while time.monotonic() < end:
        drops = drops_of(root)
        kept = acknowledged(root)
        for seed in rng.sample(sorted(kept), min(4, len(kept))):
            wrong = _watched(store, file_of(seed), kept[seed], rng)
            if wrong and drops_of(root)[kept[seed].hex] == drops[kept[seed].hex]:
                Path(f"{root}.wrong").write_text(f"blob {kept[seed]} of seed {seed}: {wrong}")
        time.sleep(0.001)


def _watched(store: BlobStore, file: bytes, digest: Digest, rng: random.Random) -> str:
    """What is wrong with a blob that is read for some moments."""
    try:
        with store.open(digest) as reader:
            for _ in range(3):
                at = rng.randrange(len(file))
                if reader.read_at(at, 30_000) != file[at : at + 30_000]:
                    return f"other bytes at {at}"
                time.sleep(rng.uniform(0, 0.02))
            if b"".join(reader.stream()) != file:
                return "streams other bytes"
    except (BlobNotFoundError, IntegrityError) as error:
        return str(error)
    return ""


def drops_of(root: Path) -> Counter[str]:
    """How often each blob was dropped by somebody."""
    path = Path(f"{root}.acks")
    lines = path.read_text().splitlines() if path.exists() else []
    return Counter(line.split()[2] for line in lines if line.startswith("drop "))


REAL = {name: getattr(os, name) for name in CHANGES}
JOBS = {
    "put": put, "optimize": optimize, "remake": remake, "gc": gc, "repair": repair,
    "take": take, "arrive": arrive, "forever": forever, "for_a_while": for_a_while, "watch": watch,
}  # fmt: skip


def warm_up() -> None:
    """Import and compile what derived parts need, so that victims need not."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        for number in range(families.MEMBERS):
            optimized(store, families.member(number))
        store.verify()


def die_before_change(number: int) -> None:
    """Have this process killed right before its `number`-th change to the disk, from 1."""
    left = [number]

    def counted(name: str):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)
            return REAL[name](*args, **kwargs)

        return call

    for name in CHANGES:
        setattr(os, name, counted(name))


def main() -> None:
    """Serve jobs: {"action", "root", "die_before" or "die_after_s", ...}."""
    if "--warm" in sys.argv:
        warm_up()
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            try:
                if "die_before" in job:
                    die_before_change(job["die_before"])
                JOBS[job["action"]](Path(job["root"]), job)
            except BaseException:  # noqa: BLE001 - a child must not run on as the server
                import traceback

                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if "die_after_s" in job:
            time.sleep(job["die_after_s"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"killed": code < 0, "code": code}), flush=True)


if __name__ == "__main__":
    main()
