"""A model's weights against those of the model it was made from: asked for, and shown when found.

Reports are kept under both trees and name nobody. Whoever asks must be allowed to read both, and
is told of siblings that they may read, as far as reports on those are kept.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cairn.analysis.chance import Chance, chance_of
from cairn.catalog import Asked, RepoQuery, RepoRecord
from cairn.domain import Actor, RepoId, RepoType
from cairn.errors import (
    ForbiddenError,
    NamingError,
    NotFoundError,
    RepoNotFoundError,
    RevisionNotFoundError,
)
from cairn.workflows.access import openable
from cairn.workflows.browse import View, open_view
from cairn.workflows.cards import base_models
from cairn.workflows.house import House
from cairn.workflows.kept_weights import asked, known, report_of
from cairn.workflows.lineage import origins
from cairn.workflows.sibling_reports import MAX_SIBLINGS
from cairn.workflows.weights_description import plain_chance
from cairn.workflows.weights_summary import about_siblings


class State(StrEnum):
    """How far a report is."""

    NO_BASE = "no-base"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another model that names the same base; no numbers: nobody has asked about it yet."""

    repo: RepoId
    score: float | None
    numbers: Mapping[str, float] | None


@dataclass(frozen=True, slots=True)
class Weighed:
    """A report, or why there is none. `reason` is empty unless there is no base, or it failed."""

    state: State
    base: View | None = None
    reason: str = ""
    asked: Asked | None = None
    report: Mapping[str, Any] | None = None
    siblings: tuple[Sibling, ...] = ()


def weigh(house: House, actor: Actor, view: View, base: str = "", base_rev: str = "") -> Weighed:
    """The report on a revision that the caller opened, after asking for it.

    `base` is the full name of another model to hold it against than the one that its card names.

    Raises:
        RepoNotFoundError, GatedError, RevisionNotFoundError: of a base that was named.
    """
    before = _named(house, actor, view, base, base_rev) if base else _declared(house, actor, view)
    if isinstance(before, str):
        return Weighed(State.NO_BASE, reason=before)
    trees = before.revision.tree, view.revision.tree
    if trees[0] == trees[1]:
        return Weighed(State.NO_BASE, before, "The base is this very revision: name another.")
    found = asked(house, trees)
    if found is None:
        reason = "As many reports wait already as may; try again later."
        return Weighed(State.FAILED, before, reason)
    if found.failure is not None:
        return Weighed(State.FAILED, before, found.failure, found)
    if found.content is None:
        return Weighed(State.RUNNING if found.done_bytes else State.WAITING, before, asked=found)
    siblings = tuple(_siblings(house, actor, view, before))
    report = _whole(report_of(found.content), view, before, siblings)
    return Weighed(State.DONE, before, asked=found, report=report, siblings=siblings)


def _named(house: House, actor: Actor, view: View, base: str, base_rev: str) -> View:
    try:
        repo_id = RepoId.parse(RepoType.MODEL, base)
    except NamingError as error:
        raise RepoNotFoundError(f"there is no such model: {error}") from None
    record = view.repo if repo_id == view.repo.id else openable(house, actor, repo_id)
    return open_view(house, actor, repo_id, base_rev or record.default_branch)


def _declared(house: House, actor: Actor, view: View) -> View | str:
    """The first base on the card that is here for the caller; else why there is none, in words."""
    names = base_models(view.repo)
    for record in origins(house, actor, view.repo)[1:]:
        head = _head(house, record)
        if head is not None:
            return head
    if not names:
        return "Its card names no base model."
    return f"Its card names {', '.join(names)[:300]}, which this hub does not have for you."


def _head(house: House, record: RepoRecord) -> View | None:
    try:
        return View(record, house.catalog.history.resolve(record.uid, record.default_branch))
    except RevisionNotFoundError:
        return None


def _siblings(house: House, actor: Actor, view: View, base: View) -> Iterator[Sibling]:
    query = RepoQuery(
        RepoType.MODEL,
        tags=(f"base_model:{base.repo.id.full_name}",),
        limit=MAX_SIBLINGS,
        viewer=actor,
    )
    for record in house.catalog.repos.search(query).repos:
        if record.id in (view.repo.id, base.repo.id):
            continue
        with suppress(ForbiddenError, NotFoundError):
            head = _head(house, openable(house, actor, record.id))
            if head is not None and head.revision.tree != base.revision.tree:
                yield _sibling(record.id, known(house, (base.revision.tree, head.revision.tree)))


def _sibling(repo: RepoId, report: Mapping[str, Any] | None) -> Sibling:
    if report is None:
        return Sibling(repo, None, None)
    return Sibling(repo, report["evidence"]["score"], report["numbers"])


def _whole(
    report: dict[str, Any], view: View, base: View, siblings: tuple[Sibling, ...]
) -> dict[str, Any]:
    """A kept report with the names of both sides, and with the siblings that were measured."""
    measured = [one for one in siblings if one.numbers is not None]
    chance = _among(report["evidence"]["score"], measured)
    return report | {
        "base": f"{base.repo.id.full_name}@{base.revision.id}",
        "model": f"{view.repo.id.full_name}@{view.revision.id}",
        "summary": [
            *report["summary"],
            *(about_siblings(chance, len(measured)) if measured else ()),
        ],
        "evidence": report["evidence"] | {"among_siblings": plain_chance(chance)},
        "siblings": [
            {"name": one.repo.full_name, "numbers": one.numbers, "score": one.score}
            for one in measured
        ],
    }


def _among(score: float | None, measured: list[Sibling]) -> Chance | None:
    scores = [one.score for one in measured if one.score is not None]
    return None if score is None or not scores else chance_of(score, scores)
