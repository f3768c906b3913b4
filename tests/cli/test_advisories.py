"""`cairn advisories`: taken in offline from files, folders and archives; files become malicious."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from tests.cli.command import cairn
from tests.hub.web.homes import open_home
from tests.scanner.test_advisories import record

TORCH = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n."  # written by hand, never unpickled


@pytest.fixture
def person(tmp_path: Path) -> dict[str, str]:
    """Somebody with settings of their own."""
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def test_an_export_is_taken_in_and_what_loads_nothing_is_left(
    tmp_path: Path, person: dict[str, str]
) -> None:
    affected = record()["affected"]
    affected[0]["ranges"][0]["events"][1]["fixed"] = "2.77.0"
    other = [{"package": {"ecosystem": "PyPI", "name": "requests"}, "ranges": []}]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("X-1.json", json.dumps(record(affected=affected, details="long")))
        archive.writestr("X-2.json", json.dumps(record(id="X-2", affected=other)))
        archive.writestr("X-3.json", "{")
    done = cairn("advisories", "import", str(tmp_path / "all.zip"), "--json", env=person)
    assert json.loads(done.stdout) == {
        "records": 1,
        "known_files": 0,
        "irrelevant": 1,
        "withdrawn": 0,
        "unreadable": ["X-3.json"],
    }
    (tmp_path / "x.pt").write_bytes(TORCH)
    scanned = json.loads(cairn("scan", str(tmp_path / "x.pt"), "--json", env=person).stdout)
    torch = scanned["files"][0]["advisories"][0]
    assert torch["words"] == "safe only with torch >= 2.77.0" and "X-1" in torch["ids"]
    assert "torch >= 2.77.0" in cairn("advisories", "ls", env=person).stdout
    (tmp_path / "X-1.json").write_text(json.dumps(record(withdrawn="2026-02-01T00:00:00Z")))
    cairn("advisories", "import", str(tmp_path / "X-1.json"), env=person)
    assert "2.77.0" not in cairn("advisories", "ls", env=person).stdout


def test_a_known_file_is_malicious_until_it_is_forgotten(
    tmp_path: Path, person: dict[str, str]
) -> None:
    file, folder = tmp_path / "x.pt", tmp_path / "lists"
    file.write_bytes(TORCH)
    digest = hashlib.sha256(TORCH).hexdigest()
    folder.mkdir()
    (folder / "bad.csv").write_text(f"sha256,reason,source\n{digest},steals tokens,me\n")
    before = json.loads(cairn("scan", str(file), "--json", env=person).stdout)
    cairn("advisories", "import", str(folder), env=person)
    after = json.loads(cairn("scan", str(file), "--json", env=person, expect=1).stdout)
    assert (before["verdict"], after["verdict"]) == ("clean", "malicious")
    assert after["files"][0]["findings"][0]["rule"] == "known-files"
    assert before["rules_version"] != after["rules_version"]
    cairn("advisories", "forget", digest, env=person)
    assert json.loads(cairn("scan", str(file), "--json", env=person).stdout) == before
    cairn("advisories", "forget", digest, env=person, expect=3)


def test_what_is_neither_record_nor_list_is_refused(tmp_path: Path, person: dict[str, str]) -> None:
    for name, content in (("a.json", "{}"), ("b.csv", "x,y\n"), ("c.zip", "PK")):
        (tmp_path / name).write_text(content)
        cairn("advisories", "import", str(tmp_path / name), env=person, expect=6)
    cairn("advisories", "import", str(tmp_path / "none"), env=person, expect=3)


def test_a_hub_has_its_own(tmp_path: Path, person: dict[str, str]) -> None:
    with open_home(tmp_path / "hub"):
        pass
    (tmp_path / "r.json").write_text(json.dumps(record(id="HUB-1")))
    cairn("advisories", "import", str(tmp_path / "r.json"), env=person, data=tmp_path / "hub")
    assert "HUB-1" in cairn("advisories", "ls", env=person, data=tmp_path / "hub").stdout
    assert "HUB-1" not in cairn("advisories", "ls", env=person).stdout
