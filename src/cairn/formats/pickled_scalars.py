"""Which inert pickle values stand for one plain value worth showing, and what that value is."""

from struct import calcsize, unpack

from cairn.domain import Scalar
from cairn.formats.limits import MAX_METADATA_VALUE_CHARS
from cairn.formats.naming import printable
from cairn.formats.pickle_program import Call, Extension, Global, Payload, PersistentId, Value
from cairn.formats.pickle_values import Buffer, call_target

_NUMPY_SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
_NUMPY_ARRAYS = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
# numpy dtype names to struct codes, all little-endian.
_NUMPY_CODES = {
    "f8": "<d",
    "f4": "<f",
    "f2": "<e",
    "b1": "<?",
    "i8": "<q",
    "i4": "<i",
    "i2": "<h",
    "i1": "<b",
    "u8": "<Q",
    "u4": "<I",
    "u2": "<H",
    "u1": "<B",
}
_MAX_SHOWN_ARGS = 8


_LEAVES = (
    *(type(None), bool, int, float, str, bytes),
    *(Payload, Global, Extension, Buffer, PersistentId),
)


def is_leaf(value: Value) -> bool:
    """Whether a value is neither a container nor a call."""
    return isinstance(value, _LEAVES)


def shown(value: Value) -> Scalar:
    """How a leaf is shown: itself when it is short and plain, else a description."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, str):
        return printable(value, MAX_METADATA_VALUE_CHARS)
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, Payload):
        return f"<{value.kind} of {value.stop - value.start} bytes>"
    if isinstance(value, Global):
        return printable(value.full_name, MAX_METADATA_VALUE_CHARS)
    if isinstance(value, Extension):
        return f"<extension {value.code}>"
    return "<persistent id>" if isinstance(value, PersistentId) else "<buffer outside the file>"


def called_scalar(call: Call) -> Scalar:
    """The one plain value a call makes (a device, a size, a number, an enum member), or None.

    A call that was given state, items or elements, or has arguments that are not plain, makes
    none; a NumPy array of numbers, which is built by a call and its state, is described.
    """
    target = call_target(call)
    if target in _NUMPY_ARRAYS:
        return _numpy_array(call)
    if call.states or call.items or call.elements or not isinstance(call.args, tuple):
        return None
    if target in _NUMPY_SCALARS:
        return _numpy_number(call.args)
    if target == "torch.device":
        return ":".join(_spelt(part) for part in call.args[:2]).replace("'", "")
    if target == "torch.Size" and len(call.args) == 1 and isinstance(call.args[0], (tuple, list)):
        return spelt(call.args[0][:_MAX_SHOWN_ARGS])
    if not target or not 0 < len(call.args) <= _MAX_SHOWN_ARGS:
        return None
    if not all(is_leaf(argument) for argument in call.args):
        return None
    text = f"{target}({', '.join(_spelt(argument) for argument in call.args)})"
    return printable(text, MAX_METADATA_VALUE_CHARS)


def spelt(values: tuple[Value, ...] | list[Value]) -> str:
    """A short sequence of plain values as text: `[3, 'same']`."""
    return f"[{', '.join(_spelt(value) for value in values)}]"


def _spelt(value: Value) -> str:
    return repr(shown(value))[:200] if is_leaf(value) else "..."


def _integer(value: int) -> Scalar:
    """Integers beyond 64 bits as hexadecimal text: decimal conversion is quadratic."""
    if value.bit_length() <= 64:
        return value
    digits = hex(value)
    return digits if len(digits) <= 80 else f"{digits[:80]}… ({value.bit_length()} bits)"


def _numpy_number(args: tuple[Value, ...]) -> Scalar:
    """The number in `scalar(dtype(code, ...), bytes)`; bytes may be spelt as encoded text."""
    if len(args) != 2:
        return None
    code = _NUMPY_CODES.get(_numpy_dtype(args[0]))
    data = args[1]
    match data:
        case Call(args=(str(text), "latin1")) if call_target(data) == "_codecs.encode":
            data = text.encode("latin-1", "replace")
    if code is None or not isinstance(data, bytes) or len(data) != calcsize(code):
        return None
    number: Scalar = unpack(code, data)[0]
    return number


def _numpy_array(call: Call) -> Scalar:
    """`<NumPy array of u4, shape [624]>`; arrays of objects are walked like any container."""
    match call.states:
        case [(_, tuple(shape), dtype, _, data)] if not isinstance(data, list):
            sizes = ", ".join(_spelt(n) for n in shape[:_MAX_SHOWN_ARGS])
            return f"<NumPy array of {_numpy_dtype(dtype) or 'unknown type'}, shape [{sizes}]>"
    return None


def _numpy_dtype(value: Value) -> str:
    match value:
        case Call(args=(str(name), *_)) if call_target(value) == "numpy.dtype":
            return printable(name, 20)
    return ""
