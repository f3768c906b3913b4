"""Which blobs a hub keeps to be read fast: the newest files of the repos that people read.

Nothing is queued: what is hot is read off the catalog, what is kept fast off the store's marks, and
the difference is worked off one blob at a time. It does not swing: a blob needs more room to get in
than to stay, and one that was made fast stays so for a while.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from cairn.catalog import RepoRecord
from cairn.domain import Blob, Digest, Entry, RepoType
from cairn.errors import BlobNotFoundError, IntegrityError, NotFoundError
from cairn.store import FAST, SMALL
from cairn.workflows.house import House
from cairn.workflows.listing import repos_of_type

# Blobs get in up to this share of the budget and stay up to all of it: what moves by a fifth in the
# order of downloads changes nothing.
ENTER_SHARE = 0.8

# Each push of a run in progress makes the last one old. What was made fast stays so for an hour.
STAY_S = 3600.0

# How many repos, and files of each, are looked at. A budget that these do not fill is large enough.
_MAX_REPOS = 1000
_MAX_FILES = 1000

# A survey asks for the heads of many repos. While blobs land it may take a twentieth of the time.
_AGE_PER_SURVEY_S = 20.0


@dataclass(frozen=True, slots=True)
class Change:
    """A blob that is to be kept in another profile, which is named."""

    blob: Blob
    profile: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What is hot, hottest first, and what is kept fast, longest first, with Unix seconds."""

    budget_bytes: int
    hot: dict[Digest, Blob]
    fast: dict[Digest, float]
    fast_bytes: int

    def has_room_for(self, digest: Digest) -> bool:
        """Whether a hot blob can be made fast now: those that leave leave first."""
        blob = self.hot.get(digest)
        return blob is not None and self.fast_bytes + blob.size_bytes <= self.budget_bytes


@dataclass(slots=True)
class Heat:
    """The policy of one hub, with at most `budget_bytes` of plain bytes kept fast; 0: none."""

    house: House
    budget_bytes: int
    stay_s: float = STAY_S
    clock: Callable[[], float] = time.time
    _latest: Survey | None = field(default=None, init=False)
    _until_s: float = field(default=0.0, init=False)

    def profile_for(self, digest: Digest) -> str:
        """How to keep a blob that landed: fast if it is hot and there is room."""
        if not self.budget_bytes:
            return SMALL.name
        began_s = time.monotonic()
        if self._latest is None or began_s >= self._until_s:
            self._latest = self.survey()
            now_s = time.monotonic()
            self._until_s = now_s + _AGE_PER_SURVEY_S * (now_s - began_s)
        return FAST.name if self._latest.has_room_for(digest) else SMALL.name

    def next_change(self) -> Change | None:
        """What to remake next: first one that is no longer hot, then the hottest that has room."""
        if not self.budget_bytes:
            return None
        self._latest = None
        survey = self.survey()
        before_s = self.clock() - self.stay_s
        for digest, since_s in survey.fast.items():
            if digest not in survey.hot and since_s <= before_s:
                blob = self._kept(digest)
                if blob is not None:
                    return Change(blob, SMALL.name)
        for digest, blob in survey.hot.items():
            is_new = digest not in survey.fast and self.house.store.is_rewritten(digest)
            if is_new and survey.has_room_for(digest):
                return Change(blob, FAST.name)
        return None

    def survey(self) -> Survey:
        """Look at the catalog and at the store's marks."""
        fast = self.house.store.kept_fast()
        blobs = [blob for digest in fast if (blob := self._kept(digest)) is not None]
        return Survey(
            self.budget_bytes,
            self._hot(fast),
            dict(sorted(fast.items(), key=lambda item: item[1])),
            sum(blob.size_bytes for blob in blobs),
        )

    def _hot(self, fast: dict[Digest, float]) -> dict[Digest, Blob]:
        hot: dict[Digest, Blob] = {}
        used = 0
        for blob in self._by_heat():
            share = 1.0 if blob.digest in fast else ENTER_SHARE
            if blob.digest not in hot and used + blob.size_bytes <= share * self.budget_bytes:
                hot[blob.digest] = blob
                used += blob.size_bytes
        return hot

    def _by_heat(self) -> Iterator[Blob]:
        """Newest files: of the repos downloaded most lately, then of those changed last."""
        for record in islice(_hottest_first(self.house), _MAX_REPOS):
            try:
                yield from self._newest(record)
            except NotFoundError:
                continue  # empty, or deleted meanwhile

    def _newest(self, record: RepoRecord) -> Iterator[Blob]:
        history, store = self.house.catalog.history, self.house.store
        head = history.resolve(record.uid, record.default_ref)
        for entry in islice(history.list_tree(head.tree, recursive=True), _MAX_FILES):
            if isinstance(entry, Entry):
                digest = entry.blob.digest
                if store.waits(digest) or (store.is_rewritten(digest) and store.has(digest)):
                    yield entry.blob

    def _kept(self, digest: Digest) -> Blob | None:
        """A blob that is here and sound as far as is known."""
        try:
            return self.house.store.blob(digest) if self.house.store.has(digest) else None
        except (BlobNotFoundError, IntegrityError):
            return None


def _hottest_first(house: House) -> Iterator[RepoRecord]:
    seen = set()
    for record in repos_of_type(house, RepoType.MODEL, "trendingScore"):
        if not record.trending_score:
            break  # from here on nobody downloaded anything
        seen.add(record.uid)
        yield record
    for record in repos_of_type(house, RepoType.MODEL, "lastModified"):
        if record.uid not in seen:
            yield record
