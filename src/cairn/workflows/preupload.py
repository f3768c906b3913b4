"""Decides before an upload how each file will be kept, and what the repo has of it already."""

from collections.abc import Sequence
from dataclasses import dataclass

from cairn.domain import Actor, Entry, RepoId, Revision
from cairn.errors import NotFoundError, RevisionNotFoundError, UntrustedDataError
from cairn.workflows import browse
from cairn.workflows.access import writable
from cairn.workflows.attributes import DEFAULT_GITATTRIBUTES, LargeFileRules, looks_binary
from cairn.workflows.commit import branch_ref
from cairn.workflows.house import House
from cairn.workflows.patterns import Budget, IgnoreRules
from cairn.workflows.quotas import Announced, check_announced

MAX_RULES_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Offer:
    """A file somebody wants to add: where, how large, and its first bytes."""

    path: str
    size_bytes: int
    sample: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """How to send it. `current_oid` names what is at the path now, as the client hashes it."""

    path: str
    lfs: bool
    ignored: bool
    current_oid: str | None


def plan(
    house: House,
    actor: Actor,
    repo_id: RepoId,
    revision: str,
    offers: Sequence[Offer],
    gitignore: str | None,
    *,
    max_regular_bytes: int,
) -> list[Plan]:
    """One plan per offer, in order. `gitignore` None means the repo's own.

    Raises:
        RepoNotFoundError, UnauthenticatedError, ForbiddenError: see `access.writable`.
        RevisionNotFoundError: there is no such branch.
        LimitError: the ignore rules take too long for these paths.
        QuotaError: the namespace has no room for the files.
    """
    record = writable(house, actor, repo_id)
    branch_ref(house, record, revision)
    try:
        at = browse.view(house, actor, repo_id, revision).revision
    except RevisionNotFoundError:
        at = None  # the default branch of a repo that has no commit yet
    budget = Budget()
    ignore_text = _text(house, at, ".gitignore") if gitignore is None else gitignore
    ignore = IgnoreRules(ignore_text or "", budget)
    attributes = _text(house, at, ".gitattributes")
    large = LargeFileRules(DEFAULT_GITATTRIBUTES if attributes is None else attributes, budget)
    plans = [
        Plan(
            offer.path,
            _is_large(offer, large, max_regular_bytes),
            ignore.ignores(offer.path),
            _current_oid(house, at, offer.path),
        )
        for offer in offers
    ]
    sizes = [o.size_bytes for o, one in zip(offers, plans, strict=True) if not one.ignored]
    check_announced(house, record.id.namespace, [Announced(size) for size in sizes])
    return plans


def _is_large(offer: Offer, rules: LargeFileRules, max_regular_bytes: int) -> bool:
    if offer.size_bytes == 0:
        return False  # there is nothing to send apart; clients rely on it
    return (
        offer.size_bytes >= max_regular_bytes
        or rules.names(offer.path)
        or looks_binary(offer.sample)
    )


def _current_oid(house: House, at: Revision | None, path: str) -> str | None:
    """Git's id for a regular file, SHA-256 for a large one; None if there is no file."""
    if at is None:
        return None
    try:
        found = browse.node(house, at, path)
    except NotFoundError:
        return None
    if not isinstance(found, Entry):
        return None
    return found.blob.digest.hex if found.lfs else found.oid


def _text(house: House, at: Revision | None, path: str) -> str | None:
    if at is None:
        return None
    try:
        entry = browse.file(house, at, path)
        return house.store.read_bytes(entry.blob.digest, MAX_RULES_BYTES).decode("utf-8", "replace")
    except (NotFoundError, UntrustedDataError):
        return None
