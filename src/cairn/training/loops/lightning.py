"""The Trainer of Lightning, saved and resumed to the bit by one more callback.

Its own checkpoints have no random numbers, and an ordinary loader begins its epoch anew. A
checkpoint here is taken where a batch begins: validation, schedules and the end of the epoch
before are done. The counts of its loops are written as if the batch had not been begun
(`_TrainingEpochLoop.advance`, lightning 2.6).
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from cairn.errors import MissingExtraError, RequestError

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise MissingExtraError("this needs Lightning: pip install lightning") from error

from cairn.training.loops.order import KnownOrder, batch_samples, known_order
from cairn.training.run import Run
from cairn.training.stateful import RandomStatesPart

_EPOCH = "epoch_loop.batch_progress"
_NOT_METRICS = ("step", "epoch")


class Loops:
    """How far a trainer's loops have come, and the state of its callbacks."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer: Any = trainer  # `callbacks` is known at run time only
        self.is_over = False
        """No batch has begun: training is at its end."""

    def state_dict(self) -> dict[str, Any]:
        """Counts by the name of the loop, states by the key of the callback."""
        loops = self._trainer.fit_loop.state_dict()
        if not self.is_over:
            loops[_EPOCH] = _before_the_batch(loops[_EPOCH])
        return {"loops": loops, "callbacks": dict(self._callback_states())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Have the loops begin there."""
        self._trainer.fit_loop.load_state_dict(state["loops"])
        for callback in self._trainer.callbacks:
            if callback.state_key in state["callbacks"]:
                callback.load_state_dict(state["callbacks"][callback.state_key])

    def _callback_states(self) -> Iterator[tuple[str, Any]]:
        for callback in self._trainer.callbacks:
            if said := callback.state_dict():
                yield callback.state_key, said


def _before_the_batch(progress: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of batches without the one that is ready and not begun."""
    told = {
        name: {**progress[name], "ready": progress[name]["completed"]}
        for name in ("total", "current")
    }
    return {**told, "is_last_batch": False}


class Saving(Callback):
    """Saves a run every so many optimizer steps; `trainer.fit` goes on with what is saved."""

    def __init__(
        self,
        folder: Path | str,
        *,
        every: int,
        allow: Collection[str] | str = (),
        **options: Any,
    ) -> None:
        """`options` are those of `Run`, such as `keep`, `name` and `data_digest`."""
        if every < 1:
            raise RequestError(f"saving every {every} steps means nothing: take 1 or more")
        self._folder = Path(folder)
        self._every = every
        self._allow = allow
        self._options = options
        self._run: Run | None = None
        self._loops: Loops | None = None
        self._order = _LateOrder()
        self._random = RandomStatesPart("random")
        self._resumed_random: Any = None
        self._saved_at = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put everything back before the loader starts."""
        del pl_module
        self._order = _LateOrder()
        self._loops = Loops(trainer)
        self._run = Run(self._folder, **self._options, **dict(self._parts(trainer)))
        self._order.listen(trainer)
        self._saved_at = 0
        back = self._run.resume(allow=self._allow)
        if back is not None:
            self._saved_at = back.step
            self._resumed_random = self._random.state()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Put the random numbers back once; save when it is time."""
        del pl_module, batch
        if not self._order.is_checked:
            self._order.check(trainer)
        random, self._resumed_random = self._resumed_random, None
        if random is not None:
            self._random.load(random)
        elif trainer.global_step % self._every == 0:
            self._save(trainer, batch_idx)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Enter in the run's curves what was logged, as often as the trainer logs."""
        del pl_module, outputs, batch, batch_idx
        step = trainer.global_step
        often: int = trainer.log_every_n_steps  # type: ignore[attr-defined] # set at run time
        if self._run is not None and step and step % often == 0:
            self._run.log(step, epoch=trainer.current_epoch, **_numbers(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The next epoch has an order of its own."""
        del pl_module
        if trainer.fit_loop.epoch_loop._num_ready_batches_reached():
            self._order.end()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last step."""
        del pl_module
        assert self._loops is not None
        self._loops.is_over = True
        self._save(trainer, trainer.fit_loop.epoch_loop.batch_progress.current.completed)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Wait until what was saved is durable."""
        del trainer, pl_module, stage
        self._close(None)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """What was saved before stays saved."""
        del trainer, pl_module
        self._close(exception)

    def _close(self, error: BaseException | None) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.__exit__(type(error) if error else None, error, None)

    def _save(self, trainer: Trainer, batches: int) -> None:
        step = trainer.global_step
        if self._run is None or step == self._saved_at:
            return
        self._saved_at = step
        self._order.batches = batches
        accumulated = batches % trainer.accumulate_grad_batches
        self._run.save(step, metrics=_numbers(trainer), accumulated=accumulated)

    def _parts(self, trainer: Trainer) -> Iterator[tuple[str, Any]]:
        yield "model", trainer.lightning_module
        for number, optimizer in enumerate(trainer.optimizers):
            yield f"optimizer_{number}", optimizer
        for number, config in enumerate(trainer.lr_scheduler_configs):
            yield f"scheduler_{number}", config.scheduler
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is not None:
            yield "scaler", scaler
        yield "order", self._order
        assert self._loops is not None
        yield "loops", self._loops


def _numbers(trainer: Trainer) -> dict[str, float]:
    logged = trainer.callback_metrics
    return {name: logged[name].item() for name in logged if name not in _NOT_METRICS}


class _LateOrder:
    """The order of a loader that the trainer asks for after its state was put back."""

    def __init__(self) -> None:
        self.batches = 0
        """What the loop has had of this epoch."""
        self.is_checked = False
        self._known: KnownOrder | None = None
        self._state: Mapping[str, Any] | None = None
        self._samples = 1

    def listen(self, trainer: Trainer) -> None:
        """Know the loader as soon as the trainer gets it."""
        source = trainer.fit_loop._data_source
        ask = source.dataloader

        def dataloader() -> Any:
            loader = ask()
            if isinstance(loader, DataLoader):
                self._know(loader)
            return loader

        source.dataloader = dataloader  # type: ignore[method-assign]

    def _know(self, loader: DataLoader[Any]) -> None:
        self._known = known_order(loader)
        self._samples = batch_samples(loader)
        state, self._state = self._state, None
        if state is not None:
            self._known.load_state_dict(state["order"])
            self._known.skipped = state["batches"] * self._samples

    def check(self, trainer: Trainer) -> None:
        """Whether the loader that runs is the one that is known.

        Raises:
            RequestError: it is not, so its order is not the one that was saved.
        """
        loaders = trainer.fit_loop._combined_loader
        running = [] if loaders is None else loaders.flattened
        if self._known is None or [known_order(one) for one in running] != [self._known]:
            raise RequestError(
                "the order of the samples cannot be had again: give the trainer one DataLoader,"
                " and Trainer(use_distributed_sampler=False) if it has a sampler of its own"
            )
        self.is_checked = True

    def end(self) -> None:
        """The epoch is over."""
        self.batches = 0
        if self._known is not None:
            self._known.end()

    def state_dict(self) -> dict[str, Any]:
        """What the order of the epoch follows from, and the place in it."""
        order = None if self._known is None else self._known.state_dict()
        return {"batches": self.batches, "order": order}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Kept until the loader is there."""
        self.batches = state["batches"]
        self._state = state if state["order"] is not None else None
