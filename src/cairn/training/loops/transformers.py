"""The Trainer of transformers, saved and resumed to the bit by one more line.

Its own checkpoints leave out the seed of its sampler, sums of losses between two logs and what
the bits depend on beside the state. A checkpoint here is taken where a step begins: what came
after the step before (logging, evaluation, the end of an epoch) has drawn its random numbers,
and the batches of the next are fetched. A resumed run puts the random numbers back at that place.
The order of events is that of `Trainer._inner_training_loop` in transformers 5.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from cairn.errors import MissingExtraError, RequestError

try:
    from transformers import (
        Trainer,
        TrainerCallback,
        TrainerControl,
        TrainerState,
        TrainingArguments,
    )
    from transformers.trainer_callback import ExportableState
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "this needs transformers and accelerate: pip install transformers accelerate"
    ) from error

from cairn.training.checkpoints import steps, values_of
from cairn.training.loops.order import KnownOrder, known_order
from cairn.training.orders import orders_for
from cairn.training.run import Run
from cairn.training.stateful import RandomStatesPart

_STATE_FILE = "trainer_state.json"
_SUMS = ("_tr_loss", "_total_loss_scalar", "_globalstep_last_logged", "current_flos")
_NOT_METRICS = frozenset(("step", "epoch"))


class _ReachedError(Exception):
    """There is no step left; the trainer itself would do one more in the middle of an epoch."""


class Sums:
    """What a trainer adds up between two logs."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def state_dict(self) -> dict[str, Any]:
        """Loss and operations so far, and the step of the last log."""
        return {name: getattr(self._trainer, name) for name in _SUMS}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on adding."""
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                value = value.to(self._trainer.args.device)
            setattr(self._trainer, name, value)


class Saving(TrainerCallback):
    """Saves a trainer's run every so many steps; `trainer.train()` goes on with what is saved."""

    def __init__(
        self,
        trainer: Trainer,
        folder: Path | str,
        *,
        every: int,
        allow: Collection[str] | str = (),
        **options: Any,
    ) -> None:
        """`options` are those of `Run`, such as `keep`, `name` and `data_digest`.

        A checkpoint that is handed to `trainer.train(resume_from_checkpoint=...)` goes before.
        """
        if every < 1:
            raise RequestError(f"saving every {every} steps means nothing: take 1 or more")
        self._trainer = trainer
        self._folder = Path(folder)
        self._every = every
        self._allow = allow
        self._options = options
        self._run: Run | None = None
        self._running = ExitStack()
        self._order: KnownOrder | None = None
        self._random = RandomStatesPart("random")
        self._resumed_random: Any = None
        self._going_on_from: int | None = None
        self._saved_at = 0
        replaced: Any = trainer
        replaced._inner_training_loop = partial(self._train, trainer._inner_training_loop)
        replaced._finalize_training = partial(self._finish, trainer._finalize_training)

    def _train(
        self,
        train: Callable[..., Any],
        batch_size: int | None = None,
        resume_from_checkpoint: str | None = None,
        **rest: Any,
    ) -> Any:
        """Have the trainer begin in the middle, and close the run when it is through."""
        orders = orders_for(self._folder)
        folder = Path(self._folder if orders.into is None else orders.into)
        newest = next(reversed(steps(folder)), None)
        step = newest if orders.step is None else orders.step
        go_on = resume_from_checkpoint is None and step is not None
        with TemporaryDirectory(prefix="cairn-trainer.") as place, ExitStack() as self._running:
            if go_on and step is not None:
                self._going_on_from = step
                said = values_of(folder, step)["trainer_state"]
                (Path(place) / _STATE_FILE).write_text(said)
            try:
                return train(
                    batch_size=batch_size,
                    resume_from_checkpoint=place if go_on else resume_from_checkpoint,
                    **rest,
                )
            except _ReachedError:
                trainer: Any = self._trainer
                return trainer._finalize_training(rest.get("trial"), 0, time.time())

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **objects: Any,
    ) -> None:
        """Put everything back that the trainer has built by now."""
        del control
        self._order = _order(objects["train_dataloader"])
        seed = {"seed": args.seed, **self._options}
        self._run = self._running.enter_context(
            Run(self._folder, **seed, **dict(self._parts(objects)))
        )
        self._saved_at = state.global_step
        step, self._going_on_from = self._going_on_from, None
        if step is not None:
            self._run.resume(step=step, allow=self._allow)
            self._resumed_random = self._random.state()
            if state.global_step >= state.max_steps:
                raise _ReachedError

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Put the random numbers back once; save when it is time."""
        del args, control
        random, self._resumed_random = self._resumed_random, None
        if random is not None:
            self._random.load(random)
        elif state.global_step % self._every == 0:
            self._save(state)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **said: Any
    ) -> None:
        """Enter in the run's curves what is logged of a step."""
        del args, control
        if self._run is not None and state.global_step:
            self._run.log(state.global_step, epoch=state.epoch, **_numbers(said["logs"]))

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The next epoch has an order of its own; one that was broken off has not ended."""
        del args, control
        if self._order is not None and float(state.epoch).is_integer():
            self._order.end()

    def _finish(self, finish: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Save where training ends, before the trainer may load the best model."""
        self._save(self._trainer.state)
        return finish(*arguments, **named)

    def _save(self, state: TrainerState) -> None:
        if self._run is None or state.global_step == self._saved_at:
            return
        self._saved_at = state.global_step
        values = {"trainer_state": _told(self._trainer)}
        self._run.save(state.global_step, metrics=_metrics(state), values=values)

    def _parts(self, objects: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        yield "model", objects["model"]
        optimizer = objects["optimizer"]
        yield "optimizer", getattr(optimizer, "optimizer", optimizer)  # as accelerate wraps it
        yield "scheduler", objects["lr_scheduler"]
        scaler = getattr(self._trainer.accelerator, "scaler", None)
        if scaler is not None:
            yield "scaler", scaler
        if self._order is not None:
            yield "order", self._order
        yield "sums", Sums(self._trainer)


def _order(loader: Any) -> KnownOrder | None:
    """The order of samples; None for a stream of data, which the trainer itself reads again."""
    is_stream = isinstance(loader.dataset, torch.utils.data.IterableDataset)
    return None if is_stream else known_order(loader)


def _told(trainer: Trainer) -> str:
    """`trainer_state.json` as `Trainer._save_checkpoint` writes it."""
    told = dataclasses.asdict(trainer.state)
    stateful: dict[str, Any] = {}
    for one in [*trainer.callback_handler.callbacks, trainer.control]:
        if isinstance(one, ExportableState):
            name = type(one).__name__
            stateful[name] = [*stateful[name], one.state()] if name in stateful else one.state()
    return json.dumps({**told, "stateful_callbacks": stateful})


def _metrics(state: TrainerState) -> dict[str, float]:
    """The numbers that were logged at this step."""
    logged = [entry for entry in state.log_history if entry.get("step") == state.global_step]
    return {name: value for entry in logged for name, value in _numbers(entry).items()}


def _numbers(logged: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: value
        for name, value in logged.items()
        if name not in _NOT_METRICS and isinstance(value, int | float)
    }
