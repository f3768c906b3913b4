"""What a pickled `torch.nn.Module` looks like: the class it is made of and what its state holds.

Sources: `torch/nn/modules/module.py` (`Module.__init__`, `Module._save_to_state_dict`) and
`torch/nn/modules/rnn.py` of torch 2.13.
"""

from cairn.domain import Role, Scalar
from cairn.formats.pickle_program import Call, Global, Mapping, Value
from cairn.formats.pickle_values import call_target
from cairn.formats.pickled_scalars import is_leaf, shown, spelt

GROUPS: dict[str, Role] = {
    "_parameters": Role.WEIGHTS,
    "_buffers": Role.BUFFERS,
    "_modules": Role.WEIGHTS,
}
"""Attributes that only group: `state_dict()` leaves them out of names as well."""

VERSIONS = "_metadata"
"""`state_dict()` hangs the version number of every submodule on its OrderedDict."""

_INTERNAL_ENDINGS = ("_hooks", "_hooks_with_kwargs", "_hooks_always_called", "_set_to_none")
# Recurrent modules keep their parameters a second time, as lists.
_INTERNAL = frozenset(
    (
        *("training", "transposed", "_non_persistent_buffers_set"),
        *("_flat_weights", "_flat_weights_names", "_flat_weight_refs", "_all_weights"),
    )
)
_RECONSTRUCTORS = ("copyreg._reconstructor", "copy_reg._reconstructor")
_MAX_LISTED = 8  # a 3-d convolution has 6 numbers of padding


def is_module_state(state: Mapping) -> bool:
    """Whether an object's state is that of a module."""
    keys = [key for key in state.items[::2] if isinstance(key, str)]
    return "_parameters" in keys and "_modules" in keys


def is_internal(key: str, value: Value) -> bool:
    """Whether an attribute is of no interest: hooks, what is kept elsewhere too, private values."""
    if key in _INTERNAL or key.endswith(_INTERNAL_ENDINGS):
        return True
    parts = value if isinstance(value, (tuple, list)) else (value,)
    is_plain = len(parts) <= _MAX_LISTED and all(is_leaf(part) for part in parts)
    return key.startswith("_") and is_plain


def setting(value: Value) -> Scalar:
    """What a module's attribute says of how it was made, or None if it says nothing.

    Short tuples of plain values are spelt, `[3, 3]`.
    """
    if isinstance(value, Global) or is_leaf(value):
        return shown(value)
    if isinstance(value, (tuple, list)) and 0 < len(value) <= _MAX_LISTED:
        return spelt(value) if all(is_leaf(part) for part in value) else None
    return None


def made_class(call: Call) -> str:
    """The class a call makes an object of: `copyreg._reconstructor` takes it as an argument."""
    target = call_target(call)
    if target in _RECONSTRUCTORS:
        match call.args:
            case (first, *_):
                return str(shown(first))[:200] if is_leaf(first) else target
    return target[:200]
