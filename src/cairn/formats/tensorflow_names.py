"""How TensorFlow names variables in checkpoints: what a name says, and keys of slices.

Slices are keyed by `EncodeTensorNameSlice`
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/saved_tensor_slice_util.cc)
in the order-preserving code of `tensorflow/core/lib/strings/ordered_code.cc`.
"""

from cairn.domain import Role

_OPTIMIZER_PARTS = frozenset((".OPTIMIZER_SLOT", "optimizer", "_optimizer"))
_OPTIMIZER_LEAVES = frozenset(
    (
        *("Adam", "Adam_1", "Momentum", "RMSProp", "RMSProp_1", "Adagrad", "Adadelta"),
        *("Adadelta_1", "Ftrl", "Ftrl_1", "beta1_power", "beta2_power", "adam_m", "adam_v"),
    )
)
_COUNTERS = frozenset(("global_step", "save_counter", "epoch", "step"))
_BUFFERS = frozenset(("moving_mean", "moving_variance"))
_AVERAGE = "ExponentialMovingAverage"
_ATTRIBUTE_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_OWNED = "_trainable_variables"
_ONE_BYTE = 64  # numbers of smaller size take one byte


def role_of_variable(name: str) -> Role:
    """The role of a variable by the path it has in the checkpoint."""
    parts = name.removesuffix(_ATTRIBUTE_SUFFIX).split("/")
    if _OWNED in parts:  # what an optimizer of Keras 3 trains, listed first under the optimizer
        return Role.WEIGHTS
    if _OPTIMIZER_PARTS.intersection(parts) or parts[-1] in _OPTIMIZER_LEAVES:
        return Role.OPTIMIZER
    if parts[-1] in _COUNTERS:
        return Role.METADATA
    if parts[-1] == _AVERAGE:
        return Role.EMA
    return Role.BUFFERS if parts[-1] in _BUFFERS else Role.WEIGHTS


def slice_key(name: str, extents: tuple[tuple[int, int], ...]) -> bytes:
    """The key of one slice of a tensor; extents are (start, length), length -1 for all."""
    escaped = name.encode().replace(b"\0", b"\0\xff")  # FF, also escaped, is in no UTF-8
    numbers = b"".join(_signed(start) + _signed(length) for start, length in extents)
    return b"\0" + escaped + b"\0\1" + _unsigned(len(extents)) + numbers


def _unsigned(number: int) -> bytes:
    size = (number.bit_length() + 7) // 8
    return bytes((size,)) + number.to_bytes(size, "big")


def _signed(number: int) -> bytes:
    """As many leading ones as bytes, then a zero, then the number; negative ones complemented."""
    magnitude = ~number if number < 0 else number
    if magnitude < _ONE_BYTE:
        return bytes((0x80 ^ (number & 0xFF),))
    size = magnitude.bit_length() // 7 + 1
    digits = bytearray((number & ((1 << 8 * size) - 1)).to_bytes(size, "big"))
    header = ((1 << size) - 1) << (16 - size)
    digits[0] ^= header >> 8
    digits[1] ^= header & 0xFF
    return bytes(digits)
