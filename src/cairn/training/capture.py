"""The state of a training run at one instant: what is written, before it is."""

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from cairn.errors import RequestError
from cairn.provenance.code_revision import code_revision, program_folder
from cairn.training.environment import environment
from cairn.training.modules import GradientsPart, ModulePart, device_kinds, parameter_names
from cairn.training.optimizers import OptimizerPart
from cairn.training.parts import Part
from cairn.training.record import Record, SavedPart
from cairn.training.stateful import GeneratorPart, RandomStatesPart, Stateful, StatefulPart
from cairn.training.tensors import TensorTable
from cairn.training.values import Encoder

RANDOM, GRADIENTS, VALUES = "random", "gradients", "values"
OWN = (RANDOM, GRADIENTS, VALUES)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")


@dataclass(frozen=True, slots=True)
class Capture:
    """A record without files yet, and the tensors of each file, which may be the model's own."""

    record: Record
    tables: Mapping[str, TensorTable]


def parts_of(objects: Mapping[str, object], *, accumulated: int) -> dict[str, Part]:
    """The parts that objects of a training loop are, and those that every checkpoint has.

    Raises:
        RequestError: something has no state, or a name that cannot be one.
    """
    for name in objects:
        if not _NAME.match(name) or name in OWN:
            raise RequestError(f"{name!r} cannot name a part; {', '.join(OWN)} are Cairn's own")
    modules = {name: one for name, one in objects.items() if isinstance(one, nn.Module)}
    names = {id(parameter): name for name, parameter in parameter_names(modules)}
    parts = {name: _part(name, one, names) for name, one in objects.items()}
    gradients = GradientsPart(GRADIENTS, modules, accumulated)
    return {**parts, GRADIENTS: gradients, RANDOM: RandomStatesPart(RANDOM)}


def _part(name: str, one: object, names: Mapping[int, str]) -> Part:
    match one:
        case nn.Module():
            return ModulePart(name, one)
        case Optimizer():
            return OptimizerPart(name, one, names)
        case torch.Generator() | np.random.Generator() | np.random.RandomState() | random.Random():
            return GeneratorPart(name, one)
        case Stateful():
            return StatefulPart(name, one)
    raise RequestError(
        f"{name} is a {type(one).__qualname__}, which has no state_dict and load_state_dict:"
        " hand numbers and lists over in values={...}"
    )


def captured(
    objects: Mapping[str, object],
    step: int,
    *,
    metrics: Mapping[str, Any],
    values: Mapping[str, Any],
    accumulated: int,
    data_digest: str | None,
    code: Path | None,
) -> Capture:
    """Look at everything; no tensor is copied.

    Raises:
        RequestError: something cannot be kept exactly.
    """
    if accumulated < 0:
        raise RequestError(f"{accumulated} micro-batches cannot have been accumulated")
    saved: dict[str, SavedPart] = {}
    tables: dict[str, TensorTable] = {}
    parts = parts_of(objects, accumulated=accumulated)
    for name, part in parts.items():
        state, table = part.encoded()
        saved[name] = SavedPart(part.kind, part.class_name, _file(name, table, tables), state)
    own = TensorTable()
    record = Record(
        step=step,
        saved_at=datetime.now(UTC).isoformat(timespec="seconds"),
        accumulated=accumulated,
        metrics={name: _number(name, value) for name, value in metrics.items()},
        values=Encoder(own, VALUES).encode(dict(values)),
        environment=environment(
            code_revision(code or program_folder()), data_digest, device_kinds(objects)
        ),
        parts=saved,
    )
    _file(VALUES, own, tables)
    _check_kept(parts.values(), tables.values(), accumulated)
    return Capture(record, tables)


def _check_kept(parts: Iterable[Part], tables: Iterable[TensorTable], accumulated: int) -> None:
    """Whether all that optimizers train is kept, and not their states alone.

    Raises:
        RequestError: some of it is not.
    """
    held = list(tables)
    for part in parts:
        for name, parameter in part.unnamed() if isinstance(part, OptimizerPart) else ():
            is_half_done = accumulated and parameter.grad is not None
            if is_half_done or not any(table.holds(parameter) for table in held):
                what = "a gradient" if is_half_done else "a parameter"
                raise RequestError(
                    f"{part.name} trains {what} that no part keeps ({name}, of the shape"
                    f" {tuple(parameter.shape)}); nothing was written: hand over the model that"
                    " it is of, or nn.ParameterList([parameter])"
                )


def _file(name: str, table: TensorTable, tables: dict[str, TensorTable]) -> str | None:
    """The file of a part's tensors, entered in `tables`; None where it has none."""
    if not table.tensors:
        return None
    file = f"{name}.safetensors"
    tables[file] = table
    return file


def plain_number(name: str, value: Any) -> int | float:
    """A metric: a number, also one of NumPy or torch.

    Raises:
        RequestError: it is none.
    """
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    if not isinstance(value, int | float):
        raise RequestError(f"the metric {name!r} is a {type(value).__qualname__}, not a number")
    return value


def _number(name: str, value: Any) -> Any:
    return Encoder(TensorTable(), f"metrics.{name}").encode(plain_number(name, value))
