"""What a fine-tune costs on the wire, for whom the hub has its base already.

    python benchmarks/wire.py --base base.safetensors --tuned tuned.safetensors [--folder DIR]

The stock client (`hf upload`, each time with an empty home) through a proxy that counts bytes. The
base lies in a private repo of ann's; carol may not read it. All files are fetched again and
compared. 1 MB is 10^6 bytes. `benchmarks/corpus.py` makes such files.
"""

import argparse
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import processes
import transfers

FILE = "model.safetensors"
PROGRAMS = Path(sys.executable).parent


class CountingProxy:
    """Forwards connections to a port and counts the bytes of both directions."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.up_bytes = self.down_bytes = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                pairs = ((client, server, True), (server, client, False))
                for pair in pairs:
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 18):
                target.sendall(data)
                with self._lock:
                    self.up_bytes += len(data) if up else 0
                    self.down_bytes += 0 if up else len(data)
            target.shutdown(socket.SHUT_WR)


class Bench:
    """One hub behind a proxy, with people and their tokens."""

    def __init__(self, folder: Path, data: Path, server: processes.Server) -> None:
        self._folder, self._data = folder, data
        self._server = server
        self._proxy = CountingProxy(server.port)
        self._tokens = {name: self._add(name) for name in ("ann", "carol")}

    def cairn(self, *arguments: str) -> str:
        """Run a `cairn` command on the hub's data."""
        command = [str(PROGRAMS / "cairn"), *arguments, "--data", str(self._data)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def _add(self, name: str) -> str:
        self.cairn("user", "add", name)
        return self.cairn("token", "create", name, "--name", "all", "--scope", "write")

    def create(self, repo: str, *, private: bool = False) -> None:
        owner, _, name = repo.partition("/")
        body = {"name": name, "private": private}
        transfers.call(self._server.url, "POST", "/api/repos/create", self._tokens[owner], body)

    def close(self, repo: str) -> None:
        """Make a repo private."""
        path, token = f"/api/models/{repo}/settings", self._tokens[repo.partition("/")[0]]
        transfers.call(self._server.url, "PUT", path, token, {"private": True})

    def push(self, label: str, repo: str, path: Path, **environment: str) -> None:
        """Upload with a client that knows nothing, print what it took, fetch and compare."""
        owner = repo.partition("/")[0]
        home = tempfile.mkdtemp(dir=self._folder)
        up, down = self._proxy.up_bytes, self._proxy.down_bytes
        began = time.perf_counter()
        subprocess.run(
            [str(PROGRAMS / "hf"), "upload", repo, str(path), FILE],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                "HF_ENDPOINT": self._proxy.url,
                "HF_TOKEN": self._tokens[owner],
                "HF_HOME": home,
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "HF_HUB_DISABLE_UPDATE_CHECK": "1",
                **environment,
            },
        )
        wall = time.perf_counter() - began
        sent, got = self._proxy.up_bytes - up, self._proxy.down_bytes - down
        self._compare(repo, path)
        size = path.stat().st_size
        print(
            f"| {label} | {size / 1e6:.1f} | {sent / 1e6:.3f} | {sent / size:.4f}"
            f" | {got / 1e6:.3f} | {wall:.1f} |"
        )
        sys.stdout.flush()

    def _compare(self, repo: str, path: Path) -> None:
        token = self._tokens[repo.partition("/")[0]]
        request = urllib.request.Request(
            f"{self._server.url}/{repo}/resolve/main/{FILE}",
            headers={"Authorization": f"Bearer {token}"},
        )
        digest = hashlib.sha256()
        with urllib.request.urlopen(request) as answer:
            while data := answer.read(1 << 20):
                digest.update(data)
        if digest.hexdigest() != transfers.sha256_file(path):
            raise RuntimeError(f"{repo} gives other bytes than {path}")


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Bench]:
    data = folder / "data"
    with processes.hub(data, {"CAIRN_OPTIMIZE": "false"}) as (server, _):
        yield Bench(folder, data, server)


def run(folder: Path, base: Path, tuned: Path) -> None:
    print(
        "| push | MB | sent MB | of its size | received MB | seconds |\n|---|---|---|---|---|---|"
    )
    with started(folder) as bench:
        bench.create("ann/base", private=True)
        for repo in ("ann/tuned", "ann/again", "ann/copy", "carol/tuned"):
            bench.create(repo)
        bench.push("the base, into an empty hub", "ann/base", base)
        bench.push("carol: the fine-tune; she may not read the base", "carol/tuned", tuned)
        bench.close("carol/tuned")
        bench.push("ann: the fine-tune, another repo", "ann/tuned", tuned)
        bench.cairn("store", "optimize")
        bench.push("ann: the same, base and fine-tune kept as tensors", "ann/again", tuned)
        bench.push("ann: the base again, by LFS", "ann/copy", base, HF_HUB_DISABLE_XET="1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--tuned", type=Path, required=True)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        run(Path(folder), args.base, args.tuned)


if __name__ == "__main__":
    main()
