"""A hub as a child process, and the stock `hf` client that talks to it."""

import json
import os
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

START_LIMIT_S = 60
STOP_LIMIT_S = 20
OPTIMIZE_LIMIT_S = 300
FOREIGN_SETTINGS = ("CAIRN_", "HF_", "HUGGING_FACE_", "HUGGINGFACE_")
SCRIPTS = Path(sysconfig.get_path("scripts"))
HOST = "127.0.0.1"


class DemoError(Exception):
    """What went wrong, said so that the person in front of the terminal can act on it."""


def clean_environment() -> dict[str, str]:
    """The environment without settings of other hubs, and without a proxy to this machine."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN_SETTINGS)}
    direct = ",".join(v for v in (kept.get("NO_PROXY"), "localhost", HOST) if v)
    return kept | {"NO_PROXY": direct, "no_proxy": direct}


def free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, any free port if it is 0.

    Raises:
        DemoError: somebody does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise DemoError(
                f"port {wanted} cannot be used ({error.strerror}); choose another with"
                " --port N, or let the demo find a free one with --port 0"
            ) from error
        return int(probe.getsockname()[1])


class Hub:
    """`cairn serve` on a data folder, started on entry and stopped on exit."""

    def __init__(self, data: Path, port: int, work: Path) -> None:
        self.data = data
        self.url = f"http://{HOST}:{port}"
        self.token = ""
        self.start_seconds = 0.0
        self._port = port
        self._log = work / "hub.log"
        self._token_file = work / "admin-token"
        self._process: subprocess.Popen[bytes] | None = None
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> Self:
        settings = {
            "CAIRN_ADMIN_TOKEN_FILE": str(self._token_file),
            # Nobody should wait for the pause that spares a busy hub.
            "CAIRN_OPTIMIZE_DELAY_S": "0.5",
        }
        began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [SCRIPTS / "cairn", "serve", "--data", self.data, "--port", str(self._port)],
                env=clean_environment() | settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the demo, which then stops the hub
            )
        try:
            self._wait_until_served()
            self.start_seconds = time.monotonic() - began
            self.token = self._find_token()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines the hub wrote."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "\n".join(line for line in text.splitlines()[-lines:] if "token" not in line.lower())

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def store(self) -> dict[str, int]:
        """What the store holds: `pending`, `logical_bytes`, `stored_bytes`."""
        request = urllib.request.Request(
            f"{self.url}/api/cairn/store", headers={"Authorization": f"Bearer {self.token}"}
        )
        try:
            with self._direct.open(request, timeout=30) as answer:
                return dict(json.load(answer))
        except (urllib.error.URLError, ValueError) as error:
            raise DemoError(f"{request.full_url} does not answer as expected: {error}") from error

    def settled_store(self) -> dict[str, int]:
        """As `store`, once nothing waits to be optimized any more."""
        deadline = time.monotonic() + OPTIMIZE_LIMIT_S
        while (state := self.store())["pending"]:
            if time.monotonic() > deadline:
                raise DemoError(
                    f"after {OPTIMIZE_LIMIT_S} s {state['pending']} files still wait"
                    " to be optimized"
                )
            time.sleep(0.2)
        return state

    def _wait_until_served(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if not self.is_running():
                raise DemoError(f"the hub stopped at once; it said:\n{self.log_tail()}")
            try:
                with self._direct.open(self.url, timeout=5):
                    return
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    return
                raise DemoError(f"{self.url} answers {error.code}:\n{self.log_tail()}") from error
            except OSError:
                time.sleep(0.05)
        raise DemoError(f"the hub did not answer within {START_LIMIT_S} s:\n{self.log_tail()}")

    def _find_token(self) -> str:
        if self._token_file.exists():
            return self._token_file.read_text().strip()
        # The folder held a hub already, whose first token was shown once, to somebody else.
        label = f"demo-{time.time_ns()}"
        command: list[str | Path] = [SCRIPTS / "cairn", "token", "create", "admin"]
        command += ["--data", self.data, "--name", label, "--expires-days", "1"]
        made = subprocess.run(
            command,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise DemoError(f"no admin token for the hub in {self.data}: {made.stderr.strip()}")
        return str(made.stdout).strip().splitlines()[-1]

    def _stop(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class StockClient:
    """The `hf` command as anybody installs it, pointed at a hub by its own settings."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self._environment = clean_environment() | {
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": hub.token,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }

    def run(self, *arguments: str | Path) -> None:
        """Run one `hf` command.

        Raises:
            DemoError: it failed; with what it said.
        """
        done = subprocess.run(
            [SCRIPTS / "hf", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            command = " ".join(str(a) for a in arguments)
            raise DemoError(f"`hf {command}` failed with status {done.returncode}:\n{said}")
