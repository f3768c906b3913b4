"""Signed statements about revisions, and who is believed to sign."""

import pytest

from cairn.catalog import Catalog, attachments
from cairn.domain import Actor
from cairn.errors import ConflictError, NotFoundError
from tests.catalog.conftest import Clock
from tests.catalog.histories import commit, new_repo, put


def test_an_attachment_is_kept_once_as_it_was_sent(catalog: Catalog, clock: Clock) -> None:
    repo = new_repo(catalog, "ada/one")
    revision = commit(catalog, repo, put("note", b"x"))
    ada = Actor(catalog.accounts.get("ada"))
    content = b'{"a": 1}' * 1000
    assert catalog.attachments.add(repo, revision.id, "signature", content, ada)
    clock.advance(days=1)
    assert not catalog.attachments.add(repo, revision.id, "signature", content, ada)
    (kept,) = catalog.attachments.of(repo.uid, revision.id)
    assert (kept.kind, kept.content, kept.sender) == ("signature", content, "ada")
    assert kept.received_at < clock.now
    row = catalog.audit.recent(1)[0]
    assert (row.action, row.actor, row.repo) == ("attachment.add", "ada", "ada/one")
    assert row.detail == f"{revision.id} signature {kept.digest.hex}"


def test_a_revision_has_no_end_of_room_for_attachments(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "MAX_OF_REVISION", 2)
    repo = new_repo(catalog, "ada/one")
    first, second = (commit(catalog, repo, put("note", text)) for text in (b"x", b"y"))
    ada = Actor(catalog.accounts.get("ada"))
    for text in (b"1", b"2"):
        catalog.attachments.add(repo, first.id, "signature", text, ada)
    with pytest.raises(ConflictError, match="at most 2"):
        catalog.attachments.add(repo, first.id, "signature", b"3", ada)
    assert len(catalog.attachments.of(repo.uid, first.id)) == 2
    assert catalog.attachments.add(repo, second.id, "signature", b"3", ada)


def test_attachments_go_with_their_repo(catalog: Catalog) -> None:
    repo = new_repo(catalog, "ada/one")
    revision = commit(catalog, repo, put("note", b"x"))
    ada = Actor(catalog.accounts.get("ada"))
    catalog.attachments.add(repo, revision.id, "signature", b"1", ada)
    catalog.repos.delete(repo.id)
    assert catalog.attachments.of(repo.uid, revision.id) == []


def test_signers_are_believed_in_their_namespace_or_everywhere(catalog: Catalog) -> None:
    catalog.accounts.create_user("Ada")
    catalog.accounts.create_user("bob")
    signers = catalog.trusted_signers
    signers.add("ada", "key", "PEM", "", None)
    signers.add(None, "company", "ROOT", "x@example.org", None)
    assert [one.name for one in signers.of("ADA")] == ["company", "key"]
    assert [one.name for one in signers.of("bob")] == ["company"]
    with pytest.raises(ConflictError, match="trusted already"):
        signers.add("Ada", "key", "OTHER", "", None)
    with pytest.raises(NotFoundError):
        signers.add("nobody", "key", "PEM", "", None)
    signers.remove("Ada", "key", None)
    with pytest.raises(NotFoundError, match="'key'"):
        signers.remove("ada", "key", None)
    assert [one.name for one in signers.of("ada")] == ["company"]
    told = [(row.action, row.detail.splitlines()[0]) for row in catalog.audit.recent(3)]
    assert told == [
        ("trust.remove", "Ada key"),
        ("trust.add", "* company"),
        ("trust.add", "Ada key"),
    ]
