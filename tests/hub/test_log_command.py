"""`cairn log` against a hub that listens, as a shell runs it."""

import http.server
import json
import threading
from functools import partial
from pathlib import Path

import httpx2
import pytest

from cairn.errors import EntryNotFoundError, LimitError, RequestError, UnavailableError
from cairn.hub.log_files import HttpLogFiles
from tests.cli.command import cairn
from tests.hub.conftest import LiveHub, Repo

WITNESS = "witness.example/w+de03c237+BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"


@pytest.fixture
def person(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has checked no log yet."""
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture(scope="module")
def repo(live: LiveHub) -> Repo:
    headers = {"Authorization": f"Bearer {live.hub.tokens['ann']}"}
    return Repo(httpx2.Client(base_url=live.url, headers=headers)).create()


@pytest.fixture(scope="module")
def key(live: LiveHub) -> str:
    return cairn("log", "key", data=live.folder / "data").stdout.strip()


def test_a_log_is_checked_with_its_key_then_without_as_it_grows(
    live: LiveHub, repo: Repo, key: str, person: dict[str, str]
) -> None:
    verify = ("log", "verify", live.url)
    assert "--key" in cairn(*verify, expect=2, env=person).stderr
    first = json.loads(cairn(*verify, "--key", key, "--json", env=person).stdout)
    assert (first["key"], first["size_seen_before"]) == (key, None)
    repo.put("a.txt", b"a")
    assert (
        f"begins with the {first['size']} entries seen before" in cairn(*verify, env=person).stdout
    )
    told = cairn(*verify, "--all", env=person).stdout
    assert "every entry is there and leads to the signed root" in told


def test_a_wrong_key_is_an_error_of_integrity(live: LiveHub, repo: Repo, tmp_path: Path) -> None:
    other = cairn("log", "key", data=made(tmp_path / "other")).stdout.strip()
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    told = cairn("log", "verify", live.url, "--key", other, expect=7, env=env).stderr
    assert "is not signed by" in told


def made(folder: Path) -> Path:
    from cairn.bootstrap import open_house
    from cairn.config import load_settings

    open_house(load_settings(data_dir=folder)).catalog.close()
    return folder


def test_a_mirror_is_kept_served_by_any_web_server_and_damage_to_it_found(
    live: LiveHub, repo: Repo, key: str, person: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "mirror"
    cairn("log", "mirror", live.url, str(folder), "--key", key, env=person)
    repo.put("b.txt", b"b")
    cairn("log", "mirror", live.url, str(folder), env=person)
    assert "every entry" in cairn("log", "verify", str(folder), env=person).stdout
    with served(folder) as address:
        assert "signed by its key" in cairn("log", "verify", address, env=person).stdout
        with pytest.raises(LimitError):
            HttpLogFiles(address).read("checkpoint", 3)
        with pytest.raises(EntryNotFoundError):
            HttpLogFiles(address).read("tile/0/999", 3)
    (bundle,) = (folder / "tile" / "entries").glob("*.p/*")
    bundle.write_bytes(bundle.read_bytes().replace(b"models/ann", b"models/eve"))
    told = cairn("log", "verify", str(folder), expect=7, env=person).stderr
    assert "not those of its entries" in told


class served:  # noqa: N801 - reads as a verb
    """The folder behind a plain web server."""

    def __init__(self, folder: Path) -> None:
        handler = partial(Quiet, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_entries_are_shown_newest_first_and_those_of_one_repo_alone(
    live: LiveHub, repo: Repo
) -> None:
    commit = repo.put("shown.txt", b"s")
    (newest,) = json.loads(cairn("log", "show", live.url, "--limit", "1", "--json").stdout)
    assert (newest["new"], newest["repo"], newest["actor"]) == (commit, "models/ann/m", "ann")
    assert "refs/heads/main" in cairn("log", "show", data=live.folder / "data").stdout
    told = cairn("log", "show", live.url, "--repo", "models/ann/none")
    assert (told.stdout, told.stderr) == ("", "the log has no such entry yet\n")


def test_a_proof_is_checked_by_somebody_without_the_hub(
    live: LiveHub, repo: Repo, key: str, person: dict[str, str], tmp_path: Path
) -> None:
    commit = repo.put("proved.txt", b"p")
    path = tmp_path / "m.tlog-proof"
    cairn("log", "prove", f"ann/m@{commit}", "-o", str(path), data=live.folder / "data")
    told = cairn("log", "verify", str(path), "--key", key, "--json", env=person).stdout
    assert (json.loads(told)["new"], json.loads(told)["ref"]) == (commit, "refs/heads/main")
    assert commit in cairn("log", "verify", str(path), "--key", key, env=person).stdout
    path.write_bytes(path.read_bytes().replace(b"index ", b"index 1"))
    told = cairn("log", "verify", str(path), "--key", key, expect=7, env=person).stderr
    assert "entry" in told


def test_what_is_no_log_is_named(tmp_path: Path) -> None:
    assert "nor an address" in cairn("log", "verify", str(tmp_path), expect=3).stderr
    (tmp_path / "file").write_bytes(b"no proof")
    assert "not a proof" in cairn("log", "verify", str(tmp_path / "file"), expect=6).stderr
    with pytest.raises(RequestError):
        HttpLogFiles("file:///etc")
    with pytest.raises(UnavailableError, match="cannot be read"):
        HttpLogFiles("http://127.0.0.1:1").read("checkpoint", 10)


# The last: who was given the key before, as the tests above were, must not begin with it now.
def test_a_hub_that_runs_goes_on_with_a_new_key(
    live: LiveHub, repo: Repo, person: dict[str, str]
) -> None:
    data = live.folder / "data"
    old = cairn("log", "key", data=data).stdout.strip()
    cairn("log", "verify", live.url, "--key", old, env=person)
    new = cairn("log", "rotate", data=data).stdout.strip()
    repo.put("rotated.txt", b"rotated")
    told = json.loads(cairn("log", "verify", live.url, "--json", env=person).stdout)
    assert told["key"] == new != old
    asked = ("log", "verify", live.url, "--witness", WITNESS)
    assert "no witness" in cairn(*asked, expect=7, env=person).stderr
    asked = ("log", "submit", "http://127.0.0.1:1", "--witness-key", WITNESS)
    assert "cannot be asked" in cairn(*asked, data=data, expect=8).stderr
