"""Hub transfers against their limits: CPU per GB, latency beside them, start and memory.

    python benchmarks/hub.py [--gb 2] [--rounds 3] [--folder DIR] [--skip xet,nginx,...]

Every ratio comes from interleaved rounds of one run: each round does each contender
once, and the best round counts. 1 GB is 10^9 bytes. Loopback, page cache, no TLS.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import checkpoints
import machine
import processes
import psutil
import transfers

REPO = "admin/big"
FILE = "model.safetensors"


def cpu_of(server: processes.Server, work: Callable[[], object]) -> tuple[float, float]:
    """Server CPU seconds and wall seconds while `work` runs."""
    cpu, wall = server.cpu_s(), time.perf_counter()
    work()
    return server.cpu_s() - cpu, time.perf_counter() - wall


def own_cpu(work: Callable[[], object]) -> tuple[float, float]:
    """This process's CPU seconds and wall seconds while `work` runs."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


class Results:
    """Best CPU seconds and wall seconds per contender, printed per GB."""

    def __init__(self, size_bytes: int) -> None:
        self._gb = size_bytes / 1e9
        self._best: dict[str, tuple[float, float]] = {}

    def add(self, name: str, cpu_s: float, wall_s: float) -> None:
        old = self._best.get(name, (float("inf"), float("inf")))
        self._best[name] = (min(old[0], cpu_s), min(old[1], wall_s))

    def print(self, title: str, against: str) -> None:
        base = self._best[against][0]
        print(f"\n### {title}\n\n| contender | CPU s/GB | ratio to {against} | best MB/s |")
        print("|---|---|---|---|")
        for name, (cpu, wall) in self._best.items():
            rate = self._gb * 1000 / wall
            print(f"| {name} | {cpu / self._gb:.3f} | {cpu / base:.2f} | {rate:.0f} |")
        sys.stdout.flush()


def downloads(args: argparse.Namespace, folder: Path, big: Path) -> None:
    results = Results(big.stat().st_size)
    data = folder / "downloads"
    with processes.hub(data, {"CAIRN_OPTIMIZE": "false"}) as (server, token):
        transfers.call(server.url, "POST", "/api/repos/create", token, {"name": "big"})
        transfers.upload_lfs(server.url, token, REPO, big, FILE)
    accel = {"CAIRN_OPTIMIZE": "false", "CAIRN_SENDFILE": "x-accel"}
    port = _free_port()
    with (
        processes.hub(data, {"CAIRN_OPTIMIZE": "false"}) as (plain, _),
        processes.hub(data, {**accel, "CAIRN_ALLOWED_HOSTS": "*"}) as (deciding, _),
        processes.nginx(folder / "nginx", port, deciding.port, data / "store", big.parent) as front,
    ):
        path = f"/{REPO}/resolve/main/{FILE}"
        contenders: dict[str, tuple[str, list[processes.Server]]] = {
            "nginx sendfile alone": (f"{front.url}/plain/{big.name}", [front]),
            "hub decides, nginx sends (X-Accel)": (front.url + path, [front, deciding]),
            "uvicorn, raw blob": (plain.url + path, [plain]),
        }
        for _ in range(args.rounds):
            for name, (url, servers) in contenders.items():
                before = sum(s.cpu_s() for s in servers)
                began = time.perf_counter()
                assert transfers.download(url) == big.stat().st_size
                wall = time.perf_counter() - began
                results.add(name, sum(s.cpu_s() for s in servers) - before, wall)
        latency(plain, path, big)
    _optimize(data)
    with processes.hub(data) as (server, _):
        for _ in range(args.rounds):
            cpu, wall = cpu_of(server, lambda: transfers.download(server.url + path))
            results.add("uvicorn, kept as tensors (decoded while sent)", cpu, wall)
    results.print("Download of a blob", "nginx sendfile alone")


def profiles(args: argparse.Namespace, folder: Path, big: Path) -> None:  # noqa: ARG001
    """A fine-tune of which the base is kept as well: raw, in the fast and in the small profile."""
    for dtype in ("F32", "BF16"):
        size = int(args.gb * 1e9)
        base = checkpoints.generated(folder / f"base-{dtype}.safetensors", size, dtype)
        tuned = checkpoints.generated(
            folder / f"tuned-{dtype}.safetensors", size, dtype, moved=1e-4
        )
        results = Results(tuned.stat().st_size)
        hubs = {how: folder / f"{how}-{dtype}" for how in ("raw", "fast", "small")}
        with contextlib.ExitStack() as stack:
            servers = {
                f"kept {how}": stack.enter_context(_hub_with(data, base, tuned, how))
                for how, data in hubs.items()
            }
            for _ in range(args.rounds):
                for name, server in servers.items():
                    url = f"{server.url}/{REPO}/resolve/main/{FILE}"
                    cpu, wall = cpu_of(server, lambda url=url: transfers.download(url))
                    results.add(name, cpu, wall)
        results.print(f"Download of a fine-tune in {dtype}", "kept raw")


@contextlib.contextmanager
def _hub_with(data: Path, base: Path, tuned: Path, how: str) -> Iterator[processes.Server]:
    """A hub that keeps both files one way; gives the second."""
    still = {"CAIRN_OPTIMIZE": "false"}
    with processes.hub(data, still) as (server, token):
        for name in ("base", "big"):
            transfers.call(server.url, "POST", "/api/repos/create", token, {"name": name})
        transfers.upload_lfs(server.url, token, "admin/base", base, FILE)
        transfers.upload_lfs(server.url, token, REPO, tuned, FILE)
    if how != "raw":
        _optimize(data, "--profile", how)
    with processes.hub(data, still) as (server, _):
        yield server


def _optimize(data: Path, *options: str) -> None:
    subprocess.run(
        [
            str(Path(sys.executable).parent / "cairn"),
            *("store", "optimize", "--data", str(data), *options),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def latency(server: processes.Server, path: str, big: Path) -> None:
    """Median and worst time of small requests, alone and beside big downloads."""

    def sample(seconds: float) -> list[float]:
        took = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            began = time.perf_counter()
            transfers.call(server.url, "GET", f"/api/models/{REPO}", "")
            took.append((time.perf_counter() - began) * 1000)
            time.sleep(0.02)
        return took

    alone = sample(3)

    child = subprocess.Popen(
        [sys.executable, __file__, "--stream", server.url + path], stdout=subprocess.DEVNULL
    )
    time.sleep(0.5)
    beside = sample(5)
    child.terminate()
    child.wait()
    print("\n### Small requests (GET /api/models/admin/big)\n")
    print("| | median ms | p95 ms | worst ms | n |\n|---|---|---|---|---|")
    for name, took in (("alone", alone), (f"beside downloads of {big.name}", beside)):
        p95 = statistics.quantiles(took, n=20)[-1]
        print(
            f"| {name} | {statistics.median(took):.1f} | {p95:.1f} | {max(took):.1f}"
            f" | {len(took)} |"
        )


def uploads(args: argparse.Namespace, folder: Path, big: Path) -> None:
    results = Results(big.stat().st_size)
    for turn in range(args.rounds):
        target = folder / "floor.bin"
        cpu, wall = own_cpu(lambda target=target: transfers.hash_and_write(big, target))
        results.add("sha256 + write + fsync alone", cpu, wall)
        target.unlink()
        data = folder / f"upload-{turn}"
        with processes.hub(data, {"CAIRN_OPTIMIZE": "false"}) as (server, token):
            transfers.call(server.url, "POST", "/api/repos/create", token, {"name": "big"})
            cpu, wall = cpu_of(
                server, lambda: transfers.upload_lfs(server.url, token, REPO, big, FILE)
            )
            results.add("LFS upload to the hub (batch, PUT, commit)", cpu, wall)
        _remove(data)
    results.print("Upload of a file by LFS", "sha256 + write + fsync alone")


def xet(args: argparse.Namespace, folder: Path, big: Path) -> None:
    """The stock client's default path: `hf upload` through Xet."""
    size = big.stat().st_size
    print("\n### Upload by the stock client, default path (Xet)\n")
    print("| run | MB/s (whole command) | client CPU s/GB | server CPU s/GB |\n|---|---|---|---|")
    for turn in range(args.rounds):
        data = folder / f"xet-{turn}"
        with processes.hub(data, {"CAIRN_OPTIMIZE": "false"}) as (server, token):
            cpu = server.cpu_s()
            began = time.perf_counter()
            client = _hf(server.url, token, folder / f"home-{turn}", "upload", REPO, str(big), FILE)
            wall = time.perf_counter() - began
            print(
                f"| {turn + 1} | {size / 1e6 / wall:.0f} | {client / (size / 1e9):.2f}"
                f" | {(server.cpu_s() - cpu) / (size / 1e9):.2f} |"
            )
            sys.stdout.flush()
        _remove(data)


def _hf(url: str, token: str, home: Path, *arguments: str) -> float:
    """Run the `hf` CLI; returns its CPU seconds."""
    import os
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [str(Path(sys.executable).parent / "hf"), *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "HF_ENDPOINT": url,
            "HF_TOKEN": token,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        },
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start(args: argparse.Namespace, folder: Path, big: Path) -> None:
    """Time from the command to the first answered request, and memory at rest."""
    del big
    took, resting = [], []
    data = folder / "start"
    for _ in range(max(3, args.rounds)):
        began = time.perf_counter()
        with processes.hub(data) as (server, _):
            transfers.call(server.url, "GET", "/api/cairn/health", "")
            took.append(time.perf_counter() - began)
            time.sleep(3)
            resting.append(server.resident_bytes() / 1e6)
    print("\n### Start and rest\n")
    print(f"- command to first served request: best {min(took):.2f} s, worst {max(took):.2f} s")
    print(f"- resident memory at rest: {max(resting):.0f} MB")


def values(args: argparse.Namespace, folder: Path, big: Path) -> None:
    """Memory of the hub and of the process that reads values, before, while and after."""
    del args
    other = checkpoints.generated(
        folder / "plain" / "other.safetensors", big.stat().st_size, seed=1
    )
    data = folder / "values"
    print("\n### Memory and reading values\n")
    with processes.hub(data, {"CAIRN_OPTIMIZE": "false"}) as (server, token):

        def told(path: str) -> dict[str, object]:
            return transfers.call(server.url, "GET", f"/api/cairn/models/{REPO}/{path}", "")  # type: ignore[return-value]

        def tell(label: str) -> None:
            print(f"- {label}: {server.own_resident_bytes() / 1e6:.0f} MB")

        def wait_for(label: str, path: str, is_done: Callable[[dict[str, object]], bool]) -> None:
            most, began = 0, time.perf_counter()
            while not is_done(told(path)):
                everything = server.resident_bytes() - server.own_resident_bytes()
                most = max(most, everything)
                time.sleep(0.5)
            took = time.perf_counter() - began
            time.sleep(5)  # the process ends
            tell(f"{label}, {took:.0f} s, the reading process at most {most / 1e6:.0f} MB; hub")
            print(f"  processes then: {1 + len(psutil.Process(server.process.pid).children())}")

        tell("at rest")
        transfers.call(server.url, "POST", "/api/repos/create", token, {"name": "big"})
        for file in (big, other):
            transfers.upload_lfs(server.url, token, REPO, file, FILE)
        tell("after two uploads")
        wait_for("measured", "health/main?limit=0", lambda found: not found["waiting"])
        log = transfers.call(server.url, "GET", f"/api/models/{REPO}/commits/main", "")
        both = f"{log[1]['id']}...main"  # type: ignore[index]
        wait_for("compared", f"compare/{both}", lambda found: bool(found["values_compared"]))
        transfers.call(server.url, "GET", f"/{REPO}/compare/{both}", "")
        tell("after the page of the comparison")


def _free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


PARTS = {
    "start": start, "downloads": downloads, "profiles": profiles, "uploads": uploads, "xet": xet,
    "values": values,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=2.0, help="size of the generated checkpoint")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--only", default=",".join(PARTS), help="comma-separated parts")
    parser.add_argument("--stream", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stream:
        while True:
            transfers.download(args.stream)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        (folder / "plain").mkdir()
        size = int(args.gb * 1e9)
        big = checkpoints.generated(folder / "plain" / "big.safetensors", size)
        print(f"Machine: {machine.describe()}; load {psutil.getloadavg()[0]:.1f} at start.")
        print(f"File: {big.stat().st_size / 1e9:.2f} GB generated bf16 safetensors.")
        for part in args.only.split(","):
            PARTS[part](args, folder, big)


if __name__ == "__main__":
    main()
