"""Which parameter each state of a torch optimizer belongs to.

An optimizer numbers parameters in the order it was given them, group after group:

    param_groups.<g>.params     the numbers of a group, in that order
    state.<number>.<what>       exp_avg, exp_avg_sq, momentum_buffer ...: shaped like the parameter

(https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.state_dict.html). Names are
not stored, so they are matched by order and every shape must fit. The Trainer of Hugging Face makes
two groups, with and without weight decay (`get_decay_parameter_names` in
https://github.com/huggingface/transformers/blob/main/src/transformers/trainer.py). Distributed
checkpoints have the name in place of the number.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cairn.domain import Scalar
from cairn.formats.weight_names import Shape

Parameter = tuple[str, Shape]
_NUMBERED = re.compile(r"(?P<head>(?:.*\.)?)state\.(?P<number>\d{1,9})\.(?P<what>[^.]+)\Z")
_COUNTED = re.compile(r"\[(\d+) values\]\Z")
# How deep the module lies that an optimizer trains alone, and how many are tried.
_MAX_DEPTH = 6
_MAX_MODULES = 100
_NO_DECAY = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


@dataclass(slots=True)
class NumberedStates:
    """The states of one optimizer: shapes by number, and how many parameters each group has.

    `head` is the prefix of its names, `optimizer_states.0.` for example.
    """

    head: str
    states: dict[int, list[Shape]] = field(default_factory=dict)
    groups: tuple[int, ...] = ()


def numbered_states(
    tensors: Iterable[tuple[str, Shape]], metadata: Mapping[str, Scalar]
) -> list[NumberedStates]:
    """The optimizers whose states are numbered, among the optimizer tensors of one file."""
    found: dict[str, NumberedStates] = {}
    for name, shape in tensors:
        match = _NUMBERED.match(name)
        if match is not None:
            optimizer = found.setdefault(match["head"], NumberedStates(match["head"]))
            optimizer.states.setdefault(int(match["number"]), []).append(shape)
    for head, optimizer in found.items():
        optimizer.groups = tuple(_group_sizes(head, metadata))
    return list(found.values())


def _group_sizes(head: str, metadata: Mapping[str, Scalar]) -> Iterator[int]:
    for group in range(len(metadata)):
        value = metadata.get(f"{head}param_groups.{group}.params")
        counted = _COUNTED.match(value) if isinstance(value, str) else None
        if counted is None:
            return
        yield int(counted[1])


@dataclass(frozen=True, slots=True)
class Match:
    """Names by number, or why there are none."""

    names: Mapping[int, str] = field(default_factory=dict)
    reason: str = ""


def matched(optimizer: NumberedStates, orders: Sequence[Sequence[Parameter]]) -> Match:
    """The parameter of each numbered state.

    `orders` are the parameters in each order in which the model may define them. Every state has
    to fit, and only one way to number them may, or nothing is matched.
    """
    if not orders:
        return Match(reason="the order in which the model defines its parameters is not known")
    count = sum(optimizer.groups)
    if not optimizer.groups or max(optimizer.states, default=-1) >= count:
        return Match(reason="the file does not say which parameters the groups hold")
    if count != len(orders[0]):
        return Match(
            reason=f"the optimizer has {count} parameters, the weights have {len(orders[0])}"
        )
    reason = "the groups are not those with and without weight decay"
    fitting: list[dict[int, str]] = []
    for order in orders:
        for candidate in _numberings(optimizer.groups, order):
            misfit = _misfit(optimizer, candidate)
            reason = misfit or reason
            names = {number: candidate[number][0] for number in optimizer.states}
            if misfit is None and names not in fitting:
                fitting.append(names)
    if len(fitting) > 1:
        return Match(reason=f"{len(fitting)} ways to number the parameters fit")
    return Match(fitting[0]) if fitting else Match(reason=reason)


def matched_within(optimizer: NumberedStates, orders: Sequence[Sequence[Parameter]]) -> Match:
    """The same for an optimizer of one module only, such as a generator or a head.

    Exactly one module may have parameters of these shapes in this order.
    """
    count = sum(optimizer.groups)
    fitting: list[Mapping[int, str]] = []
    for order in orders:
        for own in _modules_of(order, count):
            match = matched(optimizer, [own])
            if match.names and match.names not in fitting:
                fitting.append(match.names)
    if len(fitting) == 1:
        return Match(fitting[0])
    return Match(reason=f"{len(fitting)} modules have parameters of these shapes")


def _modules_of(order: Sequence[Parameter], count: int) -> list[list[Parameter]]:
    """The modules of this many parameters, each set of parameters once; none if too many."""
    held: dict[str, list[Parameter]] = {}
    for name, shape in order:
        for depth in range(1, min(name.count("."), _MAX_DEPTH) + 1):
            module = ".".join(name.split(".", depth)[:depth])
            held.setdefault(module, []).append((name, shape))
    once = {own[0][0]: own for own in held.values() if len(own) == count}
    return list(once.values()) if len(once) <= _MAX_MODULES else []


def _numberings(groups: tuple[int, ...], order: Sequence[Parameter]) -> Iterator[list[Parameter]]:
    """The ways in which training code gives parameters to an optimizer."""
    if len(groups) == 1:
        yield list(order)
        return
    vectors = {name for name, shape in order if len(shape) <= 1}
    biased = {name.removesuffix("bias") for name, _ in order if name.endswith(".bias")}
    for spared in (
        # The Trainer: by name, and by class what has the two vectors of a LayerNorm.
        {n for n, _ in order if _NO_DECAY.search(n.lower())}
        | {n for n in vectors if n.endswith(".weight") and n.removesuffix("weight") in biased},
        {n for n, _ in order if _NO_DECAY.search(n.lower())},
        vectors,
    ):
        kept = [pair for pair in order if pair[0] not in spared]
        rest = [pair for pair in order if pair[0] in spared]
        if groups == (len(kept), len(rest)):
            yield [*kept, *rest]
        if groups == (len(rest), len(kept)):
            yield [*rest, *kept]


def _misfit(optimizer: NumberedStates, order: Sequence[Parameter]) -> str | None:
    for number, shapes in sorted(optimizer.states.items()):
        name, shape = order[number]
        for state in shapes:
            if not _fits(state, shape):
                return (
                    f"state {number} has shape {state}, the parameter in its place is {name[:200]}"
                    f" of shape {shape}"
                )
    return None


def _fits(state: Shape, parameter: Shape) -> bool:
    """Like the parameter, one number for all of it, or Adafactor's rows and columns of it."""
    if state == parameter or state in ((), (1,)):
        return True
    rows, columns = parameter[:-1], (*parameter[:-2], *parameter[-1:])
    return len(parameter) > 1 and state in (rows, columns)
