"""Tells people what they should know: the owners of a repo, or whoever administers the hub."""

from collections.abc import Iterable
from enum import StrEnum

from cairn.catalog import RepoRecord
from cairn.catalog.notifications import MAX_TEXT_CHARACTERS
from cairn.domain import OrgRole
from cairn.workflows.house import House

_OWNING = (OrgRole.CONTRIBUTOR, OrgRole.WRITE, OrgRole.ADMIN)


class NoticeKind(StrEnum):
    """What a notification is about."""

    VERDICT = "verdict"
    RECALL = "recall"
    APPEAL = "appeal"
    WAIVER = "waiver"
    ACCESS = "access"
    HUB = "hub"


def notify(
    house: House,
    names: Iterable[str],
    kind: NoticeKind,
    text: str,
    *,
    link: str = "",
    repo: RepoRecord | None = None,
) -> int:
    """Tell these people something in plain words; returns how many it is new to.

    `link` is a path of the hub such as `/ann/m/security/main`. Long text is cut. Whoever has the
    same text unread is not told again, so a job that starts over may say it again.
    """
    uid = None if repo is None else repo.uid
    cut = text if len(text) <= MAX_TEXT_CHARACTERS else f"{text[: MAX_TEXT_CHARACTERS - 1]}…"
    return house.catalog.notifications.add(names, kind.value, cut, link, uid)


def notify_owners(
    house: House, repo: RepoRecord, kind: NoticeKind, text: str, *, link: str = ""
) -> int:
    """Tell everybody who may write to a repo; without `link` it leads to the repo's page."""
    where = link or f"/{repo.id.url_path}"
    return notify(house, owners_of(house, repo.id.namespace), kind, text, link=where, repo=repo)


def notify_admins(house: House, kind: NoticeKind, text: str, *, link: str = "") -> int:
    """Tell everybody who administers the hub."""
    everybody = house.catalog.accounts.list_accounts()
    return notify(house, [one.name for one in everybody if one.is_admin], kind, text, link=link)


def owners_of(house: House, namespace: str) -> list[str]:
    """Who may write to the repos of a namespace: its person, or members with such a role.

    Raises:
        NotFoundError: there is no such account.
    """
    if not house.catalog.accounts.get(namespace).is_org:
        return [namespace]
    members = house.catalog.accounts.members(namespace)
    return [account.name for account, role in members if role in _OWNING]
