"""What a store takes and for whom: in all, by repo, by family, by codec, by depth of chains.

A family is what cards connect: a repo, the base models it names, and whatever names the same. A
base model that is not on this hub still connects the repos that name it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cairn.catalog import RepoRecord
from cairn.domain import Digest
from cairn.store import PREDICTORS, BlobStore, CodecShare, GroupShare, StoreStats
from cairn.workflows.cards import base_models
from cairn.workflows.house import House
from cairn.workflows.listing import all_repos

_NAMED_ROOTS = 3


@dataclass(frozen=True, slots=True)
class Stocktaking:
    """Everything `cairn store stats` says.

    `groups` are what the blobs belong to (repos of a hub, names of a folder), `families` are those
    that belong together; `unclaimed` is what none of them holds. `decoded_bytes` are those that are
    decoded to read `unique_bytes`; `fast_blobs` are kept to be read fast. `derived_codecs` are
    names of `totals.by_codec` that make parts from others. `paused`: hubs optimize nothing.
    """

    totals: StoreStats
    pending: int
    paused: bool
    unique_bytes: int
    decoded_bytes: int
    fast_blobs: int
    by_depth: Mapping[int, CodecShare]
    groups: Mapping[str, GroupShare]
    families: Mapping[str, GroupShare]
    unclaimed: GroupShare
    derived_codecs: tuple[str, ...]


def take_stock(house: House, progress: Callable[[int], None] | None = None) -> Stocktaking:
    """Count what the store of a hub holds; `progress` gets plain bytes of blobs looked at."""
    records = list(all_repos(house))
    owned = {str(r.id): house.catalog.history.digests(r.uid) for r in records}
    return count(house.store, owned, families(records), progress)


def count(
    store: BlobStore,
    owned: Mapping[str, Iterable[Digest]],
    families: Mapping[str, Iterable[str]],
    progress: Callable[[int], None] | None = None,
) -> Stocktaking:
    """Count what a store holds for its owners, and for families of owners, given by name."""
    totals = store.stats()
    stock = store.take_stock(progress)
    held = {name: set(digests) for name, digests in owned.items()}
    unclaimed = stock.digests().difference(*held.values())
    everything = stock.shares({**held, "": unclaimed})
    joined = {f: set().union(*(held[name] for name in names)) for f, names in families.items()}
    by_family = stock.shares({**joined, "": unclaimed})
    rest = everything.pop("")
    by_family.pop("")
    known = {predictor.name for predictor in PREDICTORS}
    return Stocktaking(
        totals=totals,
        pending=sum(1 for _ in store.pending()),
        paused=store.pause.since_s() is not None,
        unique_bytes=stock.unique_bytes,
        decoded_bytes=stock.decoded_bytes,
        fast_blobs=len(store.kept_fast()),
        by_depth=stock.by_depth(),
        groups=_largest_first(everything),
        families=_largest_first(by_family),
        unclaimed=rest,
        derived_codecs=tuple(name for name in totals.by_codec if name in known),
    )


def _largest_first(shares: Mapping[str, GroupShare]) -> dict[str, GroupShare]:
    return dict(sorted(shares.items(), key=lambda item: (-item[1].logical_bytes, item[0])))


def families(records: Iterable[RepoRecord]) -> dict[str, list[str]]:
    """The repos of each family, by the name of what it comes from."""
    parents = {str(record.id): base_models(record) for record in records}
    spelled = {name.lower(): name for name in parents}  # cards may write a name in another case
    bases = {
        name: [spelled.get(base.lower(), base) for base in named] for name, named in parents.items()
    }
    leader: dict[str, str] = {}

    def lead(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for name, named in bases.items():
        for base in named:
            leader[lead(name)] = lead(base)
    found: dict[str, list[str]] = {}
    for name in sorted({*bases, *(base for named in bases.values() for base in named)}):
        found.setdefault(lead(name), []).append(name)
    return {
        _label(names, bases): [name for name in names if name in bases] for names in found.values()
    }


def _label(names: list[str], bases: Mapping[str, list[str]]) -> str:
    """What nothing else in the family was made from; all of it where cards go in circles."""
    roots = [name for name in names if not bases.get(name)] or names
    more = f" and {len(roots) - _NAMED_ROOTS} more" if len(roots) > _NAMED_ROOTS else ""
    return " + ".join(roots[:_NAMED_ROOTS]) + more


def describe_stock(found: Stocktaking) -> dict[str, Any]:
    """The same as JSON values."""
    codecs = {
        name: {**asdict(share), "derived": name in found.derived_codecs}
        for name, share in found.totals.by_codec.items()
    }
    return {
        "pending": found.pending,
        "paused": found.paused,
        **asdict(found.totals),
        "unique_bytes": found.unique_bytes,
        "decoded_bytes": found.decoded_bytes,
        "fast_blobs": found.fast_blobs,
        "by_codec": codecs,
        "by_depth": {str(depth): asdict(share) for depth, share in found.by_depth.items()},
        "by_repo": {name: asdict(share) for name, share in found.groups.items()},
        "by_family": {name: asdict(share) for name, share in found.families.items()},
        "unclaimed": asdict(found.unclaimed),
    }
