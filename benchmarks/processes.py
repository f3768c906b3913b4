"""Starts the servers a benchmark compares and reads how much CPU and memory they take."""

import contextlib
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Server:
    """A running server: where it answers and its process."""

    url: str
    process: subprocess.Popen[str]
    started_s: float

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def cpu_s(self) -> float:
        """User and system seconds used so far by the process and its children, ended ones too."""
        return tree_cpu_s(self.process.pid)

    def resident_bytes(self) -> int:
        """Resident memory of the process and its children."""
        return sum(p.memory_info().rss for p in _tree(self.process.pid))

    def own_resident_bytes(self) -> int:
        """Resident memory of the process without its children."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def tree_cpu_s(pid: int) -> float:
    total = 0.0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


@contextlib.contextmanager
def hub(data: Path, env: Mapping[str, str] | None = None) -> Iterator[tuple[Server, str]]:
    """A hub over `data`; yields it with the admin's token."""
    token_file = data.with_suffix(".token")
    command = [
        str(Path(sys.executable).parent / "cairn"), "serve", "--port", "0",
        "--data", str(data), "--admin-token-file", str(token_file),
    ]  # fmt: skip
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=(data.parent / f"{data.name}.log").open("w"),
        text=True,
        env={**os.environ, "CAIRN_LOG_LEVEL": "warning", **(env or {})},
    )
    try:
        url = _ready_url(process)
        yield Server(url, process, time.perf_counter() - began), token_file.read_text().strip()
    finally:
        process.terminate()
        process.wait(30)


def _ready_url(process: subprocess.Popen[str], timeout_s: float = 60.0) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if select.select([process.stdout], [], [], 1.0)[0]:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("the hub ended before it was ready")
            if line.startswith("Cairn is ready at "):
                return line.split()[-1]
    raise RuntimeError("the hub did not become ready")


NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; sendfile on; client_max_body_size 0;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{hub_port}; proxy_set_header Host $http_host; }}
        location /_cairn_store/ {{
            internal; alias {store}/; error_page 404 = @hub;
        }}
        location @hub {{
            proxy_pass http://127.0.0.1:{hub_port}$request_uri;
            proxy_set_header Host $http_host; proxy_set_header X-Cairn-No-Accel 1;
        }}
        location /plain/ {{ alias {plain}/; }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, port: int, hub_port: int, store: Path, plain: Path) -> Iterator[Server]:
    """nginx in front of a hub (X-Accel) that also serves `plain` by itself under /plain/."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nginx.conf"
    text = NGINX.format(folder=folder, port=port, hub_port=hub_port, store=store, plain=plain)
    if os.geteuid() == 0:
        text = "user root;" + text  # the benchmark's own files need not be world-readable
    config.write_text(text)
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([program, "-c", str(config), "-p", str(folder)], text=True)
    try:
        time.sleep(0.5)
        yield Server(f"http://127.0.0.1:{port}", process, 0.5)
    finally:
        process.terminate()
        process.wait(10)
