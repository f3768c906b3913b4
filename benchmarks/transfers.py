"""Moves bytes over HTTP with as little client work as can be: sendfile up, recv_into down."""

import hashlib
import http.client
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

BUFFER = bytearray(4 << 20)


def download(url: str, headers: Mapping[str, str] | None = None) -> int:
    """GET and throw away; returns the number of body bytes."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    connection.request("GET", url.split(parts.netloc, 1)[1], headers=dict(headers or {}))
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"{url}: {response.status} {response.read(500)!r}")
    total = 0
    view = memoryview(BUFFER)
    while count := response.readinto(view):
        total += count
    connection.close()
    return total


def put_file(url: str, path: Path) -> int:
    """PUT a file's bytes with sendfile; returns the status."""
    parts = urlsplit(url)
    size = path.stat().st_size
    target = url.split(parts.netloc, 1)[1]
    head = (
        f"PUT {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Length: {size}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((parts.hostname, parts.port)) as sock, path.open("rb") as file:
        sock.sendall(head.encode())
        sock.sendfile(file)
        answer = http.client.HTTPResponse(sock, method="PUT")
        answer.begin()
        body = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"PUT {url}: {answer.status} {body[:500]!r}")
        return answer.status


def call(
    base: str, method: str, path: str, token: str, body: object = None, kind: str = ""
) -> object:
    """One JSON request; raises on any status of 400 and above."""
    parts = urlsplit(base)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    payload: bytes | None = None
    if body is not None:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers["Content-Type"] = kind or "application/json"
    connection.request(method, path, payload, headers)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    if response.status >= 400:
        raise RuntimeError(f"{method} {path}: {response.status} {data[:500]!r}")
    return json.loads(data) if data.strip().startswith((b"{", b"[")) else data


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def upload_lfs(base: str, token: str, repo: str, path: Path, name: str) -> None:
    """Batch, PUT and commit one file the way git-lfs and older HF clients do."""
    oid, size = sha256_file(path), path.stat().st_size
    batch = call(
        base, "POST", f"/{repo}.git/info/lfs/objects/batch", token,
        {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": oid, "size": size}],
         "hash_algo": "sha256"},
        "application/vnd.git-lfs+json",
    )  # fmt: skip
    actions = batch["objects"][0].get("actions")  # type: ignore[index]
    if actions:
        put_file(actions["upload"]["href"], path)
    lines = [
        {"key": "header", "value": {"summary": f"add {name}", "description": ""}},
        {"key": "lfsFile", "value": {"path": name, "algo": "sha256", "oid": oid, "size": size}},
    ]
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    call(base, "POST", f"/api/models/{repo}/commit/main", token, body, "application/x-ndjson")


def hash_and_write(source: Path, target: Path) -> None:
    """The least an upload must do: read, SHA-256, write, fsync."""
    digest = hashlib.sha256()
    view = memoryview(BUFFER)[: 1 << 20]  # stays in the cache between hash and write
    with source.open("rb", buffering=0) as read, target.open("wb", buffering=0) as write:
        while count := read.readinto(view):
            digest.update(view[:count])
            write.write(view[:count])
        os.fsync(write.fileno())
