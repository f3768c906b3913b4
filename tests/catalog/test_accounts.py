"""Names, memberships and tokens."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import select

from cairn.catalog import Catalog, TokenRecord, schema
from cairn.domain import Account, OrgRole, Scope
from cairn.errors import (
    ConflictError,
    NamingError,
    NotFoundError,
    RequestError,
    UnauthenticatedError,
)


def test_accounts_are_found_in_any_case_under_the_spelling_they_chose(catalog: Catalog) -> None:
    assert catalog.accounts.is_empty()
    made = catalog.accounts.create_user("Ada", full_name="Ada L.", email="a@b.c", is_admin=True)
    assert made == Account("Ada", "Ada L.", is_org=False, is_admin=True, email="a@b.c")
    assert catalog.accounts.get("aDA") == made
    assert not catalog.accounts.is_empty()
    catalog.accounts.create_organisation("acme")
    assert [account.name for account in catalog.accounts.list_accounts()] == ["acme", "Ada"]


def test_users_and_organisations_share_one_namespace(catalog: Catalog) -> None:
    catalog.accounts.create_user("ada")
    with pytest.raises(ConflictError):
        catalog.accounts.create_organisation("ADA")
    catalog.accounts.create_organisation("acme")
    with pytest.raises(ConflictError):
        catalog.accounts.create_user("Acme")


@pytest.mark.parametrize("name", ["api", "Datasets", "spaces", "login", "CAS", "static"])
def test_names_of_the_hubs_own_pages_are_reserved(catalog: Catalog, name: str) -> None:
    with pytest.raises(ConflictError):
        catalog.accounts.create_user(name)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a--b", "a/b", "ü", "a" * 97, "x\0"])
def test_names_that_break_the_rules_are_refused(catalog: Catalog, name: str) -> None:
    with pytest.raises(NamingError):
        catalog.accounts.create_user(name)
    with pytest.raises(NotFoundError):
        catalog.accounts.get(name)


def test_text_a_database_cannot_hold_is_refused(catalog: Catalog) -> None:
    for text in ("a\0", "\ud800"):
        with pytest.raises(RequestError):
            catalog.accounts.create_user("ada", full_name=text)
        with pytest.raises(RequestError):
            catalog.accounts.create_user("ada", email=text)


def test_members_join_change_role_and_leave(catalog: Catalog) -> None:
    ada, bob = catalog.accounts.create_user("ada"), catalog.accounts.create_user("bob")
    catalog.accounts.create_organisation("Acme", owner="ADA")
    catalog.accounts.set_member("acme", "Bob", OrgRole.READ)
    catalog.accounts.set_member("acme", "bob", OrgRole.WRITE)
    assert catalog.accounts.members("ACME") == [(ada, OrgRole.ADMIN), (bob, OrgRole.WRITE)]
    assert catalog.accounts.organisations_of("BOB") == {"Acme": OrgRole.WRITE}
    catalog.accounts.remove_member("acme", "bob")
    assert catalog.accounts.organisations_of("bob") == {}
    assert catalog.accounts.organisations_of("nobody") == {}


def test_only_users_become_members_of_organisations_only(catalog: Catalog) -> None:
    catalog.accounts.create_user("ada")
    catalog.accounts.create_organisation("acme")
    for org, user in (("ada", "ada"), ("acme", "acme"), ("acme", "none"), ("none", "ada")):
        with pytest.raises(NotFoundError):
            catalog.accounts.set_member(org, user, OrgRole.READ)
    with pytest.raises(NotFoundError):
        catalog.accounts.create_organisation("other", owner="none")
    with pytest.raises(NotFoundError):
        catalog.accounts.get("other")
    with pytest.raises(NotFoundError):
        catalog.accounts.members("none")


def test_a_token_makes_its_user_the_actor(catalog: Catalog) -> None:
    ada = catalog.accounts.create_user("ada")
    catalog.accounts.create_organisation("Acme", owner="ada")
    secret = catalog.tokens.create("ADA", "laptop", Scope.WRITE)
    assert secret.startswith("cairn_")
    assert len(secret) > 40
    actor = catalog.tokens.actor(secret)
    assert (actor.account, actor.scope, actor.token_name) == (ada, Scope.WRITE, "laptop")
    assert actor.organisations == {"Acme": OrgRole.ADMIN}


def test_only_the_hash_of_a_token_is_kept(catalog: Catalog) -> None:
    catalog.accounts.create_user("ada")
    secret = catalog.tokens.create("ada", "laptop", Scope.READ)
    with catalog.database.read() as connection:
        row = connection.execute(select(schema.tokens)).one()
    assert row.hash == hashlib.sha256(secret.encode()).digest()
    assert not any(secret in str(value) for value in row)


@pytest.mark.parametrize("secret", ["", "cairn_x", "\ud800", "x\0", "hf_" + "a" * 40])
def test_an_unknown_token_is_refused(catalog: Catalog, secret: str) -> None:
    with pytest.raises(UnauthenticatedError):
        catalog.tokens.actor(secret)


def test_revoked_and_expired_tokens_are_refused(catalog: Catalog, clock) -> None:
    catalog.accounts.create_user("ada")
    revoked = catalog.tokens.create("ada", "old", Scope.READ)
    short = catalog.tokens.create("ada", "short", Scope.READ, clock() + timedelta(hours=1))
    assert catalog.tokens.actor(short).token_name == "short"
    catalog.tokens.revoke("Ada", "old")
    clock.advance(hours=1)
    for secret in (revoked, short):
        with pytest.raises(UnauthenticatedError):
            catalog.tokens.actor(secret)
    with pytest.raises(NotFoundError):
        catalog.tokens.revoke("ada", "old")
    catalog.tokens.create("ada", "old", Scope.READ)  # the name is free again
    assert [token.name for token in catalog.tokens.list("ada")] == ["short", "old"]


def test_token_names_are_unique_per_user(catalog: Catalog) -> None:
    for user in ("ada", "bob"):
        catalog.accounts.create_user(user)
        catalog.tokens.create(user, "laptop", Scope.READ)
    with pytest.raises(ConflictError):
        catalog.tokens.create("ada", "laptop", Scope.WRITE)


def test_tokens_belong_to_users_and_have_printable_names(catalog: Catalog) -> None:
    catalog.accounts.create_organisation("acme")
    with pytest.raises(RequestError):
        catalog.tokens.create("acme", "t", Scope.READ)
    with pytest.raises(NotFoundError):
        catalog.tokens.create("none", "t", Scope.READ)
    catalog.accounts.create_user("ada")
    for name in ("", "a\n", "a\0", "x" * 101, "\ud800"):
        with pytest.raises(RequestError):
            catalog.tokens.create("ada", name, Scope.READ)


def test_last_use_is_noted_in_steps_of_ten_minutes(catalog: Catalog, clock) -> None:
    catalog.accounts.create_user("ada")
    secret = catalog.tokens.create("ada", "laptop", Scope.READ)
    start = clock()
    assert catalog.tokens.list("ada") == [TokenRecord("laptop", Scope.READ, start, None, None)]
    for minutes, noted in ((0, 0), (9, 0), (10, 10), (15, 10), (25, 25)):
        clock.now = start + timedelta(minutes=minutes)
        catalog.tokens.actor(secret)
        (token,) = catalog.tokens.list("ada")
        assert token.last_used_at == start + timedelta(minutes=noted)


def test_token_creation_and_revocation_are_audited(catalog: Catalog) -> None:
    catalog.accounts.create_user("ada")
    actor = catalog.tokens.actor(catalog.tokens.create("ada", "one", Scope.WRITE))
    catalog.tokens.create("ada", "two", Scope.READ, by=actor)
    catalog.tokens.revoke("ada", "two", by=actor)
    found = [(row.actor, row.action, row.detail) for row in catalog.audit.recent()]
    assert found == [
        ("ada", "token.revoke", "ada/two"),
        ("ada", "token.create", "ada/two (read)"),
        ("system", "token.create", "ada/one (write)"),
        ("system", "user.create", "ada"),
    ]
