"""Copies of this process that train together over gloo: cheaper than new ones that import torch."""

import json
import os
import socket
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist


class RanksFailedError(Exception):
    """What became of the ranks that did not come through."""


def in_ranks(size: int, folder: Path, work: Callable[[int], Any]) -> list[Any]:
    """What `work(rank)` gives on each rank, as JSON; an error of a rank is this one's."""
    folder.mkdir(parents=True, exist_ok=True)
    children = [_start(rank, size, folder, work) for rank in range(size)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    told = [folder / f"{rank}.txt" for rank in range(size)]
    failed = [f"rank {n} ({code}): {_read(told[n])}" for n, code in enumerate(codes) if code]
    if failed:
        raise RanksFailedError("\n".join(failed))
    return [json.loads(one.read_text()) for one in told]


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else "died"


def in_launched_ranks(size: int, folder: Path, program: Callable[[], Any]) -> None:
    """Run a program that makes its process group by itself, as a launcher would."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    def launched(rank: int) -> None:
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
        told |= {"GROUP_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in told.items()})
        os.environ["TORCHELASTIC_RUN_ID"] = "none"
        dist.destroy_process_group()
        program()

    in_ranks(size, folder, launched)


def _start(rank: int, size: int, folder: Path, work: Callable[[int], Any]) -> int:
    child = os.fork()
    if child:
        return child
    code, text = 1, ""
    try:
        torch.set_num_threads(1)
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        store = dist.FileStore(str(folder / "store"), size)
        dist.init_process_group(
            "gloo", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=60)
        )
        text = json.dumps(work(rank))
        code = 0
    finally:
        (folder / f"{rank}.txt").write_text(traceback.format_exc() if code else text)
        os._exit(code)
