"""The verb save: everything a training run needs, as one folder of safetensors and JSON."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from blake3 import blake3

from cairn.domain import Digest
from cairn.formats.training_record import RECORD
from cairn.training.capture import Capture, captured
from cairn.training.folders import StepFolder, new_step, step_folder, told_as_not_written
from cairn.training.ranks.composition import check_is_shared, composed, report
from cairn.training.ranks.division import Share, share
from cairn.training.ranks.group import Ranks, ranks
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

    Where several ranks train, each of them calls this; the folder is one that all of them see.

    When this returns the checkpoint is durable. Before, or after a failure, it is not there at
    all, and what was saved before is.

    Raises:
        RequestError: something has no state, or cannot be kept exactly; nothing was written.
        UnavailableError: the disk is full or failing.
    """
    together = ranks()
    with together.agreeing():
        capture = captured(
            parts,
            step,
            metrics=metrics or {},
            values=values or {},
            accumulated=accumulated,
            data_digest=data_digest,
            code=code,
        )
    return write(Path(folder), share(capture, together), together)


def write(
    folder: Path, kept: Share, together: Ranks, instead_of: Sequence[StepFolder] = ()
) -> Path:
    """Make a captured state durable; where several ranks train, all of them call this.

    The first makes the draft, each writes its own files into it, and the first publishes it when
    all are durable. If one cannot, or is gone, there is no checkpoint. See `new_step` for
    `instead_of`.

    Raises:
        UnavailableError: the disk is full or failing, the folder is not the same for all ranks,
            or a rank is gone.
    """
    capture, step = kept.capture, kept.capture.record.step
    together.meet(f"save step {step}")
    size_bytes = sum(together.gathered(_size_bytes(capture)))
    with ExitStack() as publishing:
        name = ""
        with together.agreeing():
            if together.is_first:
                draft = new_step(folder, step, size_bytes, instead_of)
                name = publishing.enter_context(draft).name
        place = folder / together.shared(name)
        with together.agreeing(), told_as_not_written(folder, step):
            check_is_shared(place)
            files = {name: _write(place / name, table) for name, table in capture.tables.items()}
        reports = together.gathered_by_first(report(kept, files))
        with together.agreeing(), told_as_not_written(folder, step):
            if together.is_first:
                record = composed(capture.record, reports, place)
                _write_whole(place / RECORD, record.to_bytes())
        with together.agreeing():
            publishing.close()
    published: str = together.shared(step_folder(folder, step).path.name if name else "")
    return folder / published


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
