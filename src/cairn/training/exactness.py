"""Whether a run would go on bit for bit from a checkpoint, and whether it may if not."""

from collections.abc import Collection, Iterator
from pathlib import Path

from cairn.errors import InexactError
from cairn.provenance.code_revision import code_revision, program_folder
from cairn.training.checkpoints import is_finite, metrics_in, readable_before
from cairn.training.environment import Difference, differences, environment
from cairn.training.folders import StepFolder
from cairn.training.record import Record

EVERYTHING = "everything"
_OTHERS = "states of other processes"
_NOT_FINITE = "not finite"


def differences_now(
    record: Record,
    rank: int,
    data_digest: str | None,
    code: Path | None,
    device: str | None,
) -> Iterator[Difference]:
    """What makes a resume of this rank, here and now, one that is not exact.

    `device` is the kind that the models to resume are on.
    """
    now = environment(code_revision(code or program_folder()), data_digest, device)
    own = record.ranks.own.get(rank)
    was = record.environment if own is None or own.environment is None else own.environment
    yield from differences(was, now)
    processes = record.environment.get("processes")
    if processes != record.ranks.size:
        yield Difference(_OTHERS, processes, record.ranks.size)
    for name, value in metrics_in(record).items():
        if not is_finite(value):
            yield Difference(_NOT_FINITE, f"{name} = {value}", None)


def check_allowed(
    root: Path, found: StepFolder, different: tuple[Difference, ...], allow: Collection[str] | str
) -> None:
    """Refuse differences that nobody said may be.

    Raises:
        InexactError: there are some; it says what to do.
    """
    allowed = {allow} if isinstance(allow, str) else set(allow)
    refused = [one for one in different if one.name not in allowed]
    if not refused or EVERYTHING in allowed:
        return
    names = ", ".join(sorted({repr(one.name) for one in refused}))
    advice = f"nothing was changed: go on all the same with allow={{{names}}}"
    if any(one.name == _NOT_FINITE for one in refused):
        advice += _finite_before(root, found)
    raise InexactError(f"{inexact(found, refused)}; {advice}", tuple(map(str, refused)))


def inexact(found: StepFolder, different: Collection[Difference]) -> str:
    """Why a resume is not exact, in words."""
    return f"{found.path.name} is not exact because {'; '.join(map(str, different))}"


def _finite_before(root: Path, found: StepFolder) -> str:
    """The newest older step whose metrics are numbers, as advice."""
    for earlier, metrics in readable_before(root, found):
        if all(map(is_finite, metrics.values())):
            return f", or from before that with step={earlier.step}"
    return ""
