"""Heals damaged and lost blobs from whatever still holds them whole; names what stays lost."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from cairn.domain import Digest
from cairn.errors import BlobNotFoundError, CairnError, IntegrityError, UnavailableError
from cairn.store import BlobStore
from cairn.workflows.damage import Damage, located
from cairn.workflows.folder_store import damage_of
from cairn.workflows.house import House, Keeper
from cairn.workflows.maintain import lost_blobs
from cairn.workflows.optimize import optimize_blob, optimize_pending

Progress = Callable[[int], None]

OWN = "the store itself"
_FOUND = "was found damaged before, or left by work that was cut short"


class Origin(Protocol):
    """A place that may hold whole copies of what a store lost."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    def copies(self, damage: Damage) -> Iterator[Iterator[bytes]]:
        """Possible copies of a blob, the likeliest first, each in blocks.

        Nobody trusts them: what does not have the digest is dropped. Raises errors of the tree,
        here or between blocks, for whatever keeps it from giving one.
        """
        ...


@dataclass(frozen=True, slots=True)
class Healed:
    """A blob that is whole again, and where its bytes came from."""

    damage: Damage
    origin: str


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did."""

    healed: tuple[Healed, ...]
    lost: tuple[Damage, ...]


def suspects_of(house: House, more: Iterable[tuple[Digest, str]] = ()) -> list[Damage]:
    """What may need healing in a hub: marked before, needed and not there, and `more`."""
    return located(house, {**dict(lost_blobs(house)), **_marked(house.store), **dict(more)}.items())


def suspects_in(store: BlobStore, more: Iterable[tuple[Digest, str]] = ()) -> list[Damage]:
    """What may need healing in a folder's store."""
    lost = {
        named.blob.digest: f"{named.name!r} needs this blob and the store does not have it"
        for named in store.names.survey()[0]
        if not store.has(named.blob.digest)
    }
    return damage_of(store, {**lost, **_marked(store), **dict(more)}.items())


def _marked(store: BlobStore) -> dict[Digest, str]:
    return dict.fromkeys(store.suspects(), _FOUND)


def repair(
    keeper: Keeper, suspected: Sequence[Damage], origins: Sequence[Origin], progress: Progress
) -> Repaired:
    """Make every suspected blob whole again that can be; a kill leaves work for the next run.

    First from the store itself, then from the origins in their order. What comes from those has
    its SHA-256 checked before it is kept, and its damaged parts are written anew, which heals
    all blobs that share them. `progress` gets plain bytes newly done, negative ones where those
    before were in vain.

    Raises:
        UnavailableError: the store's disk is failing.
    """
    run = _Run(keeper, origins, progress)
    damaged = run.mended(suspected)
    if damaged:
        run.rewrite_pending()
        damaged = run.mended(damaged)
    damaged = [left for damage in damaged if (left := run.fetched(damage)) is not None]
    lost = run.mended(damaged)  # what was healed last may have brought parts of these back
    return Repaired(tuple(run.healed), tuple(lost))


class _Run:
    """One repair."""

    def __init__(self, keeper: Keeper, origins: Sequence[Origin], progress: Progress) -> None:
        self._keeper = keeper
        self._origins = origins
        self._progress = progress
        self.healed: list[Healed] = []

    def mended(self, suspected: Iterable[Damage]) -> list[Damage]:
        """Heal what the store itself has whole; the others, with what is wrong with them."""
        return [left for damage in suspected if (left := self._mended(damage)) is not None]

    def _mended(self, damage: Damage) -> Damage | None:
        try:
            self._keeper.store.mend(damage.digest)
        except BlobNotFoundError:
            return damage
        except IntegrityError as error:
            return replace(damage, reason=str(error))
        self._progress(damage.size_bytes or 0)
        self._heal(damage, OWN)
        return None

    def rewrite_pending(self) -> None:
        """Raw blobs may have whole what others lack: rewriting them brings it back."""
        with suppress(UnavailableError):  # a full disk: what is healed stays raw
            for _ in optimize_pending(self._keeper, lambda _: None):
                pass

    def fetched(self, damage: Damage) -> Damage | None:
        """Heal a blob from an origin; what is lost, if none has it."""
        if self.healed and self._mended(damage) is None:
            return None  # one that was healed meanwhile has the same parts
        tried: list[str] = []
        for origin in self._origins:
            if self._fetched_from(origin, damage, tried):
                self._heal(damage, origin.name)
                return None
        return replace(damage, tried=tuple(tried))

    def _fetched_from(self, origin: Origin, damage: Damage, tried: list[str]) -> bool:
        try:
            for copy in origin.copies(damage):
                if self._kept(copy, damage, origin.name, tried):
                    return True
        except CairnError as error:
            tried.append(f"{origin.name}: {error}")
        return False

    def _kept(self, copy: Iterator[bytes], damage: Damage, origin: str, tried: list[str]) -> bool:
        done = 0

        def watched() -> Iterator[bytes]:
            nonlocal done
            for block in copy:
                done += len(block)
                self._progress(len(block))
                yield block

        try:
            self._keeper.store.put(watched(), damage.digest)
        except CairnError as error:
            tried.append(f"{origin}: {error}")
            self._progress(-done)
            return False
        return True

    def _heal(self, damage: Damage, origin: str) -> None:
        self.healed.append(Healed(damage, origin))
        # It is whole already: a full disk leaves it raw, a gc takes what nobody needs.
        with suppress(UnavailableError, BlobNotFoundError):
            optimize_blob(self._keeper, damage.digest)
