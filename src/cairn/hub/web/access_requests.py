"""Who asked to read a gated repo, for its owners: accept, reject, take back, let in."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from cairn.domain import AccessState
from cairn.errors import EntryNotFoundError, RequestError
from cairn.hub import threads
from cairn.hub.routing import repo_routes
from cairn.hub.web.posting import Posting, posted
from cairn.hub.web.repo_view import load_repo
from cairn.hub.web.visit import Visit, endpoint
from cairn.hub.web.wording import plural
from cairn.workflows import gate

PAGE_SIZE = 50
TABS = {
    AccessState.PENDING: "Waiting",
    AccessState.ACCEPTED: "Accepted",
    AccessState.REJECTED: "Rejected",
}


def _page(visit: Visit) -> Response:
    repo = load_repo(visit)
    record = gate.decidable(visit.house, visit.actor, repo.record.id)
    state = _state(visit.text("state") or AccessState.PENDING.value)
    kept, number = visit.house.catalog.access_requests, visit.page_number()
    start = (number - 1) * PAGE_SIZE
    shown, counts = kept.listed(record.uid, state, PAGE_SIZE, start), kept.counts(record.uid)
    if number > 1 and not shown:
        raise EntryNotFoundError(f"there is no page {number} of these requests")
    more = start + PAGE_SIZE < counts[state]
    return visit.render(
        "access_requests.html",
        repo=repo,
        tab="access",
        section=record.id.type.plural,
        now=visit.now,
        page=f"{repo.root}/{gate.REQUESTS}",
        state=state.value,
        tabs=[(one.value, label, counts[one]) for one, label in TABS.items()],
        shown=shown,
        previous=visit.with_query(page=number - 1) if number > 1 else None,
        next=visit.with_query(page=number + 1) if more else None,
        note=f"{plural(counts[state], 'request')}, {start + 1:,} to {start + len(shown):,}",
    )


def _state(text: str) -> AccessState:
    known = {state.value: state for state in AccessState}
    if text not in known:
        raise RequestError(f"state is {text[:40]!r}; use {', '.join(known)}")
    return known[text]


async def _decide(request: Request) -> Response:
    posting = await posted(request)
    visit, state = posting.visit, _state(posting.field("state"))
    person, reason = posting.field("user"), posting.field("reason")
    reason = reason if state is AccessState.REJECTED else ""
    await threads.call(
        gate.decide, visit.house, visit.actor, posting.repo_id, person, state, reason
    )
    return _back(posting, posting.field("from"))


async def _grant(request: Request) -> Response:
    posting = await posted(request)
    visit, person = posting.visit, posting.field("user")
    await threads.call(gate.grant, visit.house, visit.actor, posting.repo_id, person)
    return _back(posting, AccessState.ACCEPTED.value)


def _back(posting: Posting, state: str) -> Response:
    """To the list that the form was in; to what waits if it names none."""
    known = any(state == one.value for one in AccessState)
    query = f"?state={state}" if known and state != AccessState.PENDING.value else ""
    return posting.visit.redirect(f"/{posting.repo_id.url_path}/{gate.REQUESTS}{query}")


routes: list[BaseRoute] = [
    *repo_routes(f"/{gate.REQUESTS}", endpoint(_page), "GET", "HEAD"),
    *repo_routes(f"/{gate.REQUESTS}/decide", _decide, "POST"),
    *repo_routes(f"/{gate.REQUESTS}/grant", _grant, "POST"),
]
