"""One file of a revision: what it is, and what is inside when that can be shown."""

from typing import Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from cairn.domain import Directory, Entry, ScanPolicy, Verdict
from cairn.errors import EntryNotFoundError, RequestError, UntrustedDataError
from cairn.hub.checkpoints import read_file
from cairn.hub.identity import desk_of, releasing_of
from cairn.hub.routing import repo_routes
from cairn.hub.views import ViewMemory, stored_view
from cairn.hub.web.anatomy import anatomy_of
from cairn.hub.web.card import readme_html
from cairn.hub.web.code import coloured, language_of
from cairn.hub.web.files import crumbs
from cairn.hub.web.markdown import MAX_README_BYTES, Place
from cairn.hub.web.repo_view import RepoView, load_repo
from cairn.hub.web.security import rows_of
from cairn.hub.web.verdict_view import badge_of, consequence_of, security_page
from cairn.hub.web.visit import Visit, endpoint
from cairn.hub.web.wording import path_url
from cairn.workflows import browse
from cairn.workflows.security_report import files_of
from cairn.workflows.stored_file import looks_like_checkpoint
from cairn.workflows.views import SUFFIX, SafetensorsView

MAX_PREVIEW_BYTES = 128 << 10
MAX_IMAGE_BYTES = 20_000_000
_ARCHITECTURE_ELSEWHERE = "not said in this file; the tab Tensors reads the config beside it"
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


def _blob(visit: Visit) -> Response:
    repo = load_repo(visit)
    if repo.revision is None:
        raise EntryNotFoundError("this repository has no files yet")
    path = visit.param("path").strip("/")
    entry = browse.node(visit.house, repo.revision, path)
    tail = f"{repo.here}/{path_url(path)}"
    if isinstance(entry, Directory):
        return RedirectResponse(f"{repo.root}/tree/{tail}", 302)
    at = browse.View(repo.record, repo.revision)
    context: dict[str, Any] = {
        "repo": repo,
        "tab": "files",
        "section": repo.record.id.type.plural,
        "now": visit.now,
        "entry": entry,
        "crumbs": crumbs(repo, path),
        "download": f"{repo.root}/resolve/{tail}",
        "stored": visit.house.store.stored_bytes([entry.blob.digest]),
        "change": browse.last_changes(visit.house, at, [path]).get(path),
        **_nothing_shown(),
    }
    safety = _safety(visit, repo, entry)
    context.update(safety)
    context.update(_inside(visit, repo, entry) if safety["shown"] else {"why_not": ""})
    return visit.render("blob.html", **context)


def _safety(visit: Visit, repo: RepoView, entry: Entry) -> dict[str, Any]:
    """What scans say of the file, and whether the page may show what is in it.

    What is held back or waits for its scan is not shown either: a page gives out bytes, too.
    """
    policy = releasing_of(visit.request).policy_of(repo.record.uid)
    (found,) = files_of(visit.house, repo.record.uid, policy, [entry], desk_of(visit.request))
    holds = policy is ScanPolicy.HOLD
    blocked = holds and found.verdict is Verdict.MALICIOUS
    waits = holds and found.verdict is None and not visit.actor.may_write(repo.record.id.namespace)
    return {
        "safety": None,
        "badge": badge_of(found.verdict, found.state),
        "scan": security_page(repo, entry.path),
        "consequence": consequence_of(found.verdict, policy),
        "findings": rows_of(found.standing, 3) if found.verdict is not Verdict.CLEAN else [],
        "may_write": visit.actor.may_write(repo.record.id.namespace),
        "blocked": blocked,
        "waits": waits,
        "shown": not blocked and not waits,
    }


def _nothing_shown() -> dict[str, Any]:
    return {
        "anatomy": None,
        "as_safetensors": None,
        "image": None,
        "rendered": None,
        "lines": None,
        "cut": 0,
    }


def _inside(visit: Visit, repo: RepoView, entry: Entry) -> dict[str, Any]:
    """What the page shows of the content: tensors, a picture, a rendered or a plain text."""
    name = entry.path.lower()
    if looks_like_checkpoint(entry):
        checkpoint = read_file(visit.memory, visit.house, entry)
        if checkpoint.layouts:
            entries = {entry.path: entry}
            return {
                "anatomy": anatomy_of(visit, checkpoint, entries, _ARCHITECTURE_ELSEWHERE),
                "as_safetensors": _view(visit, entry),
            }
        reason = next(iter(checkpoint.unread.values()), "")
        if reason:
            return {"why_not": f"This looks like a checkpoint and could not be read: {reason}."}
    if name.endswith(_IMAGES) and entry.blob.size_bytes <= MAX_IMAGE_BYTES:
        return {"image": f"{repo.root}/resolve/{repo.here}/{path_url(entry.path)}"}
    if name.endswith((".md", ".markdown")) and entry.blob.size_bytes <= MAX_README_BYTES:
        folder = entry.path.rpartition("/")[0]
        place = Place(repo.root, repo.revision_name, folder)
        return {"rendered": readme_html(visit, entry, place)}
    return _text(visit, entry)


def _view(visit: Visit, entry: Entry) -> SafetensorsView | None:
    """The file's weights as safetensors, if it is another format and they can be."""
    if entry.path.endswith(SUFFIX):
        return None
    views: ViewMemory = visit.request.app.state.views
    try:
        return stored_view(views, visit.memory, visit.house, (entry,))
    except (RequestError, UntrustedDataError):
        return None


def _text(visit: Visit, entry: Entry) -> dict[str, Any]:
    with visit.house.store.open(entry.blob.digest) as source:
        head = source.read_at(0, MAX_PREVIEW_BYTES)
    cut = len(head) < entry.blob.size_bytes
    text = _decoded(head, cut=cut)
    if text is None:
        return {"why_not": "This is not text, so it is not shown."}
    if not text:
        return {"why_not": "This file is empty."}
    count = text.count("\n") + (not text.endswith("\n"))
    return {
        "lines": coloured(text, language_of(entry.path)),
        "numbers": "\n".join(str(number) for number in range(1, count + 1)),
        "cut": len(head) if cut else 0,
    }


def _decoded(head: bytes, *, cut: bool) -> str | None:
    """The text of a file's first bytes, or None if they are not UTF-8 text."""
    if b"\x00" in head:
        return None
    for dropped in range(4 if cut else 1):  # the cut may have split a character
        try:
            return head[: len(head) - dropped].decode()
        except UnicodeDecodeError:
            continue
    return None


routes: list[BaseRoute] = [
    *repo_routes("/blob/{rev}/{path:path}", endpoint(_blob), "GET", "HEAD"),
]
