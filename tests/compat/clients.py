"""The stock clients: an interpreter with an unmodified huggingface_hub, pointed at a hub."""

import base64
import inspect
import json
import select
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any

import pytest

from tests.compat.hubs import clean_environment

ROOT = Path(__file__).resolve().parents[2]
INTERPRETER = Path(__file__).with_name("interpreter.py")
CALL_LIMIT_S = 180.0


@dataclass(frozen=True)
class Mode:
    """One way the world talks to a hub: which version, with which settings."""

    name: str
    python: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_old(self) -> bool:
        return self.name == "old"

    @property
    def speaks_xet(self) -> bool:
        return self.name == "xet"


XET = Mode("xet", Path(sys.executable))
LFS = Mode("lfs", Path(sys.executable), {"HF_HUB_DISABLE_XET": "1"})
OLD = Mode("old", ROOT / ".venv-old" / "bin" / "python")
MODES = (XET, LFS, OLD)
# For tests that take long: the other ways are tried with every quick test, and can wait here.
EACH_WAY = (
    XET,
    pytest.param(OLD, marks=pytest.mark.slow),
    pytest.param(LFS, marks=pytest.mark.slow),
)


class ClientError(Exception):
    """What the client raised: the names of its class and of every class above it."""

    def __init__(self, error: dict[str, Any]) -> None:
        trace = "\n".join(error["trace"].splitlines()[-8:])
        super().__init__(f"{error['kinds'][0]}: {error['text']}\n{trace}")
        self.kinds: list[str] = error["kinds"]
        self.text: str = error["text"]
        self.status: int | None = error["status"]
        self.code: str | None = error["code"]
        self.cause: str | None = error["cause"]


@contextmanager
def raises(kind: str, status: int | None = None) -> Iterator[pytest.ExceptionInfo[ClientError]]:
    """The client must raise its exception class `kind`, because of HTTP `status`."""
    with pytest.raises(ClientError) as info:
        yield info
    assert kind in info.value.kinds, str(info.value)
    if status is not None:
        assert info.value.status == status, str(info.value)


@dataclass(frozen=True)
class Stream:
    """Bytes the client is to get as an open binary file (`io.BytesIO`)."""

    content: bytes


@dataclass(frozen=True)
class Made:
    """An object of huggingface_hub that the client is to make for itself."""

    name: str
    fields: Mapping[str, object]


def add(path: str, content: bytes | Path | Stream) -> Made:
    """A commit operation: add a file."""
    return Made("CommitOperationAdd", {"path_in_repo": path, "path_or_fileobj": content})


def delete(path: str) -> Made:
    """A commit operation: delete a file, or with a final slash a folder."""
    return Made("CommitOperationDelete", {"path_in_repo": path})


def copy(source: str, target: str, revision: str | None = None) -> Made:
    """A commit operation: copy a file of the same repo."""
    fields = {"src_path_in_repo": source, "path_in_repo": target, "src_revision": revision}
    return Made("CommitOperationCopy", fields)


class Client:
    """A Python of its own with the client in it; one process for as long as it is needed."""

    def __init__(
        self, mode: Mode, url: str, token: str | None, home: Path, **settings: str
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.mode = mode
        self.home = home
        self.log = home / "client.log"
        self._environment = clean_environment(
            HF_ENDPOINT=url,
            HF_HOME=str(home),
            HF_HUB_DISABLE_TELEMETRY="1",
            HF_HUB_DISABLE_UPDATE_CHECK="1",
            HF_HUB_DISABLE_PROGRESS_BARS="1",
            DISABLE_SAFETENSORS_CONVERSION="1",
            TOKENIZERS_PARALLELISM="false",
            NO_COLOR="1",
            **{**mode.settings, **settings},
        )
        if token is not None:
            self._environment["HF_TOKEN"] = token
        self._token = token
        self._process: subprocess.Popen[bytes] | None = None

    def with_token(self, token: str | None) -> "Identity":
        """The same client with another person's token, or with none."""
        return Identity(self, token if token is not None else False)

    @property
    def api(self) -> Any:
        """`HfApi`: every method of it can be called from here."""
        return _Remote(self, "api", None)

    @property
    def fs(self) -> Any:
        """`HfFileSystem`."""
        return _Remote(self, "fs", None)

    @property
    def hub(self) -> Any:
        """The module `huggingface_hub`."""
        return _Remote(self, "hub", None)

    def run(self, function: Callable[..., Any], *args: object, **kwargs: object) -> Any:
        """Run a self-contained function in the client's Python; returns what it returned."""
        source = textwrap.dedent(inspect.getsource(function))
        return self.call(
            {"target": "function", "name": function.__name__, "source": source}, args, kwargs
        )

    def hf(self, *arguments: str | Path, ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the `hf` command; `ok` is whether it should succeed."""
        done = subprocess.run(
            [self.mode.python.parent / "hf", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CALL_LIMIT_S,
        )
        assert (done.returncode == 0) is ok, f"hf {arguments}:\n{done.stdout}\n{done.stderr}"
        return done

    def close(self) -> None:
        """End the interpreter."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def send(self, request: Mapping[str, object], args: object = (), kwargs: object = ()) -> None:
        """Give the interpreter something to do, without waiting for it."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._process is not None and self._process.stdin is not None
        message = {**request, "args": _wire(args), "kwargs": _wire(dict(kwargs or {}))}  # type: ignore[call-overload]
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def receive(self, limit_s: float = CALL_LIMIT_S) -> Any:
        """The answer to what was sent.

        Raises:
            ClientError: it is an exception.
        """
        assert self._process is not None and self._process.stdout is not None
        deadline = time.monotonic() + limit_s
        line = b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [], max(left, 0))
            block = self._process.stdout.read1(1 << 20) if ready else b""  # type: ignore[attr-defined]
            if not block:
                self.close()
                raise AssertionError(f"the client gave no answer:\n{self.log_tail()}")
            line += block
        answer = json.loads(line)
        if "error" in answer:
            raise ClientError(answer["error"])
        return _unwire(answer["result"])

    def call(self, request: Mapping[str, object], args: object = (), kwargs: object = ()) -> Any:
        self.send(request, args, kwargs)
        return self.receive()

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.mode.python, INTERPRETER],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )


@dataclass(frozen=True)
class Identity:
    """A client acting for somebody else than its HF_TOKEN says; False is nobody."""

    client: Client
    token: str | bool

    @property
    def api(self) -> Any:
        return _Remote(self.client, "api", self.token)

    @property
    def fs(self) -> Any:
        return _Remote(self.client, "fs", self.token)


@dataclass(frozen=True)
class _Remote:
    """Calls of methods that live in the client's interpreter."""

    client: Client
    target: str
    token: str | bool | None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        request = {"target": self.target, "name": name, "token": self.token}
        return lambda *args, **kwargs: self.client.call(request, args, kwargs)


def _wire(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, Stream):
        return {"$stream": base64.b64encode(value.content).decode()}
    if isinstance(value, PurePath):
        return {"$path": str(value)}
    if isinstance(value, Made):
        return {"$make": value.name, "kwargs": _wire(dict(value.fields))}
    if isinstance(value, dict):
        return {key: _wire(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_wire(one) for one in value]
    return value


def _unwire(value: Any) -> Any:
    if isinstance(value, list):
        return [_unwire(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    if "$time" in value:
        return datetime.fromisoformat(value["$time"])
    if "$object" in value:
        return SimpleNamespace(kind=value["$object"], **_unwire(value["fields"]))
    return {key: _unwire(one) for key, one in value.items()}
