"""Which loaders a file concerns, by what was noted of it, and which of their releases are good."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from cairn.domain import Advisory, LoaderFloor
from cairn.scanner.advisories.loaders import Loader, loaders
from cairn.scanner.advisories.releases import is_affected, release_order
from cairn.scanner.evidence.base import Evidence, Form
from cairn.scanner.evidence.pickles import ImportedName


def floors_of(
    evidence: Iterable[Evidence], floors: Mapping[str, LoaderFloor]
) -> tuple[LoaderFloor, ...]:
    """Of the floors by loader, those of loaders that would load what was noted."""
    listed = list(evidence)
    forms = {one.name for one in listed if isinstance(one, Form)}
    kinds = {one.kind for one in listed}
    modules = {top for one in listed if isinstance(one, ImportedName) for top in _above(one.module)}
    return tuple(
        floors[loader.name]
        for loader in loaders()
        if loader.name in floors and _concerns(loader, forms, kinds, modules)
    )


def _concerns(loader: Loader, forms: set[str], kinds: set[str], modules: set[str]) -> bool:
    return bool(loader.forms & forms or loader.kinds & kinds or loader.imports & modules)


def _above(module: str) -> Iterator[str]:
    """`torch._utils`, `torch`."""
    while module:
        yield module
        module = module.rpartition(".")[0]


def floor_of(loader: str, advisories: Sequence[Advisory]) -> LoaderFloor:
    """Which releases have none of the flaws that some advisories about one loader tell of."""
    ranges = [one for advisory in advisories for one in advisory.ranges]
    ids = tuple(sorted(advisory.id for advisory in advisories))
    if any(not one.fixed and not one.last_affected for one in ranges):
        return LoaderFloor(loader, "", "", (), ids)
    last = max(
        (one.last_affected for one in ranges if one.last_affected), key=release_order, default=""
    )
    fixes = sorted({one.fixed for one in ranges if one.fixed}, key=release_order)
    good = [fix for fix in fixes if not any(is_affected(fix, one) for one in ranges)]
    top = fixes[-1] if fixes else ""
    if last and (not top or release_order(top) <= release_order(last)):
        return LoaderFloor(loader, "", last, tuple(good), ids)
    return LoaderFloor(loader, top, "", tuple(fix for fix in good if fix != top), ids)
