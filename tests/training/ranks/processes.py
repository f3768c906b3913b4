"""Copies of this process that train together over gloo: cheaper than new ones that import torch."""

import json
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

MOST_S, GRACE_S = 120, 20
# Connections on a loaded machine are refused now and then before anything was begun.
UNMET = "connectFullMesh failed"
TRIES = 3


class RanksFailedError(Exception):
    """What became of the ranks that did not come through."""


def in_ranks(
    size: int, folder: Path, work: Callable[[int], Any], *, are_grouped: bool = True
) -> list[Any]:
    """What `work(rank)` gives on each rank, as JSON; an error of a rank is this one's."""
    for number in range(TRIES):
        place = folder / f"try-{number}"
        place.mkdir(parents=True)
        group = (size, place / "store") if are_grouped else None
        children = [_start(rank, group, place, work) for rank in range(size)]
        codes = _ended(children)
        told = [_read(place / f"{rank}.txt") for rank in range(size)]
        failed = [f"rank {n} ({code}): {told[n]}" for n, code in enumerate(codes) if code]
        if not failed:
            return [json.loads(one) for one in told]
        if not any(UNMET in one for one in failed):
            break
    raise RanksFailedError("\n".join(failed))


def in_launched_ranks(size: int, folder: Path, program: Callable[[], Any]) -> None:
    """Run a program that makes its process group by itself, as a launcher would have it do."""

    def launched(rank: int) -> None:
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
        told |= {"GROUP_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in told.items()})
        os.environ["TORCHELASTIC_RUN_ID"] = "none"
        program()

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    in_ranks(size, folder, launched, are_grouped=False)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else "died"


def _ended(children: list[int]) -> list[int]:
    """The exit codes; when one failed, or all take too long, the others are not waited for."""
    codes: dict[int, int] = {}
    until = time.monotonic() + MOST_S
    while len(codes) < len(children):
        for child in set(children) - set(codes):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                codes[child] = os.waitstatus_to_exitcode(status)
        if any(codes.values()):
            until = min(until, time.monotonic() + GRACE_S)
        if time.monotonic() > until:
            for child in set(children) - set(codes):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return [codes[child] for child in children]


def _start(
    rank: int, group: tuple[int, Path] | None, folder: Path, work: Callable[[int], Any]
) -> int:
    child = os.fork()
    if child:
        return child
    code, text = 1, ""
    try:
        torch.set_num_threads(1)
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        if group is not None:
            size, store = group
            dist.init_process_group(
                "gloo",
                store=dist.FileStore(str(store), size),
                rank=rank,
                world_size=size,
                timeout=timedelta(seconds=60),
            )
        text = json.dumps(work(rank))
        code = 0
    finally:
        (folder / f"{rank}.txt").write_text(traceback.format_exc() if code else text)
        os._exit(code)
