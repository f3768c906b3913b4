"""Appeals against verdicts: owners make them, administrators answer, both are told."""

from datetime import datetime

from cairn.catalog import Appeal
from cairn.domain import Actor, Entry, Verdict
from cairn.errors import ConflictError, RequestError
from cairn.workflows.access import require_admin, require_writer
from cairn.workflows.browse import View, file
from cairn.workflows.decided_text import appeal_of, reason_of
from cairn.workflows.house import House
from cairn.workflows.notifications import NoticeKind, notify_admins, notify_owners
from cairn.workflows.standing import Standing, standings
from cairn.workflows.waiving import security_link

QUEUE_PAGE = "/security/appeals"


def appeal(house: House, actor: Actor, at: View, path: str, text: str) -> Appeal:
    """Say something against the verdict on a file of a revision.

    Raises:
        UnauthenticatedError, ForbiddenError: the caller may not write to the repo.
        EntryNotFoundError: the revision has no such file.
        ConflictError: nothing is found in it, an appeal is open, or there were enough.
        RequestError: there is no text, or it is too long.
    """
    require_writer(actor, at.repo.id.namespace)
    words = appeal_of(text)
    entry = file(house, at.revision, path)
    standing = standings(house, at.repo.uid, [entry]).get(entry.path)
    if standing is None or standing.verdict is Verdict.CLEAN:
        raise ConflictError(f"no scan found anything in {path[:200]} that counts")
    made = house.catalog.appeals.add(at.repo, entry.path, entry.blob, words, actor)
    notice = f"{actor.name} appeals the verdict {standing.verdict.value} on {at.repo.id} {path}"
    notify_admins(house, NoticeKind.APPEAL, notice, link=QUEUE_PAGE)
    return made


def uphold(house: House, actor: Actor, number: int, reason: str) -> Appeal:
    """Answer that the verdict stands.

    Raises:
        UnauthenticatedError, ForbiddenError: the caller does not administer the hub.
        NotFoundError: there is no such appeal. ConflictError: it was answered before.
        RequestError: there is no reason.
    """
    require_admin(actor)
    answered = house.catalog.appeals.uphold(number, reason_of(reason), actor)
    _tell(house, answered)
    return answered


def accept(
    house: House, actor: Actor, number: int, reason: str, expires_at: datetime | None = None
) -> Appeal:
    """Answer by letting pass, in the repo, all that is found in the file now.

    Raises:
        UnauthenticatedError, ForbiddenError: the caller does not administer the hub.
        NotFoundError: there is no such appeal. ConflictError: it was answered before, or nothing
            is found in the file by now.
        RequestError: there is no reason, or the waiver would have ended.
    """
    require_admin(actor)
    words = reason_of(reason)
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= house.clock()):
        raise RequestError("the end of a waiver is a time to come, with its time zone")
    asked = house.catalog.appeals.get(number)
    standing = standing_of(house, asked)
    rules = _rules(standing)
    if not rules:
        raise ConflictError("nothing that counts is found in the file by now; uphold, and say so")
    repo = house.catalog.repos.get_by_uid(asked.repo_uid)
    answered = house.catalog.appeals.waive(number, rules, repo, words, expires_at, actor)
    _tell(house, answered)
    return answered


def standing_of(house: House, asked: Appeal) -> Standing | None:
    """How the file stands that an appeal is about; None if no scan of it is kept."""
    entry = Entry(asked.path, asked.blob, asked.blob.digest.hex[:40], lfs=True)
    return standings(house, asked.repo_uid, [entry]).get(asked.path)


def _rules(standing: Standing | None) -> list[str]:
    if standing is None:
        return []
    counting = [one.rule for one in standing.report.findings if not standing.waiver_of(one)]
    return list(dict.fromkeys(counting))


def _tell(house: House, answered: Appeal) -> None:
    repo = house.catalog.repos.get_by_uid(answered.repo_uid)
    text = f"Your appeal about {answered.path} was {answered.answer}: {answered.reason}"
    link = security_link(repo, answered.path)
    notify_owners(house, repo, NoticeKind.APPEAL, text, link=link)
