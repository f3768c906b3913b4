"""The gate of a repo: people ask for its files, its owners let them in or turn them away."""

from collections.abc import Mapping

from cairn.catalog import AccessRequest, RepoRecord
from cairn.domain import AccessState, Actor, RepoId
from cairn.errors import RequestError
from cairn.workflows.access import administrable, readable, require_person
from cairn.workflows.cards import sync_card
from cairn.workflows.decided_text import optional_text
from cairn.workflows.gate_form import MAX_MESSAGE_CHARACTERS, GateForm, gate_form
from cairn.workflows.house import House
from cairn.workflows.notifications import NoticeKind, notify, notify_owners

MAX_REASON_CHARACTERS = 1000
REQUESTS = "access-requests"
"""The page of a repo on which its owners decide."""


def ask(
    house: House, actor: Actor, repo_id: RepoId, answers: Mapping[str, str], message: str = ""
) -> AccessRequest:
    """Ask for the files of a gated repo; the answers are by the labels of the card's fields.

    An `auto` gate lets in at once, at a `manual` one the owners decide. They are told that
    somebody asks, not each time who: many requests must not push other news out of their list.

    Raises:
        RepoNotFoundError: as for `access.readable`.
        UnauthenticatedError, ForbiddenError: nobody, or a token for some repos only, asks.
        RequestError: there is no gate, they are within, or something is not answered.
        ConflictError: they have asked before.
    """
    record = readable(house, actor, repo_id)
    require_person(actor)
    _require_gate(record)
    if actor.may_read_private(record.id):
        raise RequestError(f"you may read the files of {record.id} without asking")
    words = optional_text(message, MAX_MESSAGE_CHARACTERS, "a message")
    given = form_of(house, record).answered(answers)
    at_once = record.gated == "auto"
    asked = house.catalog.access_requests.ask(record, actor, words, given, at_once=at_once)
    _tell_owners(house, record, asked)
    return asked


def form_of(house: House, record: RepoRecord) -> GateForm:
    """What the card at the head of the default branch asks; read now if it was not yet."""
    if record.head is not None and record.card_commit != record.head:
        sync_card(house, record)
        record = house.catalog.repos.get_by_uid(record.uid)
    return gate_form(record.card)


def standing(house: House, actor: Actor, record: RepoRecord) -> AccessRequest | None:
    """What became of the caller's request; None if there is none, or it is not theirs to know."""
    if actor.account is None or not actor.reaches(record.id):
        return None
    return house.catalog.access_requests.find(record.uid, actor.name)


def decidable(house: House, actor: Actor, repo_id: RepoId) -> RepoRecord:
    """The repo, if it is gated and `actor` may say who is let in.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError: as for `access.administrable`.
        RequestError: it has no gate.
    """
    record = administrable(house, actor, repo_id)
    _require_gate(record)
    return record


def decide(
    house: House,
    actor: Actor,
    repo_id: RepoId,
    person: str,
    state: AccessState,
    reason: str = "",
) -> AccessRequest:
    """Accept or reject a request, or take back what was decided, so that it waits again.

    It holds for whatever is asked from now on, signed URLs given out before included.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError, RequestError: see `decidable`.
        NotFoundError: the person has not asked. ConflictError: it is so already.
    """
    record = decidable(house, actor, repo_id)
    words = optional_text(reason, MAX_REASON_CHARACTERS, "a reason")
    done = house.catalog.access_requests.decide(record, person, state, words, actor)
    _tell_person(house, record, done)
    return done


def grant(house: House, actor: Actor, repo_id: RepoId, person: str) -> AccessRequest:
    """Let a person in who need not have asked.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError, RequestError: see `decidable`.
        NotFoundError: there is no such person. ConflictError: they have been let in before.
    """
    record = decidable(house, actor, repo_id)
    done = house.catalog.access_requests.grant(record, person, actor)
    _tell_person(house, record, done)
    return done


def _require_gate(record: RepoRecord) -> None:
    if not record.gated:
        raise RequestError(f"{record.id} is not gated: nobody has to ask for access")


def _tell_owners(house: House, record: RepoRecord, asked: AccessRequest) -> None:
    page = f"/{record.id.url_path}/{REQUESTS}"
    if asked.state is AccessState.PENDING:
        text = f"Requests for access to {record.id.full_name} wait for an answer"
    else:
        page += "?state=accepted"
        text = f"People asked for access to {record.id.full_name} and were let in"
    notify_owners(house, record, NoticeKind.ACCESS, text, link=page)


def _tell_person(house: House, record: RepoRecord, done: AccessRequest) -> None:
    name = record.id.full_name
    text = {
        AccessState.ACCEPTED: f"You have access to {name}",
        AccessState.REJECTED: f"Your request for access to {name} was rejected",
        AccessState.PENDING: f"Your access to {name} was taken back; your request waits again",
    }[done.state]
    said = f"{text}: {done.reason}" if done.reason else text
    link = f"/{record.id.url_path}"
    notify(house, [done.person.name], NoticeKind.ACCESS, said, link=link, repo=record)
