"""`cairn user`, `cairn org`, `cairn token` as a person types them."""

import json
from pathlib import Path

import pytest

from cairn.bootstrap import open_house
from cairn.config import load_settings
from cairn.errors import UnauthenticatedError
from tests.cli.command import cairn, typed_into_cairn


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of a hub without users."""
    folder = tmp_path / "data"
    open_house(load_settings(data_dir=folder)).catalog.close()
    return folder


@pytest.mark.parametrize(
    "command",
    [("user", "add", "ann"), ("user", "list"), ("token", "create", "ann"), ("store", "verify")],
)
def test_only_serve_makes_a_hub(command: tuple[str, ...], tmp_path: Path) -> None:
    refused = cairn(*command, data=tmp_path / "typo", expect=3)
    assert "typo" in refused.stderr
    assert "cairn serve" in refused.stderr
    assert not (tmp_path / "typo").exists()


def test_the_next_command_is_told_with_the_same_folder(data: Path) -> None:
    added = cairn("user", "add", "ann", data=data).stdout
    assert added.strip().endswith(f"cairn token create ann --data {data}")


def test_a_token_is_printed_alone_on_standard_output(data: Path) -> None:
    cairn("user", "add", "ann", data=data)
    made = cairn("token", "create", "ann", "--name", "laptop", data=data)
    lines = made.stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("cairn_")
    assert "not shown again" in made.stderr


def test_a_revoked_token_is_gone_from_the_list(data: Path) -> None:
    cairn("user", "add", "ann", data=data)
    cairn("token", "create", "ann", "--name", "laptop", "--scope", "read", data=data)
    listed = json.loads(cairn("token", "list", "ann", "--json", data=data).stdout)
    assert [(t["name"], t["scope"]) for t in listed] == [("laptop", "read")]
    assert not any(key in listed[0] for key in ("token", "secret", "hash"))
    cairn("token", "revoke", "ann", "laptop", data=data)
    assert json.loads(cairn("token", "list", "ann", "--json", data=data).stdout) == []


def test_a_token_is_restricted_by_grants(data: Path) -> None:
    cairn("user", "add", "ann", data=data)
    grants = ("--grant", "write:ann", "--grant", "read:datasets/lab/set")
    cairn("token", "create", "ann", "--expires-days", "30", *grants, data=data)
    (listed,) = json.loads(cairn("token", "list", "ann", "--json", data=data).stdout)
    assert listed["scope"] == "fineGrained"
    assert listed["grants"] == ["write:ann", "read:datasets/lab/set"]
    odd = ("token", "create", "ann", "--name", "odd")
    assert "write:lab" in cairn(*odd, "--grant", "lab", data=data, expect=2).stderr
    cairn(*odd, "--grant", "read:ann", "--scope", "write", data=data, expect=2)


def test_a_user_cannot_be_added_twice(data: Path) -> None:
    cairn("user", "add", "ann", data=data)
    again = cairn("user", "add", "Ann", data=data, expect=4)
    assert "Ann" in again.stderr
    assert "Traceback" not in again.stderr


GOOD = "a sentence nobody knows"


def _knows(data: Path, name: str, password: str) -> bool:
    house = open_house(load_settings(data_dir=data))
    try:
        return house.catalog.passwords.check(name, password).name == name
    except UnauthenticatedError:
        return False
    finally:
        house.catalog.close()


def test_passwords_come_from_standard_input(data: Path) -> None:
    cairn("user", "add", "ann", "--password-stdin", data=data, stdin=f"{GOOD}\nmore\n")
    assert _knows(data, "ann", GOOD)
    told = cairn("user", "passwd", "ANN", "--password-stdin", data=data, stdin="quite another one")
    assert "set the password of ann" in told.stdout
    assert not _knows(data, "ann", GOOD) and _knows(data, "ann", "quite another one")
    cairn("user", "passwd", "ann", "--remove", data=data)
    assert not _knows(data, "ann", "quite another one")


def test_a_bad_password_makes_no_user(data: Path) -> None:
    for password, why in (("short", "at least 8"), ("password1", "first"), ("", "no password")):
        stdin = ("user", "add", "ann", "--password-stdin")
        assert why in cairn(*stdin, data=data, stdin=f"{password}\n", expect=2).stderr
    assert json.loads(cairn("user", "list", "--json", data=data).stdout) == []
    refused = cairn("user", "add", "ann", "--password", data=data, stdin=GOOD, expect=2)
    assert "--password-stdin" in refused.stderr


def test_a_password_is_typed_twice_and_not_shown(data: Path) -> None:
    cairn("user", "add", "ann", data=data)
    shown = typed_into_cairn(
        "user", "passwd", "ann", "--data", str(data), typed=[GOOD, "something else", GOOD, GOOD]
    )
    assert GOOD not in shown and "something else" not in shown
    assert "do not match" in shown
    assert _knows(data, "ann", GOOD)


def test_a_bad_name_is_refused_with_the_rule(data: Path) -> None:
    refused = cairn("user", "add", "../etc", data=data, expect=2)
    assert "letters, digits" in refused.stderr


def test_a_token_for_nobody_is_not_found(data: Path) -> None:
    cairn("token", "create", "nobody", data=data, expect=3)
    cairn("token", "list", "nobody", data=data, expect=3)


def test_organisations_have_members(data: Path) -> None:
    cairn("user", "add", "ann", data=data)
    cairn("user", "add", "bob", data=data)
    cairn("org", "add", "lab", "--owner", "ann", data=data)
    cairn("org", "member", "lab", "bob", "--role", "read", data=data)
    listed = json.loads(cairn("user", "list", "--json", data=data).stdout)
    assert {(a["name"], a["type"]) for a in listed} == {
        ("ann", "user"),
        ("bob", "user"),
        ("lab", "org"),
    }


def test_a_setting_that_makes_no_sense_is_named(data: Path) -> None:
    refused = cairn("user", "list", data=data, expect=2, env={"CAIRN_GC_GRACE_S": "soon"})
    assert "gc_grace_s" in refused.stderr


def test_a_quota_is_set_shown_and_taken_back(data: Path) -> None:
    cairn("user", "add", "ann", data=data)
    cairn("org", "add", "lab", "--owner", "ann", data=data)

    def quota(*options: str, env: dict[str, str] | None = None) -> dict:
        return json.loads(
            cairn("org", "quota", "lab", "--json", *options, data=data, env=env).stdout
        )

    nothing = {"used_bytes": 0, "max_bytes": None, "is_default": True}
    assert quota() == {
        "name": "lab",
        "logical": nothing,
        "stored": {**nothing, "used_bytes": None},
        "stored_counted_at": None,
    }
    changed = quota("--logical", "1.5GB", "--stored", "none", "--count")
    assert changed["logical"] == {"used_bytes": 0, "max_bytes": 1_500_000_000, "is_default": False}
    assert changed["stored"] == {**nothing, "used_bytes": None, "is_default": False}
    defaults = {"CAIRN_QUOTA_LOGICAL_BYTES": "7000", "CAIRN_QUOTA_STORED_BYTES": "8000"}
    assert quota(env=defaults)["logical"]["max_bytes"] == 1_500_000_000
    back = quota("--logical", "default", env=defaults)
    assert back["logical"] == {"used_bytes": 0, "max_bytes": 7000, "is_default": True}
    assert back["stored"]["max_bytes"] is None
    shown = cairn("user", "quota", "ann", data=data, env=defaults).stdout
    assert "7.0 kB, the hub's default" in shown and "not counted yet" in shown


def test_a_quota_that_makes_no_sense_is_refused(data: Path) -> None:
    cairn("user", "add", "ann", data=data)
    refused = cairn("user", "quota", "ann", "--logical", "lots", data=data, expect=2)
    assert "write 100GB, none or default" in refused.stderr
    assert "not an organisation" in cairn("org", "quota", "ann", data=data, expect=3).stderr
    cairn("user", "quota", "nobody", data=data, expect=3)
