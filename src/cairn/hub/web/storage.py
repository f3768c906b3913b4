"""Where a repo's bytes go: what its files weigh, what they occupy, and how that grew."""

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import Digest, Revision
from cairn.hub.routing import repo_routes
from cairn.hub.web import svg
from cairn.hub.web.repo_view import RepoView, load_repo
from cairn.hub.web.verdict_view import repo_badge
from cairn.hub.web.visit import Visit, endpoint
from cairn.hub.web.wording import bytes_text
from cairn.workflows import browse
from cairn.workflows.house import House
from cairn.workflows.pausing import paused_since
from cairn.workflows.rejudging import rescan_progress
from cairn.workflows.rounds import reading

MAX_REVISIONS = 30
MAX_FILES = 200


@dataclass(frozen=True, slots=True)
class Amount:
    """Plain bytes and the bytes they occupy."""

    logical_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class FileAmount:
    """One file's bytes; parts shared with other files count in each.

    `waits`: the hub has not looked yet how to keep it in less. `lost`: it cannot be read whole.
    `fast`: it is kept to be read fast.
    """

    path: str
    logical_bytes: int
    stored_bytes: int
    waits: bool = False
    lost: bool = False
    fast: bool = False


@dataclass(frozen=True, slots=True)
class Growth:
    """One revision: its own bytes, what it added, and the totals up to it."""

    revision: Revision
    own_bytes: int
    added_bytes: int
    logical_bytes: int
    stored_bytes: int


def _storage(visit: Visit) -> Response:
    repo = load_repo(visit)
    key = [svg.Part("logical", 0, "", "logical"), svg.Part("stored", 0, "", "stored")]
    context: dict[str, Any] = {
        "repo": repo,
        "tab": "storage",
        "safety": repo_badge(visit, repo),
        "section": repo.record.id.type.plural,
        "key": key,
    }
    if repo.revision is None:
        return visit.render("storage.html", now=visit.now, **context)
    steps = growth(visit.house, repo)
    history = Amount(steps[-1].logical_bytes, steps[-1].stored_bytes)
    current, files, in_work = _files(visit, repo.revision)
    return visit.render(
        "storage.html",
        now=visit.now,
        **context,
        steps=steps,
        truncated=repo.commits > len(steps),
        history=history,
        history_bar=svg.pair_bar(history.logical_bytes, history.stored_bytes, "Whole history"),
        now_bytes=current,
        revision_bar=svg.pair_bar(current.logical_bytes, current.stored_bytes, "This revision"),
        growth=_chart(steps),
        files=files[:MAX_FILES],
        files_total=len(files),
        waiting=[file for file in files if file.waits],
        in_work=in_work,
        paused=paused_since(visit.house),
        optimizes=visit.request.app.state.settings.optimize,
        lost=[file for file in files if file.lost],
        reading=reading(visit.house),
        rescan=rescan_progress(visit.house),
        verify_every_s=visit.request.app.state.settings.verify_every_s,
    )


def growth(house: House, repo: RepoView) -> list[Growth]:
    """The latest revisions up to this one, oldest first, each adding its new blobs."""
    assert repo.revision is not None
    at = browse.View(repo.record, repo.revision)
    held: dict[Digest, int] = {}
    steps: list[Growth] = []
    stored = 0
    for revision in reversed(browse.log(house, at, limit=MAX_REVISIONS, offset=0)):
        manifest = house.catalog.history.manifest(revision.tree)
        known = len(held)
        # A file that stays the same from one revision to the next counts once, as it would on
        # any hub; what is saved beyond that is saved inside files.
        held |= {e.blob.digest: e.blob.size_bytes for e in manifest.entries.values()}
        total = house.store.stored_bytes(held) if len(held) > known else stored
        logical = sum(held.values())
        steps.append(Growth(revision, manifest.size_bytes, total - stored, logical, total))
        stored = total
    return steps


def _files(
    visit: Visit, revision: Revision
) -> tuple[Amount, list[FileAmount], tuple[str, int] | None]:
    """The revision's bytes, its files, and path and percent of the one being rewritten now."""
    house = visit.house
    work = visit.request.app.state.journal.read()[0].in_work
    manifest = house.catalog.history.manifest(revision.tree)
    entries = sorted(manifest.entries.values(), key=lambda e: (-e.blob.size_bytes, e.path))
    digests = {entry.blob.digest for entry in entries}
    fast = house.store.kept_fast()
    amount = Amount(manifest.size_bytes, house.store.stored_bytes(digests))
    files = [
        FileAmount(
            entry.path,
            entry.blob.size_bytes,
            house.store.stored_bytes([entry.blob.digest]) if index < MAX_FILES else 0,
            waits=index < MAX_FILES and house.store.waits(entry.blob.digest),
            lost=index < MAX_FILES and not house.store.has(entry.blob.digest),
            fast=entry.blob.digest in fast,
        )
        for index, entry in enumerate(entries)
    ]
    paths = [entry.path for entry in entries if work and entry.blob == work.blob]
    return amount, files, (paths[0], work.percent) if paths else None


def _chart(steps: list[Growth]) -> object:
    columns = [
        svg.Step(step.revision.title[:60], step.logical_bytes, step.stored_bytes) for step in steps
    ]
    last = steps[-1]
    text = (
        f"After {len(steps)} revisions: {bytes_text(last.logical_bytes)} of different files,"
        f" {bytes_text(last.stored_bytes)} on disk. The table below has every step."
    )
    return svg.growth_chart(columns, "Bytes by revision", text)


routes: list[BaseRoute] = [*repo_routes("/storage/{rev}", endpoint(_storage), "GET", "HEAD")]
