"""The verb save: everything a training run needs, as one folder of safetensors and JSON."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from blake3 import blake3

from cairn.domain import Digest
from cairn.formats.training_record import RECORD
from cairn.training.capture import Capture, captured
from cairn.training.folders import new_step, step_folder
from cairn.training.record import SavedFile
from cairn.training.tensors import TensorTable, file_bytes

_BLOCK_BYTES = 8 << 20
_HEADER_BYTES = 200  # of a tensor in a header, more or less


def save(
    folder: Path | str,
    step: int,
    *,
    metrics: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    accumulated: int = 0,
    data_digest: str | None = None,
    code: Path | None = None,
    **parts: object,
) -> Path:
    """Keep the state of a training loop after `step` optimizer steps; gives the step's folder.

    `parts` are models, optimizers, schedulers, scalers, averages, samplers, random generators and
    whatever else has `state_dict` and `load_state_dict`, each under a name of your own. The random
    numbers of the process are kept by themselves. `metrics` are numbers such as the loss; `values`
    is whatever else the loop wants back. `accumulated`: micro-batches of the next step that were
    done already, whose gradients are then kept too. `data_digest` names the data, `code` the
    folder of the source (the program's own by default).

    When this returns the checkpoint is durable. Before, or after a failure, it is not there at
    all, and what was saved before is.

    Raises:
        RequestError: something has no state, or cannot be kept exactly; nothing was written.
        UnavailableError: the disk is full or failing.
    """
    capture = captured(
        parts,
        step,
        metrics=metrics or {},
        values=values or {},
        accumulated=accumulated,
        data_digest=data_digest,
        code=code,
    )
    return write(Path(folder), capture)


def write(folder: Path, capture: Capture) -> Path:
    """Make a captured state durable.

    Raises:
        UnavailableError: the disk is full or failing.
    """
    step = capture.record.step
    with new_step(folder, step, _size_bytes(capture)) as draft:
        files = {name: _write(draft / name, table) for name, table in capture.tables.items()}
        _write_whole(draft / RECORD, replace(capture.record, files=files).to_bytes())
    return step_folder(folder, step).path


def _size_bytes(capture: Capture) -> int:
    tables = [table.tensors.values() for table in capture.tables.values()]
    return sum(t.nbytes + _HEADER_BYTES for tensors in tables for t in tensors)


def _write(path: Path, table: TensorTable) -> SavedFile:
    """Write a file of tensors durably while another thread computes its digest."""
    found = blake3()
    size = 0
    with path.open("xb", buffering=0) as file, ThreadPoolExecutor(1) as hashing:
        for block in _blocks(table):
            hashed = hashing.submit(found.update, block)
            _write_all(file.fileno(), block)
            size += len(block)
            hashed.result()
        os.fsync(file.fileno())
    return SavedFile(size, Digest.blake3(found.hexdigest()))


def _blocks(table: TensorTable) -> Iterator[memoryview]:
    for piece in file_bytes(table.tensors, table.also):
        whole = memoryview(piece)
        for at in range(0, len(whole), _BLOCK_BYTES):
            yield whole[at : at + _BLOCK_BYTES]


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _write_whole(path: Path, data: bytes) -> None:
    with path.open("xb", buffering=0) as file:
        _write_all(file.fileno(), memoryview(data))
        os.fsync(file.fileno())
