"""Python values as JSON and back, types included; tensors and arrays go to a table by name.

JSON's own types stand for themselves: null, true, strings, lists, objects, finite numbers
(`repr` of a float names it exactly). Whatever else there is, is an object with one marked key:

| JSON | value |
|---|---|
| {"$int": "-0x1f"} | an integer beyond 63 bits |
| {"$float": "7ff8000000000000"} | NaN or infinity by its bits, big-endian |
| {"$complex": [x, y]} | two floats |
| {"$str": "eda080"} | text with half a surrogate pair, as UTF-8 would have it |
| {"$bytes": "AAE="}, {"$bytearray": "AAE="} | base64 |
| {"$tuple": [...]}, {"$set": [...]}, {"$frozenset": [...]}, {"$size": [...]} | that of its items |
| {"$counter": [[key, count], ...]} | a Counter |
| {"$deque": [longest, ...]} | a deque, its first item the most it may hold or null |
| {"$dict": [[key, value], ...]} | a dict whose keys are not all plain text |
| {"$ordered": [[key, value], ...]} | an OrderedDict |
| {"$tensor": name}, {"$parameter": name} | the tensor of that name |
| {"$array": name} | it again, as a NumPy array |
| {"$scalar": ["<f4", "0000803f"]} | a NumPy scalar: its type and bytes |
| {"$dtype": "float32"}, {"$device": "cuda:0"} | of torch |

Beside `$tensor` and `$parameter` may stand `device` (else the CPU) and `grad` (whether it asks
for a gradient, where that is not the usual).
"""

import base64
import math
import struct
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Buffer, Parameter

from cairn.errors import MalformedError, RequestError
from cairn.training.ranks.sharding import Pieces, is_sharded, placed
from cairn.training.tensors import TensorTable

Json = Any
"""What `json.dumps` writes."""

SavedTensors = Mapping[str, Tensor | Pieces]
"""The tensors of a part by name, some of them in pieces."""

_MAX_DEPTH = 60
_LONG = 1 << 63
_MARK = "$"
_SCALARS = "biufc"


class Encoder:
    """Values into JSON; what cannot be kept exactly is refused with where it stands."""

    def __init__(self, table: TensorTable, owner: str) -> None:
        """`owner`: the part that the values are of, for messages."""
        self._table = table
        self._owner = owner

    def encode(self, value: Any, *where: str) -> Json:
        """The JSON of a value that stands at `where`.

        Raises:
            RequestError: it, or something below it, cannot be kept exactly.
        """
        if len(where) > _MAX_DEPTH:
            raise self._refusal(where[:6], "is nested too deeply: does it contain itself?")
        kind = type(value)
        if kind in (bool, str, int, float, type(None)):
            return _plain(value)
        if kind is list:
            return self._items(value, where)
        if kind is dict:
            return self._dict(value, where)
        write = _WRITERS.get(kind)
        if write is not None:
            return write(self, value, where)
        if isinstance(value, np.generic) and kind.__module__ == "numpy":
            return self._scalar(value, where)
        if is_sharded(value):
            return self._tensor(value, where)
        if isinstance(value, Tensor):
            self._table.add(self._name(where), value)  # says why not
        raise self._refusal(where, f"is a {kind.__module__}.{kind.__qualname__}")

    def _items(self, values: Iterable[Any], where: tuple[str, ...]) -> list[Json]:
        return [self.encode(item, *where, str(n)) for n, item in enumerate(values)]

    def _dict(self, value: dict[Any, Any], where: tuple[str, ...]) -> Json:
        if all(type(key) is str and not key.startswith(_MARK) for key in value) and all(
            isinstance(_plain(key), str) for key in value
        ):
            return {key: self.encode(item, *where, key) for key, item in value.items()}
        return {"$dict": self._pairs(value, where)}

    def _pairs(self, value: Mapping[Any, Any], where: tuple[str, ...]) -> list[Json]:
        return [
            [self.encode(key, *where, "key"), self.encode(item, *where, str(key))]
            for key, item in value.items()
        ]

    def _tensor(self, value: Tensor, where: tuple[str, ...]) -> Json:
        if value.grad_fn is not None:
            raise self._refusal(where, "is a tensor inside a computation: detach it")
        is_parameter = type(value) is Parameter
        said: dict[str, Json] = {
            "$parameter" if is_parameter else "$tensor": self._table.add(self._name(where), value)
        }
        if value.device.type != "cpu":
            said["device"] = str(value.device)
        if value.requires_grad != is_parameter:
            said["grad"] = value.requires_grad
        return said

    def _array(self, value: np.ndarray[Any, Any], where: tuple[str, ...]) -> Json:
        is_plain = value.flags.c_contiguous and value.flags.writeable and value.flags.aligned
        try:  # torch looks into the array's own memory: replay buffers are large
            tensor = torch.from_numpy(value if is_plain else value.copy())
            return {"$array": self._table.add(self._name(where), tensor)}
        except (TypeError, ValueError):
            raise self._refusal(where, f"is an array of {value.dtype}") from None

    def _scalar(self, value: np.generic, where: tuple[str, ...]) -> Json:
        dtype = value.dtype.newbyteorder("<")
        if dtype.kind not in _SCALARS or dtype.itemsize > 16 or dtype.char in "gG":
            raise self._refusal(where, f"is a NumPy {value.dtype}")
        return {"$scalar": [dtype.str, value.astype(dtype).tobytes().hex()]}

    def _name(self, where: tuple[str, ...]) -> str:
        return ".".join(where) or "value"

    def _refusal(self, where: tuple[str, ...], why: str) -> RequestError:
        place = ".".join((self._owner, *where))
        return RequestError(
            f"{place[:300]} {why}, which a checkpoint cannot hold exactly;"
            " nothing was written: leave it out, or give it a state_dict of plain values"
        )


def _plain(value: Any) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": struct.pack(">d", value).hex()}
    if isinstance(value, int) and not -_LONG <= value < _LONG:
        return {"$int": hex(value)}
    if isinstance(value, str) and not value.isascii():
        raw = value.encode("utf-8", "surrogatepass")
        try:
            raw.decode()
        except UnicodeDecodeError:
            return {"$str": raw.hex()}
    return value


_Writer = Callable[[Encoder, Any, tuple[str, ...]], Json]
_WRITERS: dict[type, _Writer] = {
    complex: lambda _, v, __: {"$complex": [_plain(v.real), _plain(v.imag)]},
    bytes: lambda _, v, __: {"$bytes": base64.b64encode(v).decode()},
    bytearray: lambda _, v, __: {"$bytearray": base64.b64encode(v).decode()},
    tuple: lambda to, v, where: {"$tuple": to._items(v, where)},
    set: lambda to, v, where: {"$set": to._items(v, where)},
    frozenset: lambda to, v, where: {"$frozenset": to._items(v, where)},
    torch.Size: lambda _, v, __: {"$size": list(v)},
    deque: lambda to, v, where: {"$deque": [v.maxlen, *to._items(v, where)]},
    OrderedDict: lambda to, v, where: {"$ordered": to._pairs(v, where)},
    Counter: lambda to, v, where: {"$counter": to._pairs(v, where)},  # MultiStepLR has one
    Tensor: Encoder._tensor,
    Parameter: Encoder._tensor,
    Buffer: Encoder._tensor,
    np.ndarray: Encoder._array,
    torch.dtype: lambda _, v, __: {"$dtype": str(v).removeprefix("torch.")},
    torch.device: lambda _, v, __: {"$device": str(v)},
}


_UNREADABLE = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, struct.error),
)


class Decoder:
    """JSON into values; tensors are copies, and those that were one are one again."""

    def __init__(
        self,
        tensors: SavedTensors,
        owner: str,
        alike: Callable[[str], Tensor | None] = lambda _: None,
    ) -> None:
        """`alike`: a tensor shared out among ranks that the one of a name is to lie like."""
        self._tensors = tensors
        self._owner = owner
        self._alike = alike
        self._made: dict[tuple[str, str], Any] = {}

    def decode(self, said: Json) -> Any:
        """The value that a JSON stands for.

        Raises:
            MalformedError: it has a mark that means nothing, or names a tensor that is not there.
        """
        if isinstance(said, list):
            return [self.decode(item) for item in said]
        if not isinstance(said, dict):
            return said
        mark = next(iter(said), "")
        if not mark.startswith(_MARK):
            return {key: self.decode(item) for key, item in said.items()}
        read = _READERS.get(mark)
        try:
            if read is None:
                raise ValueError(mark)
            return read(self, said)
        except _UNREADABLE as error:
            raise MalformedError(
                f"{self._owner}: {mark[:40]} cannot be read: {error}", source="checkpoint.json"
            ) from None

    def _items(self, said: Json) -> list[Any]:
        return [self.decode(item) for item in said]

    def _pairs(self, said: Json) -> list[tuple[Any, Any]]:
        return [(self.decode(key), self.decode(value)) for key, value in said]

    def _tensor(self, said: dict[str, Json]) -> Tensor:
        kind, name = next(iter(said.items()))
        made: Tensor | None = self._made.get((kind, name))
        if made is None:
            saved, like = self._tensors[name], self._alike(name)
            if like is not None and tuple(like.shape) != tuple(saved.shape):
                if isinstance(saved, Pieces):
                    raise ValueError(f"{name} has another shape than what it belongs to")
                like = None
            if isinstance(saved, Pieces) or like is not None:
                made = self._made[kind, name] = placed(saved, like)
                return made
            made = self._own(saved)
            if "device" in said and _is_here(said["device"]):
                made = made.to(said["device"])
            if kind == "$parameter":
                made = Parameter(made, said.get("grad", True))
            elif said.get("grad"):
                made.requires_grad_()
            self._made[kind, name] = made
        return made

    def _own(self, tensor: Tensor) -> Tensor:
        return tensor.clone()

    def _array(self, said: dict[str, Json]) -> np.ndarray[Any, Any]:
        key = "$array", said["$array"]
        if key not in self._made:
            self._made[key] = placed(self._tensors[key[1]], None).numpy()
        made: np.ndarray[Any, Any] = self._made[key]
        return made


class LookingDecoder(Decoder):
    """For values that are copied from at once: tensors look into the file."""

    def _own(self, tensor: Tensor) -> Tensor:
        return tensor


def _is_here(device: str) -> bool:
    """Whether this machine has the device; else what lay there stays in memory."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):  # each backend has its own
        return False
    return True


def _scalar(said: Json) -> Any:
    dtype = np.dtype(said[0])
    if dtype.kind not in _SCALARS:
        raise ValueError(said[0])
    return np.frombuffer(bytes.fromhex(said[1]), dtype)[0]


def _dtype(said: str) -> torch.dtype:
    found = getattr(torch, said)
    if not isinstance(found, torch.dtype):
        raise TypeError(said)
    return found


_Reader = Callable[[Decoder, dict[str, Json]], Any]
_READERS: dict[str, _Reader] = {
    "$int": lambda _, v: int(v["$int"], 16),
    "$float": lambda _, v: struct.unpack(">d", bytes.fromhex(v["$float"]))[0],
    "$complex": lambda at, v: complex(*at._items(v["$complex"])),
    "$str": lambda _, v: bytes.fromhex(v["$str"]).decode("utf-8", "surrogatepass"),
    "$bytes": lambda _, v: base64.b64decode(v["$bytes"]),
    "$bytearray": lambda _, v: bytearray(base64.b64decode(v["$bytearray"])),
    "$tuple": lambda at, v: tuple(at._items(v["$tuple"])),
    "$set": lambda at, v: set(at._items(v["$set"])),
    "$frozenset": lambda at, v: frozenset(at._items(v["$frozenset"])),
    "$size": lambda _, v: torch.Size(v["$size"]),
    "$deque": lambda at, v: deque(at._items(v["$deque"][1:]), v["$deque"][0]),
    "$dict": lambda at, v: dict(at._pairs(v["$dict"])),
    "$ordered": lambda at, v: OrderedDict(at._pairs(v["$ordered"])),
    "$counter": lambda at, v: Counter(dict(at._pairs(v["$counter"]))),
    "$tensor": Decoder._tensor,
    "$parameter": Decoder._tensor,
    "$array": Decoder._array,
    "$scalar": lambda _, v: _scalar(v["$scalar"]),
    "$dtype": lambda _, v: _dtype(v["$dtype"]),
    "$device": lambda _, v: torch.device(v["$device"]),
}
