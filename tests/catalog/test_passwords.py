"""Passwords: which are taken, how they are kept, and what a check tells and costs."""

import hashlib
import statistics
import threading
import time
from dataclasses import replace

import pytest
from argon2 import PasswordHasher, extract_parameters
from sqlalchemy import select

from cairn.catalog import Catalog, SignInRules, schema
from cairn.catalog.password_hashes import MAX_AT_ONCE, PARAMETERS, PasswordHashes
from cairn.catalog.password_rules import check_password
from cairn.catalog.passwords import Passwords
from cairn.errors import NotFoundError, RequestError, UnauthenticatedError

GOOD = "a sentence nobody knows"
LONG = hashlib.sha512(b"long").hexdigest() * 2
CHEAP = replace(PARAMETERS, memory_cost=64, time_cost=1, parallelism=1)


@pytest.fixture
def passwords(catalog: Catalog, clock) -> Passwords:
    catalog.accounts.create_user("Ada", full_name="Ada Lovelace", email="countess@example.org")
    return Passwords(catalog.database, clock, SignInRules(), PasswordHashes(CHEAP))


def _kept(catalog: Catalog) -> str:
    with catalog.database.read() as connection:
        return connection.execute(select(schema.passwords.c.hash)).scalar_one()


def test_a_name_in_any_case_and_its_password_are_somebody(passwords: Passwords) -> None:
    assert not passwords.exists("ada")
    passwords.set("ada", GOOD)
    assert passwords.exists("ADA")
    assert passwords.check("aDA", GOOD).name == "Ada"


def test_whether_name_or_password_is_wrong_is_not_told(passwords: Passwords, catalog) -> None:
    catalog.accounts.create_user("bob")
    catalog.accounts.create_organisation("lab")
    passwords.set("ada", GOOD)
    told = set()
    for name, password in (
        *(("ada", wrong) for wrong in ("", GOOD.upper(), GOOD + " ", "x" * 5000, "\ud800", "\0")),
        *((name, GOOD) for name in ("bob", "lab", "nobody", "", "x\0", "\ud800", "a" * 5000)),
    ):
        with pytest.raises(UnauthenticatedError) as refused:
            passwords.check(name, password)
        told.add(str(refused.value))
    assert len(told) == 1


def test_an_unknown_name_costs_as_much_as_a_wrong_password(catalog: Catalog, clock) -> None:
    catalog.accounts.create_user("ada")
    costly = replace(PARAMETERS, memory_cost=16 << 10, time_cost=2, parallelism=1)
    passwords = Passwords(catalog.database, clock, SignInRules(), PasswordHashes(costly))
    passwords.set("ada", GOOD)

    def seconds(name: str) -> float:
        began = time.thread_time()
        with pytest.raises(UnauthenticatedError):
            passwords.check(name, "not the password")
        return time.thread_time() - began

    pairs = [(seconds("ada"), seconds("nobody")) for _ in range(9)]
    known, unknown = (statistics.median(side) for side in zip(*pairs, strict=True))
    assert known == pytest.approx(unknown, rel=0.25)


def test_passwords_are_kept_as_argon2id_hashes_with_the_parameters_of_rfc_9106() -> None:
    made = PasswordHashes().make(GOOD)
    kept = extract_parameters(made)
    assert made.startswith("$argon2id$v=19$")
    assert (kept.memory_cost, kept.time_cost, kept.parallelism) == (64 << 10, 3, 4)
    assert (kept.salt_len, kept.hash_len) == (16, 32)
    assert PasswordHashes().make(GOOD) != made


def test_a_hash_of_other_parameters_is_replaced_when_its_password_is_known(
    passwords: Passwords, catalog: Catalog, clock
) -> None:
    passwords.set("ada", GOOD)
    before = _kept(catalog)
    passwords.check("ada", GOOD)
    assert _kept(catalog) == before
    stronger = PasswordHashes(replace(CHEAP, time_cost=2))
    later = Passwords(catalog.database, clock, SignInRules(), stronger)
    with pytest.raises(UnauthenticatedError):
        later.check("ada", "wrong")
    assert _kept(catalog) == before
    later.check("ada", GOOD)
    assert extract_parameters(_kept(catalog)).time_cost == 2
    assert passwords.check("ada", GOOD).name == "Ada"


def test_the_same_characters_typed_on_another_keyboard_are_the_same_password(
    passwords: Passwords,
) -> None:
    passwords.set("ada", "schöne Grüße an alle")
    assert passwords.check("ada", "scho\u0308ne Gru\u0308ße an alle").name == "Ada"


@pytest.mark.parametrize(
    "common",
    [
        *("12345678", "password", "Password1", "iloveyou", "qwertyuiop", "aaaaaaaaaaaaaaaa"),
        *("1234abcd", "cairn123", "lovelace1", "adaadaada", "countess1", "11111111111111111111"),
    ],
)
def test_passwords_that_are_tried_first_are_refused(passwords: Passwords, common: str) -> None:
    with pytest.raises(RequestError, match="first that are tried"):
        passwords.set("ada", common)


@pytest.mark.parametrize("good", [GOOD, "y7wq#kz1", "нет, не скажу", "🦔🦔🐈🌋🛶🎻🧷🪵", LONG])
def test_no_kinds_of_characters_are_asked_for(good: str) -> None:
    check_password(good, 8)


def test_passwords_have_a_least_and_a_largest_length() -> None:
    with pytest.raises(RequestError, match="at least 8"):
        check_password("y7wq#kz", 8)
    with pytest.raises(RequestError, match="at least 15"):
        check_password("y7wq#kz1", 15)
    check_password(LONG, 8)
    with pytest.raises(RequestError, match="at most 256"):
        check_password(LONG + "x", 8)


def test_only_users_have_passwords(passwords: Passwords, catalog: Catalog) -> None:
    catalog.accounts.create_organisation("lab")
    with pytest.raises(RequestError):
        passwords.set("lab", GOOD)
    with pytest.raises(NotFoundError):
        passwords.set("nobody", GOOD)


def test_a_password_taken_away_opens_nothing(passwords: Passwords, catalog: Catalog) -> None:
    passwords.set("ada", GOOD)
    passwords.remove("ada")
    passwords.remove("ada")
    with pytest.raises(UnauthenticatedError):
        passwords.check("ada", GOOD)
    actions = [r.action for r in catalog.audit.recent(10)]
    assert actions == ["password.remove", "password.change", "user.create"]
    assert not any(GOOD in r.detail for r in catalog.audit.recent(10))


def test_a_flood_of_sign_ins_hashes_a_few_at_a_time(monkeypatch) -> None:
    hashes = PasswordHashes(CHEAP)
    lock, running, most = threading.Lock(), 0, 0

    def slow(*_: object) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        return True

    monkeypatch.setattr(PasswordHasher, "verify", slow)
    threads = [threading.Thread(target=hashes.matches, args=("x", "y")) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == MAX_AT_ONCE
