"""A training run: its parts, its folder, and checkpoints that are written while it goes on."""

from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cairn.domain import Retention
from cairn.errors import RequestError
from cairn.training.capture import Capture, captured
from cairn.training.folders import remove_step, step_folders
from cairn.training.resuming import Resumed, is_finite, metrics_of, resume, steps
from cairn.training.saving import write
from cairn.training.staging import Staging


class Run:
    """Saves in the background: `save` returns when the state is copied, not when it is written.

    At most one checkpoint is being written. What goes wrong with it is raised by the next `save`,
    by `wait`, or on leaving the `with` block, which waits. Copies take as much memory as the state.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        keep: Retention | None = None,
        data_digest: str | None = None,
        code: Path | None = None,
        **parts: object,
    ) -> None:
        """`keep` says which checkpoints stay (all unless given); the rest as `save` takes it."""
        self.folder = Path(folder)
        self._keep = keep
        self._data_digest = data_digest
        self._code = code
        self._parts = parts
        self._staging = Staging()
        self._metrics: dict[int, Mapping[str, float]] = {}
        self._writer = ThreadPoolExecutor(1, "cairn-checkpoint")
        self._writing: Future[None] | None = None
        self._closed = False

    def resume(
        self, *, step: int | None = None, allow: Collection[str] | str = ()
    ) -> Resumed | None:
        """Go on from the newest checkpoint, or from `step`; None where the run has yet to begin.

        Raises:
            As `resume`, but for a run without checkpoints if no step is named.
        """
        self.wait()
        if step is None and not self.steps():
            return None
        return resume(
            self.folder,
            step=step,
            allow=allow,
            data_digest=self._data_digest,
            code=self._code,
            **self._parts,
        )

    def steps(self) -> list[int]:
        """The steps that are kept, in order."""
        return steps(self.folder)

    def save(
        self,
        step: int,
        *,
        metrics: Mapping[str, Any] | None = None,
        values: Mapping[str, Any] | None = None,
        accumulated: int = 0,
    ) -> None:
        """Copy the state, after waiting for the checkpoint before, and have it written.

        Raises:
            RequestError: something cannot be kept exactly, or the run is closed.
            UnavailableError: the checkpoint before could not be written. This one is not either:
                save again.
        """
        if self._closed:
            raise RequestError(f"the run in {self.folder} is closed")
        self.wait()
        capture = captured(
            self._parts,
            step,
            metrics=metrics or {},
            values=values or {},
            accumulated=accumulated,
            data_digest=self._data_digest,
            code=self._code,
        )
        self._writing = self._writer.submit(self._write, self._staging.copied(capture))

    def wait(self) -> None:
        """Until what was saved is durable.

        Raises:
            UnavailableError: it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Wait, and save no more; may be called twice."""
        self._closed = True
        try:
            self.wait()
        finally:
            self._writer.shutdown()

    def _write(self, capture: Capture) -> None:
        write(self.folder, capture)
        if self._keep is not None:
            self._prune(self._keep)

    def _prune(self, policy: Retention) -> None:
        folders = {found.step: found for found in step_folders(self.folder)}
        for step, found in folders.items():
            if step not in self._metrics or step == max(folders):
                self._metrics[step] = metrics_of(found)
        finite = {
            step: {name: v for name, v in self._metrics[step].items() if is_finite(v)}
            for step in folders
        }
        for step in set(folders) - policy.kept(finite):
            remove_step(folders[step])
            del self._metrics[step]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
