"""The named tensors in one model-parallel rank's flat vectors, by ZeRO stage.

Weights are called as in the module (`module.layer.weight`), masters `optimizer.fp32.layer.weight`,
moments `optimizer.state.layer.weight.exp_avg`. In stage 3 the masters are the only weights.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import prod

from cairn.domain import DType, Piece, Role, Scalar, Span, TensorInfo
from cairn.errors import LimitError, MalformedError
from cairn.formats.deepspeed_files import Part
from cairn.formats.deepspeed_states import ModelStates, Partitioning, Shapes
from cairn.formats.flat_runs import FlatRuns
from cairn.formats.limits import MAX_NAME_CHARS, MAX_TENSORS
from cairn.formats.naming import printable
from cairn.formats.strided_pieces import Pieces

_MASTER = {
    1: "optimizer_state_dict.single_partition_of_fp32_groups.",
    2: "optimizer_state_dict.single_partition_of_fp32_groups.",
    3: "optimizer_state_dict.fp32_flat_groups.",
}
# Elastic checkpoints keep the states of groups in a list, without `state` around it.
_STATE = re.compile(
    r"optimizer_state_dict\.(?:base_optimizer_state|optimizer_state_dict)\.(?:state\.)?"
    r"(\d{1,6})\.(.+)"
)
_SETTING = re.compile(
    r"optimizer_state_dict\.(?:base_optimizer_state|optimizer_state_dict)\.(param_groups\..+)"
)
_FRAGMENT = "frozen_param_fragments."
_FP32 = "fp32"

Vectors = dict[str, TensorInfo]
"""What one rank holds of one group: its master under `fp32`, moments under their own names."""


class ZeroTensors:
    """What one model-parallel rank holds: `collect` fills `tensors`."""

    def __init__(
        self, how: Partitioning, model: ModelStates, states: list[Part], optimizers: list[Part]
    ) -> None:
        self.tensors: list[TensorInfo] = []
        self.stage = how.stage
        self.ranks = how.ranks
        self._paddings = how.paddings
        self._model = model
        self._states = states
        self._optimizers = optimizers
        self._stored = [{t.name: t for t in part.layout.tensors} for part in optimizers]
        self._moments: dict[int, dict[str, str]] = {}
        for name in self._stored[0]:
            match = _STATE.fullmatch(name)
            if match:
                self._moments.setdefault(int(match[1]), {})[match[2]] = name
        self._names: set[str] = set()
        self._masters: dict[str, TensorInfo] = {}
        self._made = Pieces(states[0].path)
        self._prefix = ""

    def settings(self) -> Iterator[tuple[str, Scalar]]:
        """The values of the model states, then the optimizer's settings by group."""
        yield from self._states[0].layout.metadata.items()
        for key, value in self._optimizers[0].layout.metadata.items():
            match = _SETTING.fullmatch(key)
            if match:
                yield f"optimizer.{match[1]}", value

    def collect(self, prefix: str) -> None:
        """List every tensor under a name that begins with `prefix`.

        Raises:
            MalformedError: a vector is missing, too short, or longer than its parameters.
            LimitError: too many tensors or pieces.
        """
        self._prefix = prefix
        self._module()
        if self.stage == 3:
            self._partitioned()
            self._frozen()
        else:
            for number, shapes in enumerate(self._model.groups):
                if shapes:
                    self._group(number, shapes)
        for name, source in self._model.shared.items():
            known = self._masters.get(source)
            if known is not None and name not in self._masters:
                self._list(replace(known, name=self._master_name(name)))

    # --- the module ----------------------------------------------------------------------

    def _module(self) -> None:
        """The tensors of the model states; in stage 3 parameters are empty placeholders there."""
        first = self._states[0]
        parameters = (*self._model.groups, self._model.frozen, self._model.shared)
        absent = {f"module.{n}" for n in (n for names in parameters for n in names)}
        for tensor in first.layout.tensors:
            if tensor.name.startswith(_FRAGMENT) or (self.stage == 3 and tensor.name in absent):
                continue
            is_buffer = tensor.name.removeprefix("module.") in self._model.buffers
            self._list(
                replace(
                    tensor,
                    name=self._prefix + tensor.name,
                    span=Span(0, 0),
                    strides=None,
                    pieces=self._made.whole(tensor, first.name),
                    role=Role.BUFFERS if is_buffer else tensor.role,
                    container=self._prefix + tensor.container if tensor.container else "",
                )
            )

    # --- stages 1 and 2 --------------------------------------------------------------------

    def _group(self, number: int, shapes: Shapes) -> None:
        """Parameters laid end to end, cut into one run per rank."""
        ranks = [self._vectors(rank, number) for rank in range(self.ranks)]
        runs = {key: self._runs(key, enumerate(ranks)) for key in ranks[0]}
        paddings = self._paddings[number] if number < len(self._paddings) else ()
        offset = 0
        for at, (name, shape) in enumerate(shapes.items()):
            count = prod(shape)
            for key, vector in runs.items():
                self._add(
                    name, key, shape, vector.dtype, self._made.counted(vector.pieces(offset, count))
                )
            self._add_scalars(name, number, ranks[0])
            offset += count + (paddings[at] if at < len(paddings) else 0)
        # Two paddings of up to 2 * ranks elements that the file does not say exactly.
        unit, held = 2 * self.ranks, runs[_FP32].elements
        if -(-offset // unit) != -(-held // unit):
            raise self._refusal(f"group {number} holds {held} elements, its parameters {offset}")

    # --- stage 3 ---------------------------------------------------------------------------

    def _partitioned(self) -> None:
        """Every parameter cut by itself; a rank's runs lie end to end over its groups."""
        count = next(n for n in range(MAX_TENSORS) if f"{_MASTER[3]}{n}" not in self._stored[0])
        if not count:
            raise self._refusal("no fp32_flat_groups: these are not the states of stage 3")
        held = [[self._vectors(rank, n) for n in range(count)] for rank in range(self.ranks)]
        runs = {
            key: [self._runs(key, ((rank, v) for v in held[rank])) for rank in range(self.ranks)]
            for key in held[0][0]
        }
        offset = 0
        for shapes in self._model.groups:
            for name, shape in shapes.items():
                for key, vectors in runs.items():
                    pieces = self._made.counted(self._split(vectors, offset, prod(shape)))
                    self._add(name, key, shape, vectors[0].dtype, pieces)
                self._add_scalars(name, 0, held[0][0])
                offset += self._partition(prod(shape))
        for vector in runs[_FP32]:
            if vector.elements != offset:
                raise self._refusal(
                    f"a rank holds {vector.elements} elements, its parameters {offset}"
                )

    def _frozen(self) -> None:
        """Parameters that are not trained: cut likewise, each kept in the model states."""
        stored = [{t.name: t for t in part.layout.tensors} for part in self._states]
        for name, shape in self._model.frozen.items():
            parts: list[FlatRuns] = []
            for part, tensors in zip(self._states, stored, strict=True):
                fragment = tensors.get(_FRAGMENT + name)
                if fragment is None:
                    raise self._refusal(f"{name[:200]!r} is not in {part.path[:200]!r}")
                parts.append(FlatRuns([(part.name, fragment)]))
            pieces = self._made.counted(self._split(parts, 0, prod(shape)))
            self._add(name, _FP32, shape, parts[0].dtype, pieces)

    def _split(self, vectors: list[FlatRuns], offset: int, count: int) -> Iterator[Piece]:
        """The runs of one parameter of `count` elements, without the padding of the last ones."""
        size = self._partition(count)
        for rank, vector in enumerate(vectors):
            first = rank * size
            if first >= count:
                return
            if vector.dtype is not vectors[0].dtype:
                raise self._refusal("ranks keep a parameter in different dtypes")
            yield from vector.pieces(offset, min(size, count - first), first)

    def _partition(self, count: int) -> int:
        return -(-count // self.ranks)

    # --- both --------------------------------------------------------------------------------

    def _vectors(self, rank: int, number: int) -> Vectors:
        """What a rank's file holds of a group: the master and every moment of the same shape."""
        stored, path = self._stored[rank], self._optimizers[rank].path
        master = stored.get(f"{_MASTER[self.stage]}{number}")
        if master is None:
            raise self._refusal(f"{path[:200]!r} holds no master weights of group {number}")
        found = {_FP32: master}
        for key, name in self._moments.get(number, {}).items():
            moment = stored.get(name)
            if moment is not None and moment.shape == master.shape:
                found[key] = moment
        return found

    def _runs(self, key: str, ranked: Iterable[tuple[int, Vectors]]) -> FlatRuns:
        parts: list[tuple[str, TensorInfo]] = []
        for rank, vectors in ranked:
            part = self._optimizers[rank]
            if key not in vectors:
                raise self._refusal(f"{part.path[:200]!r} holds no {key[:100]!r} of every group")
            parts.append((part.name, vectors[key]))
        return FlatRuns(parts)

    def _add_scalars(self, name: str, number: int, flat: Vectors) -> None:
        """Moments that are no flat vector, such as the step: the group's is each parameter's."""
        for key, stored in self._moments.get(number, {}).items():
            tensor = self._stored[0][stored]
            if key not in flat and tensor.elements:
                pieces = self._made.whole(tensor, self._optimizers[0].name)
                self._add(name, key, tensor.shape, tensor.dtype, pieces)

    def _add(
        self, name: str, key: str, shape: tuple[int, ...], dtype: DType, pieces: tuple[Piece, ...]
    ) -> None:
        is_weight = key == _FP32 and self.stage == 3
        full = f"{self._prefix}optimizer.state.{name}.{key}"
        tensor = TensorInfo(
            name=self._master_name(name) if key == _FP32 else printable(full, MAX_NAME_CHARS),
            dtype=dtype,
            shape=shape,
            span=Span(0, 0),
            role=Role.WEIGHTS if is_weight else Role.OPTIMIZER,
            pieces=pieces,
            container=f"{self._prefix}module" if is_weight else "",
        )
        if key == _FP32:
            self._masters[name] = tensor
        self._list(tensor)

    def _master_name(self, name: str) -> str:
        group = "module" if self.stage == 3 else "optimizer.fp32"
        return printable(f"{self._prefix}{group}.{name}", MAX_NAME_CHARS)

    def _list(self, tensor: TensorInfo) -> None:
        if tensor.name in self._names:
            raise self._refusal(f"two tensors are called {tensor.name[:200]!r}")
        self._names.add(tensor.name)
        self.tensors.append(tensor)
        if len(self.tensors) > MAX_TENSORS:
            raise LimitError(f"more than {MAX_TENSORS} tensors", source=self._states[0].path)

    def _refusal(self, why: str) -> MalformedError:
        return MalformedError(why, source=self._states[0].path)
