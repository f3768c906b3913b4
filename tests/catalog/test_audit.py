"""Acts that give, take or use authority leave a row: who, when, what, on whom."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from cairn.catalog import Catalog
from cairn.domain import AccessState, Actor, Blob, Digest, Measure, OrgRole, RepoId, RepoType, Scope
from tests.catalog.conftest import Clock

SOURCE = Path(__file__).parents[2] / "src" / "cairn"
REPO = RepoId(RepoType.MODEL, "ann", "m")
OTHER = RepoId(RepoType.DATASET, "ann", "m")
PASSWORD = "correct horse battery staple 9"
ISSUER = "https://login.example"
BLOB = Blob(Digest.sha256("0" * 64), 3)
PEM = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"

Act = Callable[[Catalog, Actor], object]


def _decide(catalog: Catalog, by: Actor, state: AccessState) -> object:
    """Bob is accepted, and asked for another repo."""
    repo = OTHER if state is not AccessState.PENDING else REPO
    return catalog.access_requests.decide(catalog.repos.get(repo), "bob", state, "so it is", by)


# What is done, by its action in the trail; the detail must name each of these words.
ACTS: dict[str, tuple[Act, tuple[str, ...]]] = {
    "user.create": (lambda c, by: c.accounts.create_user("zoe", by=by), ("zoe",)),
    "org.create": (lambda c, by: c.accounts.create_organisation("club", by=by), ("club",)),
    "member.set": (
        lambda c, by: c.accounts.set_member("lab", "eve", OrgRole.WRITE, by=by),
        ("lab/eve", "write"),
    ),
    "member.remove": (lambda c, by: c.accounts.remove_member("lab", "bob", by=by), ("lab/bob",)),
    "password.change": (lambda c, by: c.passwords.set("ann", PASSWORD, by=by), ("ann",)),
    "password.remove": (lambda c, by: c.passwords.remove("bob", by=by), ("bob",)),
    "token.create": (
        lambda c, by: c.tokens.create("ann", "laptop", Scope.READ, by=by),
        ("ann", "laptop", "read"),
    ),
    "token.revoke": (lambda c, by: c.tokens.revoke("bob", "old", by=by), ("bob/old",)),
    "session.revoke": (lambda c, by: c.sessions.revoke_all("bob", by=by), ("bob",)),
    "quota.set": (
        lambda c, by: c.quotas.limit("ann", Measure.LOGICAL, 10, by),
        ("ann", "logical", "10"),
    ),
    "trust.add": (lambda c, by: c.trusted_signers.add("ann", "key", PEM, "", by), ("ann", "key")),
    "trust.remove": (lambda c, by: c.trusted_signers.remove("bob", "key", by), ("bob", "key")),
    "repo.create": (
        lambda c, by: c.repos.create(RepoId(RepoType.MODEL, "ann", "n"), private=True, by=by),
        ("private",),
    ),
    "repo.visibility": (lambda c, by: c.repos.update(REPO, private=True, by=by), ("private",)),
    "repo.gated": (lambda c, by: c.repos.update(REPO, gated="manual", by=by), ("manual",)),
    "repo.views": (lambda c, by: c.repos.update(REPO, safetensors_views=True, by=by), ()),
    "repo.delete": (lambda c, by: c.repos.delete(REPO, by=by), ()),
    "identity.link": (
        lambda c, by: c.identities.link("ann", ISSUER, "1", "Ann", by=by),
        ("ann", ISSUER),
    ),
    "identity.unlink": (
        lambda c, by: c.identities.unlink("bob", ISSUER, "2", by=by),
        ("bob", ISSUER),
    ),
    "appeal.add": (
        lambda c, by: c.appeals.add(c.repos.get(REPO), "a.pkl", BLOB, "it is fine", by),
        ("a.pkl", "it is fine"),
    ),
    "access.ask": (
        lambda c, by: c.access_requests.ask(c.repos.get(REPO), by, "hi", {}, at_once=True),
        ("root", "accepted"),
    ),
    "access.grant": (lambda c, by: c.access_requests.grant(c.repos.get(REPO), "eve", by), ("eve",)),
    "access.accept": (lambda c, by: _decide(c, by, AccessState.ACCEPTED), ("bob", "so it is")),
    "access.reject": (lambda c, by: _decide(c, by, AccessState.REJECTED), ("bob", "so it is")),
    "access.cancel": (lambda c, by: _decide(c, by, AccessState.PENDING), ("bob", "so it is")),
}
# Recorded, and tested where what they need is at hand.
ELSEWHERE = {
    "appeal.answer": "tests/hub/test_decisions.py",
    "attachment.add": "tests/catalog/test_attachments.py",
    "ref.delete": "tests/catalog/test_history.py",
    "repo.import": "tests/catalog/test_arrivals.py",
    "repo.scan_policy": "tests/catalog/test_waivers.py",
    "session.start": "tests/catalog/test_sessions.py",
    "session.end": "tests/catalog/test_sessions.py",
    "session.refuse": "tests/hub/web/test_account.py",
    "store.pause": "tests/hub/test_worker.py",
    "store.resume": "tests/hub/test_worker.py",
}


@pytest.fixture
def peopled(catalog: Catalog) -> Catalog:
    for name in ("root", "ann", "bob", "eve"):
        catalog.accounts.create_user(name, is_admin=name == "root")
    catalog.accounts.create_organisation("lab", owner="ann")
    catalog.accounts.set_member("lab", "bob", OrgRole.READ)
    catalog.passwords.set("bob", PASSWORD)
    catalog.tokens.create("bob", "old", Scope.WRITE)
    catalog.sessions.start("bob", "password")
    catalog.trusted_signers.add("bob", "key", PEM, "", None)
    catalog.repos.create(REPO, private=False)
    catalog.identities.link("bob", ISSUER, "2", "Bob")
    catalog.access_requests.grant(catalog.repos.get(REPO), "bob", None)
    bob = Actor(catalog.accounts.get("bob"))
    other = catalog.repos.create(OTHER, private=False)
    catalog.access_requests.ask(other, bob, "", {}, at_once=False)
    return catalog


@pytest.mark.parametrize("action", ACTS)
def test_an_act_of_authority_is_recorded(peopled: Catalog, clock: Clock, action: str) -> None:
    by = Actor(peopled.accounts.get("root"), Scope.WRITE)
    clock.advance(hours=1)
    act, words = ACTS[action]
    before = len(peopled.audit.recent(1000))
    act(peopled, by)
    row, *others = peopled.audit.recent(1000)
    assert (row.action, row.actor, row.at) == (action, "root", clock.now)
    assert len(others) == before, "one act, one row"
    assert all(word in row.detail for word in words), row.detail
    assert PASSWORD not in row.detail


def test_an_act_that_fails_leaves_no_row(peopled: Catalog) -> None:
    before = peopled.audit.recent(1000)
    by = Actor(peopled.accounts.get("root"), Scope.WRITE)
    for act in (
        lambda: peopled.accounts.create_user("ann", by=by),
        lambda: peopled.accounts.set_member("lab", "nobody", OrgRole.WRITE, by=by),
        lambda: peopled.repos.create(REPO, private=True, by=by),
        lambda: peopled.tokens.create("bob", "old", Scope.WRITE, by=by),
    ):
        with pytest.raises(Exception):  # noqa: B017 - which one is tested elsewhere
            act()
    peopled.accounts.remove_member("lab", "eve", by=by)  # who is no member
    assert peopled.audit.recent(1000) == before


def test_every_action_that_is_recorded_anywhere_is_in_these_tables() -> None:
    found = {action for path in SOURCE.rglob("*.py") for action in _actions(path)}
    assert len(found) > 15
    told = ACTS.keys() | ELSEWHERE.keys()
    assert found <= told
    sources = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    assert not [action for action in told if f'"{action}"' not in sources]
    for action, test in ELSEWHERE.items():
        assert f'"{action}"' in (SOURCE.parents[1] / test).read_text(), (action, test)


def _actions(path: Path) -> set[str]:
    """The names of actions in calls of `audit.note` and `audit.record`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if is_call and ast.unparse(node.func).endswith(("audit.note", "audit.record")):
            texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
            found |= {text for text in texts if isinstance(text, str) and "." in text}
    return found
