"""What a hub on another machine finds odd about the weights of one of its models."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from cairn.domain import RepoId
from cairn.errors import MalformedError, RequestError
from cairn.hub.remote import RemoteHub

RETRY_S = 3.0

_KINDS: Mapping[str, type] = {
    "model": str,
    "base": str,
    "summary": list,
    "facts": list,
    "tensors": list,
}
_TENSOR: Mapping[str, type] = {
    "name": str,
    "shape": list,
    "leading_shares": list,
    "rows": list,
    "columns": list,
}


def remote_weights(
    hub: RemoteHub,
    repo: RepoId,
    revision: str,
    *,
    base: tuple[str, str],
    waiting: Callable[[str], object],
    pause: Callable[[float], object] = time.sleep,
) -> dict[str, Any]:
    """The hub's report, as `describe_weights` has it; waits until the hub has made it.

    `base` is a name and a revision, either empty: as the card says, and its default branch.
    `waiting` is told once what the hub is at.

    Raises:
        RequestError: the hub knows no base, or cannot tell; the message says why.
        NotFoundError: there is no such revision for the owner of the token.
        UnavailableError: the hub does not answer. MalformedError: it answers nonsense.
    """
    said = False
    while True:
        told = hub.weights(repo, revision, *base)
        state, report = told.get("state"), told.get("report")
        if state in ("no-base", "failed"):
            raise RequestError(f"{repo.full_name}: {told.get('reason')}")
        if state == "done":
            return _checked(report, repo)
        if state not in ("waiting", "running"):
            raise MalformedError("no report on weights", source=str(repo))
        if not said:
            waiting("the hub reads both sides; this waits until it is done")
            said = True
        pause(RETRY_S)


def _checked(report: object, repo: RepoId) -> dict[str, Any]:
    """A report that can be shown: what is shown has the type that it should have."""
    try:
        if not isinstance(report, dict):
            raise TypeError
        _has(report, _KINDS)
        for one in report["tensors"]:
            _has(one, _TENSOR)
            for outlier in (*one["rows"], *one["columns"]):
                _has(outlier, {"index": int})
                outlier["z"] = float(outlier["z"] or 0.0)
            for key in ("relative_change", "times_usual"):
                one[key] = None if one[key] is None else float(one[key])
            one["leading_shares"] = [float(share) for share in one["leading_shares"]]
        for fact in report["facts"]:
            _has(fact, {"tensor": str, "text": str})
        report["summary"] = [str(sentence) for sentence in report["summary"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise MalformedError("no report on weights", source=str(repo)) from None
    return report


def _has(value: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    for key, kind in kinds.items():
        if not isinstance(value[key], kind):
            raise TypeError(key)
