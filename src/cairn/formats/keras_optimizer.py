"""Which variable of a Keras model each state of its optimizer belongs to.

    optimizer_weights.<optimizer>.<path of the variable with _>_<what>    HDF5: named
    optimizer.vars.<number>         .keras: iteration, learning rate, then what each variable has

Keras 3 keeps all that one variable has together, in the order of `trainable_variables`: layers as
the configuration lists them (`add_optimizer_variables` in
https://github.com/keras-team/keras/blob/master/keras/src/optimizers/base_optimizer.py).
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from cairn.formats.optimizer_states import Parameter
from cairn.formats.weight_names import Shape

_NUMBERED = re.compile(r"optimizer\.vars\.(\d{1,7})\Z")
_NAMED = "optimizer_weights."
_OLD_GROUP = "model_weights."
_OWN_NUMBERS = 2  # iteration and learning rate
_VARIABLE = re.compile(r"(?P<group>.*)\.vars\.(?P<number>\d{1,7})\Z")


def states_by_name(states: Iterable[str], weights: Iterable[str]) -> dict[str, str]:
    """The weight that each state's own name spells, where there is exactly one."""
    spelt: dict[str, list[str]] = {}
    for weight in weights:
        _, _, path = weight.removeprefix(_OLD_GROUP).partition(".")
        spelt.setdefault(path.replace(".", "_"), []).append(weight)
    found: dict[str, str] = {}
    for state in states:
        _, _, leaf = state.removeprefix(_NAMED).partition(".")
        path = leaf
        while state.startswith(_NAMED) and "_" in path:
            path = path.rpartition("_")[0]
            if path in spelt:
                if len(spelt[path]) == 1:
                    found[state] = spelt[path][0]
                break
    return found


def has_numbered_states(states: Iterable[str]) -> bool:
    """Whether an optimizer's states are numbered as those of a `.keras` file are."""
    return any(_NUMBERED.match(state) for state in states)


def states_by_order(
    states: Iterable[Parameter], weights: Mapping[str, Shape], modules: Sequence[str]
) -> tuple[dict[str, str], str]:
    """The weight of each numbered state, or why it cannot be told.

    `modules` are the groups of the layers in the order of the configuration.
    """
    order = _order(weights, modules)
    if order is None:
        return {}, "the order of the variables inside a layer is not known"
    numbered = {int(m[1]): (n, s) for n, s in states if (m := _NUMBERED.match(n))}
    kept = [numbered[number] for number in sorted(numbered) if number >= _OWN_NUMBERS]
    slots, rest = divmod(len(kept), len(order)) if order else (0, 1)
    if rest or not slots:
        return {}, f"the optimizer has {len(kept)} states, the weights are {len(order)}"
    together = [name for name in order for _ in range(slots)]
    apart = order * slots
    fitting: list[list[str]] = []
    for candidate in (together, apart):
        fits = all(s == weights[n] for (_, s), n in zip(kept, candidate, strict=True))
        if fits and candidate not in fitting:
            fitting.append(candidate)
    if len(fitting) != 1:
        return {}, "no way to number the variables fits" if not fitting else "two ways fit"
    return {state: name for (state, _), name in zip(kept, fitting[0], strict=True)}, ""


def _order(weights: Mapping[str, Shape], modules: Sequence[str]) -> list[str] | None:
    """The weights layer by layer; None where a layer has several groups, or none is known."""
    places = {path: at for at, path in enumerate(modules)}
    groups: dict[str, set[str]] = {}
    keyed: list[tuple[int, int, str]] = []
    for name in weights:
        match = _VARIABLE.match(name)
        layer = match["group"] if match else ""
        while layer and layer not in places:
            layer = layer.rpartition(".")[0]
        if match is None or not layer:
            return None
        groups.setdefault(layer, set()).add(match["group"])
        keyed.append((places[layer], int(match["number"]), name))
    if any(len(below) > 1 for below in groups.values()):
        return None
    return [name for _, _, name in sorted(keyed)]
