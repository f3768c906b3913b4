"""Where every part lies, over all packs: 24 bytes of memory per part, refreshed on a miss.

Parts are looked up by the first 8 bytes of their digest; whoever reads a record compares
the whole digest, so two parts with equal first bytes cost a read and nothing else.
Several processes share the packs: a part that is not found may be in a pack that came
since, and a pack that was found may be gone.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cairn.errors import UnavailableError
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.keys import PACKS
from cairn.store.pack_index import PackIndex, load_index
from cairn.store.precedence import precedence

_ROW = np.dtype([("key", "<u8"), ("offset", "<u8"), ("stored", "<u4"), ("slot", "<u4")])


@dataclass(frozen=True, slots=True)
class Place:
    """A record that probably holds a part."""

    pack_id: str
    offset: int
    stored_bytes: int


class PartIndex:
    """A merged index over the packs of one backend; thread-safe."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._packs: list[str | None] = []  # by slot; None: gone
        self._slots: dict[str, int] = {}
        self._sealed_s: dict[str, float] = {}  # by pack, Unix seconds
        self._condemned: frozenset[str] = frozenset()
        self._partial: set[str] = set()  # of damaged packs: another look may find more
        # Sorted runs, each at least twice as long as the next: a lookup searches a few, and
        # adding packs one by one stays cheap (a log-structured merge).
        self._runs: list[npt.NDArray[np.void]] = []

    def find(self, digest: bytes) -> list[Place]:
        """Where the part probably lies, the record that counts first (`precedence`)."""
        key = int.from_bytes(digest[:8], "big")
        with self._lock:
            places = [
                Place(pack, int(row["offset"]), int(row["stored"]))
                for run in self._runs
                for row in _equal(run, key)
                if (pack := self._packs[row["slot"]]) is not None
            ]
            if len(places) > 1:
                places.sort(key=self._precedence)
        return places

    def _precedence(self, place: Place) -> tuple[bool, float, str]:
        pack = place.pack_id
        return precedence(pack, self._sealed_s[pack], condemned=pack in self._condemned)

    def find_lasting(self, digest: bytes) -> list[Place]:
        """As `find`, without packs that are about to be removed: new recipes may name these."""
        return [place for place in self.find(digest) if place.pack_id not in self._condemned]

    def refresh(self) -> None:
        """Learn which packs came, went or are condemned since the last time."""
        with self._lock:
            # Before listing: a pack added here meanwhile stays.
            known, partial = set(self._slots), set(self._partial)
        listed = {info.key[len(PACKS) :]: info.modified_s for info in self._backend.list(PACKS)}
        sealed_s = {name[:-5]: time for name, time in listed.items() if name.endswith(".pack")}
        present = sealed_s.keys()
        condemned = frozenset(name[:-5] for name in listed if name.endswith(".dead"))
        loaded: list[tuple[str, PackIndex]] = []
        for pack_id in present - (known - partial):
            try:
                loaded.append((pack_id, load_index(self._backend, pack_id)))
            except (ObjectNotFoundError, UnavailableError):
                continue  # removed since it was listed, or for the next time
        with self._lock:
            self._condemned = condemned
            for pack_id in (known - present) | (partial & {name for name, _ in loaded}):
                self._forget(pack_id)
            self._sealed_s |= sealed_s
            self._add(loaded)

    def newest_s(self) -> float:
        """When the newest pack known was sealed, Unix seconds; 0 without packs."""
        with self._lock:
            return max((self._sealed_s[pack] for pack in self._slots), default=0.0)

    def add(self, pack_id: str, index: PackIndex, sealed_s: float) -> None:
        """Learn of a pack sealed here at this Unix time."""
        with self._lock:
            self._condemned -= {pack_id}
            self._sealed_s[pack_id] = sealed_s
            self._add([(pack_id, index)])

    def _add(self, packs: Iterable[tuple[str, PackIndex]]) -> None:
        runs = []
        for pack_id, index in packs:
            if pack_id in self._slots:
                continue
            if not index.whole:
                self._partial.add(pack_id)
            slot = self._slots[pack_id] = len(self._packs)
            self._packs.append(pack_id)
            run = np.empty(len(index.entries), dtype=_ROW)
            run["key"] = index.keys()
            run["offset"] = index.entries["offset"]
            run["stored"] = index.entries["stored"]
            run["slot"] = slot
            runs.append(run)
        if runs:
            self._runs.append(_merged(runs))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._runs[-2:] = [_merged(self._runs[-2:])]

    def _forget(self, pack_id: str) -> None:
        self._partial.discard(pack_id)
        self._sealed_s.pop(pack_id, None)
        slot = self._slots.pop(pack_id, None)
        if slot is not None:
            self._packs[slot] = None
            self._runs = [run[run["slot"] != slot] for run in self._runs]


def _equal(run: npt.NDArray[np.void], key: int) -> npt.NDArray[np.void]:
    wanted = np.uint64(key)
    start = np.searchsorted(run["key"], wanted, side="left")
    stop = np.searchsorted(run["key"], wanted, side="right")
    return run[start:stop]


def _merged(runs: list[npt.NDArray[np.void]]) -> npt.NDArray[np.void]:
    rows = np.concatenate(runs)
    return rows[np.argsort(rows["key"], kind="stable")]
