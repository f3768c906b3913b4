"""Garbage collection: removes blobs nobody needs, then the parts no recipe names any more.

Runs under the maintenance lock, so no recipe is being made meanwhile; puts, touches and
reads go on. A pack that is no longer needed is first condemned (marked, no longer used by
new recipes) and removed when readers that opened a blob before had time to finish. Every
step leaves a store that opens and reads; an interrupted run is simply run again.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from cairn.domain import Digest
from cairn.errors import BlobNotFoundError, IntegrityError, UnavailableError
from cairn.store.backends import Backend, ObjectInfo, ObjectNotFoundError, OpenObject
from cairn.store.backends.base import put_bytes
from cairn.store.holdings import digests_under, load_recipe
from cairn.store.keys import (
    DAMAGED,
    FAST,
    PACKS,
    RAW,
    RECIPES,
    SETTLED,
    SKETCHES,
    condemned_key,
    damaged_key,
    fast_key,
    pack_index_key,
    pack_key,
    raw_key,
    recipe_key,
    settled_key,
    sketch_key,
)
from cairn.store.locks import Locks
from cairn.store.needed import bases_of, closure, in_circles
from cairn.store.pack_index import PackIndex, load_index
from cairn.store.packs import Encoded, read_encoded
from cairn.store.parts import PartStore
from cairn.store.precedence import CLOCK_STEP_S, precedence, wait_until_newest
from cairn.store.results import Collected

# How long a reader that is already open may go on after the last revision that needed its
# blob, or the pack it read from, is gone; never longer than the grace of the whole run.
READER_GRACE_S = 3600.0
# Rewriting a pack costs reading and writing what lives in it: worth it for this dead share.
REWRITE_DEAD_SHARE = 0.3
# Packs below a sixteenth of the target are merged when there are several.
SMALL_PACK_SHARE = 1 / 16
MIN_SMALL_PACKS = 4


@dataclass(slots=True)
class _Pack:
    """What gc found out about one pack."""

    id: str
    info: ObjectInfo
    index: PackIndex
    condemned_s: float | None  # when it was marked, Unix seconds
    live: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))
    removed: bool = False

    def holding(self, digests: set[bytes]) -> np.ndarray:
        """Which entries are of these parts."""  # (N,)
        own = self.index.digests()
        return np.fromiter((digest in digests for digest in own), bool, len(own))

    def precedence(self) -> tuple[bool, float, str]:
        """A key to sort packs by: of a part in several, the first counts."""
        return precedence(self.id, self.info.modified_s, condemned=self.condemned_s is not None)

    def digests(self, rows: np.ndarray) -> set[bytes]:
        """The parts of these entries."""
        return {row["digest"].tobytes() for row in self.index.entries[rows]}

    @property
    def live_bytes(self) -> int:
        return int(self.index.record_bytes()[self.live].sum())

    @property
    def dead_share(self) -> float:
        return 1 - self.live_bytes / max(1, int(self.index.record_bytes().sum()))


class Collection:
    """One gc run."""

    def __init__(self, backend: Backend, locks: Locks, parts: PartStore, grace_s: float) -> None:
        self._backend = backend
        self._locks = locks
        self._parts = parts
        self._grace_s = grace_s
        self._started_s = time.time()
        self._blobs = self._freed = self._removed = self._rewritten = self._condemned = 0
        self._damaged: list[tuple[Digest, str]] = []

    def run(self, live: Callable[[], Iterable[Digest]] | None) -> Collected:
        """Collect; `live` is asked after the candidates are known, and read to its end.

        None: every blob lives, and only what packs hold for none goes.

        Waits for another gc or optimize on the same store, in whatever process.
        """
        time.sleep(CLOCK_STEP_S)  # what is touched from now on is newer than the run's beginning
        with self._locks.maintenance():
            if live is not None:
                self._sweep_blobs(live)
            needed = self._needed_parts()
            if needed is not None:
                self._sweep_packs(needed)
        self._freed += self._backend.sweep_drafts(self._grace_s)
        return Collected(
            self._blobs, self._removed, self._rewritten, self._condemned,
            self._freed, tuple(self._damaged),
        )  # fmt: skip

    # Blobs

    def _sweep_blobs(self, live: Callable[[], Iterable[Digest]]) -> None:
        before = self._started_s - self._grace_s
        old = {
            digest.raw: digest
            for prefix in (RAW, RECIPES)
            for digest, info in digests_under(self._backend, prefix)
            if info.modified_s <= before
        }
        if old:
            for digest in live():
                old.pop(digest.raw, None)
        for digest in old.values():
            # A put or touch since the listing shows in the time: look again while none runs.
            with self._locks.sweeping():
                if self._last_wanted_s(digest) <= before:
                    self._remove_blob(digest)
        self._sweep_marks()

    def _last_wanted_s(self, digest: Digest) -> float:
        times = [0.0]
        for key in (raw_key(digest), recipe_key(digest)):
            try:
                times.append(self._backend.info(key).modified_s)
            except ObjectNotFoundError:
                continue
        return max(times)

    def _remove_blob(self, digest: Digest) -> None:
        removed = [self._drop(key) for key in (raw_key(digest), recipe_key(digest))]
        self._blobs += any(removed)

    def _drop(self, key: str) -> bool:
        """Delete an object and count its bytes."""
        try:
            size = self._backend.info(key).size_bytes
        except ObjectNotFoundError:
            return False
        self._freed += size
        return self._backend.delete(key)

    def _sweep_marks(self) -> None:
        """Marks and sketches of blobs that are gone."""
        kinds = {SETTLED: settled_key, DAMAGED: damaged_key, SKETCHES: sketch_key, FAST: fast_key}
        for prefix, mark in kinds.items():
            for digest, _ in digests_under(self._backend, prefix):
                with self._locks.sweeping():
                    if not self._last_wanted_s(digest):
                        self._drop(mark(digest))

    # Parts

    def _needed_parts(self) -> set[bytes] | None:
        """Digests of all parts any recipe names; None when a recipe cannot be read.

        Takes about 100 bytes of memory per part.
        """
        needed: set[bytes] = set()
        whole = True
        for digest, _ in digests_under(self._backend, RECIPES):
            try:
                recipe = load_recipe(self._backend, digest)
            except BlobNotFoundError:
                continue
            except IntegrityError as error:
                self._damaged.append((digest, str(error)))
                whole = False
                continue
            needed.update(part.digest for part in recipe.parts())
        return needed if whole else None

    def _sweep_packs(self, named: set[bytes]) -> None:
        packs = sorted(self._packs(), key=_Pack.precedence)
        while True:
            bases = bases_of([pack.index for pack in packs])
            needed = closure(named, bases)
            lost = _share_out(needed, packs) | in_circles(needed, bases)
            if lost:
                self._name_damaged(lost, bases)
                return
            damaged = self._damaged_with_copies(packs, needed)
            if not damaged:
                break
            for pack, digests in damaged:  # a copy counts instead, and what that is made from
                pack.index = pack.index.without(digests)
        self._remove_condemned(packs)  # first: a full disk has no room for what follows
        chosen = [pack for pack in self._worth_rewriting(packs) if self._reads_well(pack)]
        self._rewrite(chosen, packs)
        for pack in packs:
            if pack.live.any():
                if pack.condemned_s is not None:
                    self._backend.delete(condemned_key(pack.id))
            elif pack.condemned_s is None:
                put_bytes(self._backend, condemned_key(pack.id), b"")
                pack.condemned_s = self._backend.info(condemned_key(pack.id)).modified_s
                self._condemned += 1
        self._remove_condemned(packs)
        self._parts.index.refresh()

    def _name_damaged(self, missing: set[bytes], bases: Mapping[bytes, tuple[bytes, ...]]) -> None:
        """Parts are lost, in packs too damaged to be read, or made from themselves: leave all
        packs as they are.
        """
        for digest, _ in digests_under(self._backend, RECIPES):
            parts = {part.digest for part in load_recipe(self._backend, digest).parts()}
            lost = len(closure(parts, bases) & missing)
            if lost:
                self._damaged.append((digest, f"{lost} of its parts are in no readable pack"))

    def _damaged_with_copies(
        self, packs: list[_Pack], needed: set[bytes]
    ) -> list[tuple[_Pack, set[bytes]]]:
        """Needed parts that count and cannot be read, of which this run would drop a sound copy."""
        going = [pack for pack in packs if not pack.live.any()] + self._worth_rewriting(packs)
        copies = {d for pack in going for d in pack.digests(~pack.live) if d in needed}
        damaged = [(p, self._damaged_parts(p, p.live & p.holding(copies))) for p in packs]
        every = set().union(*(digests for _, digests in damaged))
        sound: set[bytes] = set()
        for pack in going if every else ():
            rows = ~pack.live & pack.holding(every)
            sound |= pack.digests(rows) - self._damaged_parts(pack, rows)
        return [(pack, digests & sound) for pack, digests in damaged if digests & sound]

    def _damaged_parts(self, pack: _Pack, rows: np.ndarray) -> set[bytes]:
        """Which of these parts of a pack cannot be read."""
        found = set()
        for row in pack.index.entries[rows]:
            try:
                with self._backend.open(pack_key(pack.id)) as stored:
                    _encoded(pack, stored, row)
            except (IntegrityError, UnavailableError):
                found.add(row["digest"].tobytes())
        return found

    def _packs(self) -> list[_Pack]:
        listed = {info.key: info for info in self._backend.list(PACKS)}
        packs = []
        for key, info in listed.items():
            pack_id, _, kind = key[len(PACKS) :].rpartition(".")
            if kind == "pack":
                mark = listed.get(condemned_key(pack_id))
                index = load_index(self._backend, pack_id)
                packs.append(_Pack(pack_id, info, index, mark.modified_s if mark else None))
            elif pack_key(pack_id) not in listed and kind in ("idx", "dead"):
                # Left behind by a kill between two deletions, or between index and pack.
                self._drop(key)
        return packs

    def _worth_rewriting(self, packs: list[_Pack]) -> list[_Pack]:
        alive = [p for p in packs if p.live.any() and p.condemned_s is None]
        limit = self._parts.pack_target_bytes * SMALL_PACK_SHARE
        small = [p for p in alive if p.info.size_bytes < limit]
        merged = small if len(small) >= MIN_SMALL_PACKS else []
        holed = [p for p in alive if p.dead_share >= REWRITE_DEAD_SHARE and p not in merged]
        return merged + holed

    def _reads_well(self, pack: _Pack) -> bool:
        """A damaged pack stays as it is: what is left of it may still be wanted."""
        try:
            for _ in self._live_parts(pack):
                pass
        except (IntegrityError, UnavailableError):
            return False
        return True

    def _rewrite(self, packs: list[_Pack], known: list[_Pack]) -> None:
        """Copy what lives in `packs` to new ones; the old are then without live parts."""
        try:
            wait_until_newest(max((pack.info.modified_s for pack in known), default=0.0))
        except UnavailableError:
            return  # the clock was set back: of a part, an outdated record would count again
        with self._parts.packing() as packing:
            for pack in packs:
                for part in self._live_parts(pack):
                    packing.add(part)
            packing.seal()
        made = {pack.id for pack in packing.sealed}
        for pack_id in made - {pack.id for pack in known}:
            for key in (pack_key(pack_id), pack_index_key(pack_id)):
                self._freed -= self._backend.info(key).size_bytes
        for pack in packs:
            pack.live[:] = False
            self._rewritten += 1
        for pack in known:
            if pack.id in made:  # the copy came out as a pack that is here already: it stays
                pack.live[:] = True

    def _live_parts(self, pack: _Pack) -> Iterable[Encoded]:
        """The records that live, in the order of the pack, with their stored bytes checked."""
        rows = np.sort(pack.index.entries[pack.live], order="offset")
        with self._backend.open(pack_key(pack.id)) as stored:
            for row in rows:
                yield _encoded(pack, stored, row)

    def _remove_condemned(self, packs: list[_Pack]) -> None:
        """Remove packs condemned long enough ago; the pack first, so that none lacks its mark."""
        wait_s = min(self._grace_s, READER_GRACE_S)
        for pack in packs:
            if pack.removed or pack.live.any() or pack.condemned_s is None:
                continue
            if pack.condemned_s > self._started_s - wait_s and wait_s > 0:
                continue
            for key in (pack_key(pack.id), pack_index_key(pack.id), condemned_key(pack.id)):
                self._drop(key)
            pack.removed = True
            self._removed += 1


def _share_out(needed: set[bytes], packs: list[_Pack]) -> set[bytes]:
    """Let each needed part live in the first pack that holds it; those that none holds."""
    missing = set(needed)
    for pack in packs:
        pack.live = pack.holding(missing)
        missing.difference_update(pack.index.digests())
    return missing


def _encoded(pack: _Pack, stored: OpenObject, row: np.void) -> Encoded:
    """A record of a pack, its stored bytes checked.

    Raises:
        IntegrityError: it is damaged.
    """
    at, length = int(row["offset"]), int(row["stored"])
    try:
        return read_encoded(stored, at, length, row["digest"].tobytes())
    except IntegrityError as error:
        raise IntegrityError(f"pack {pack.id}: {error}") from None
