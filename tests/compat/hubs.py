"""A hub as a person would start it: `cairn serve` in a process and on a folder of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

CAIRN = Path(sys.executable).parent / "cairn"
READY = re.compile(r"^Cairn is ready at (http://127\.0\.0\.1:(\d+))$", re.MULTILINE)
START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0
FOREIGN_SETTINGS = ("CAIRN_", "HF_", "HUGGING_FACE_", "HUGGINGFACE_")


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without settings of other hubs and clients, and no proxy."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN_SETTINGS)}
    return kept | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"} | extra


class Hub:
    """A running hub; `settings` become `CAIRN_*` variables."""

    def __init__(self, folder: Path, **settings: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.url = ""
        self._port = 0
        self._log = folder / "hub.log"
        self._said = folder / "hub.out"
        self._token_file = folder / "admin-token"
        self._settings = {f"CAIRN_{k.upper()}": str(v) for k, v in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        status = self.stop()
        if kind is None:
            assert status == 0, f"the hub ended with status {status}:\n{self.log_tail()}"
            assert not self.complaints(), "\n".join(self.complaints())

    def start(self) -> None:
        """Start, on the same port as before if there was one, and wait until it is ready."""
        self._said.write_text("")
        command = [CAIRN, "serve", "--data", self.data, "--port", str(self._port)]
        with self._log.open("ab") as log, self._said.open("ab") as said:
            self._process = subprocess.Popen(
                [*command, "--admin-token-file", self._token_file],
                env=clean_environment(**self._settings),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_LIMIT_S
        while (ready := READY.search(self._said.read_text())) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the hub did not start:\n{self.log_tail()}")
            time.sleep(0.02)
        self.url, self._port = ready[1], int(ready[2])

    def stop(self) -> int:
        """Ask it to end, as a service manager would, and return its exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the hub did not stop within {STOP_LIMIT_S:.0f} s") from None

    def kill(self) -> None:
        """End it the way a power cut would: without a word."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def admin_token(self) -> str:
        return self._token_file.read_text().strip()

    def cairn(self, *arguments: str | Path) -> str:
        """Run a `cairn` command on this hub's data folder; returns what it printed."""
        done = subprocess.run(
            [CAIRN, *arguments, "--data", self.data],
            env=clean_environment(**self._settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"cairn {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def add_user(self, name: str) -> str:
        """Add a user; returns a token with write scope."""
        self.cairn("user", "add", name)
        return self.add_token(name, "write")

    def add_token(self, user: str, scope: str) -> str:
        return self.cairn(
            "token", "create", user, "--name", f"for-{scope}", "--scope", scope
        ).strip()

    def verified(self) -> dict[str, Any]:
        """What `cairn store verify --json` says; fails if a blob is bad or lost."""
        verdict: dict[str, Any] = json.loads(self.cairn("store", "verify", "--json"))
        assert verdict["bad"] == []
        return verdict

    def get(self, path: str, token: str | None = None, **headers: str) -> bytes:
        """The body of a plain GET, as any HTTP tool would make it."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url + path, headers=headers)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=60) as answer:
            body: bytes = answer.read()
        return body

    def store(self) -> dict[str, Any]:
        """What the store holds: `pending`, `logical_bytes`, `stored_bytes` and more."""
        state: dict[str, Any] = json.loads(self.get("/api/cairn/store", self.admin_token))
        return state

    def settle(self, limit_s: float = 120.0) -> dict[str, Any]:
        """Wait until nothing waits to be rewritten as tensors any more."""
        deadline = time.monotonic() + limit_s
        while (state := self.store())["pending"]:
            assert time.monotonic() < deadline, f"still pending after {limit_s:.0f} s: {state}"
            time.sleep(0.1)
        return state

    # What it wrote down

    def mark(self) -> int:
        """A place in the log, for `requests`."""
        time.sleep(0.05)  # the line of a request is written after its last byte is sent
        return self._log.stat().st_size

    def requests(self, since: int = 0) -> list[str]:
        """`METHOD /path STATUS` of every request served since the mark."""
        time.sleep(0.05)
        with self._log.open("rb") as log:
            log.seek(since)
            lines = log.read().decode(errors="replace").splitlines()
        # A hub that was killed may leave half a line.
        seen = [json.loads(line) for line in lines if line[:1] == "{" and line[-1:] == "}"]
        return [
            f"{one['method']} {one['path']} {one['status']}"
            for one in seen
            if one.get("event") == "request"
        ]

    def complaints(self) -> list[str]:
        """Log lines that tell of a fault of the hub itself."""
        return [
            line
            for line in self._log.read_text(errors="replace").splitlines()
            if "Traceback" in line or '"status": 5' in line or "step crashed" in line
        ]

    def log_tail(self, lines: int = 15) -> str:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])
