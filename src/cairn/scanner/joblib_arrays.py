"""The arrays that joblib writes in the middle of a pickle, behind the object that describes each.

    opcodes  ... BUILD of a joblib.numpy_pickle.NumpyArrayWrapper
    u8       padding p, then p bytes       only if numpy_array_alignment_bytes is set
    bytes    the elements, back to back    or a pickle of its own, if they are Python objects
    opcodes  ...                           what the object stands for is on the stack

Specification: `NumpyArrayWrapper.write_array` in
https://github.com/joblib/joblib/blob/main/joblib/numpy_pickle.py.
"""

from dataclasses import replace
from math import prod

from cairn.domain import Source
from cairn.errors import MalformedError
from cairn.formats.npy_records import Element, element_of
from cairn.formats.pickle_program import (
    Call,
    Global,
    Mapping,
    PickleProgram,
    Value,
    read_program,
)
from cairn.formats.pickle_values import call_target
from cairn.scanner.allowed import allowed_names

WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
_OBJECTS_FLAG = 1  # NPY_ITEM_REFCOUNT of numpy/core/include/numpy/ndarraytypes.h
_DTYPE_STATE = 8  # parts of a dtype's state that end in its flags


def has_arrays(program: PickleProgram) -> bool:
    """Whether a program makes an object that joblib's loader takes an array's bytes for."""
    return any(call_target(call) == WRAPPER for call in program.calls)


class JoblibArrays:
    """Says how many bytes lie behind each BUILD; keeps the pickles that are among them."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.inner: list[tuple[int, PickleProgram]] = []

    def bytes_after(self, built: Value, at: int) -> int:
        """The bytes from `at` that belong to no opcode of the pickle.

        Raises:
            MalformedError: the object describes no array, or one longer than the file.
        """
        if not isinstance(built, Call) or call_target(built) != WRAPPER:
            return 0
        state = _attributes(built)
        element = _element(state.get("dtype"))
        if element is None:
            raise self._refusal("an array of unknown type", at)
        if element.has_objects:
            program = read_program(self._source, at)
            self.inner.append((at, program))
            program.result()
            return program.end - at
        padding = 0
        if state.get("numpy_array_alignment_bytes") is not None:
            padding = 1 + int.from_bytes(self._source.read_at(at, 1), "little")
        shape = state.get("shape")
        if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise self._refusal("an array without a shape", at)
        length = padding + prod(shape) * element.size_bytes
        if length > self._source.size_bytes - at:
            raise self._refusal(f"an array of {length} bytes reaches past the end", at)
        return length

    def _refusal(self, why: str, at: int) -> MalformedError:
        return MalformedError(why, source=self._source.name, offset=at)


def _attributes(built: Call) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for state in built.states or ():
        if isinstance(state, Mapping):
            pairs = zip(state.items[::2], state.items[1::2], strict=True)
            found |= {key: value for key, value in pairs if isinstance(key, str)}
    return found


def _element(dtype: Value) -> Element | None:
    """The element of the dtype that a call makes; None if it is no dtype of NumPy."""
    if not isinstance(dtype, Call) or call_target(dtype) != "numpy.dtype":
        return None
    match dtype.args:
        case (str(descr), *_):
            element = element_of(descr, "")
            return Element(element.size_bytes, element.has_objects or _says_objects(dtype))
    return None


def _says_objects(dtype: Call) -> bool:
    """Whether the flags in a record's state say that a field holds Python objects."""
    for state in dtype.states or ():
        if isinstance(state, tuple) and len(state) >= _DTYPE_STATE:
            flags = state[_DTYPE_STATE - 1]
            if isinstance(flags, int) and flags & _OBJECTS_FLAG:
                return True
    return False


def as_others_read(
    plain: PickleProgram, program: PickleProgram, inner: list[tuple[int, PickleProgram]]
) -> PickleProgram:
    """What an unpickler that knows nothing of joblib does, without what it only mistakes.

    It reads on in the pickle of an array of objects (`inner`), which refers to a memo of its own:
    where that says `numpy` and then `dtype`, it takes another text or object for the module, and
    stops as that has no `dtype`. So what has the name that joblib reads at the same place, there
    of an allowed module, is left out, and from the first on calls of what is no import. All
    else counts: a name that joblib does not read there is no mistake.
    """
    meant = {
        one.offset: one.name
        for read in (program, *(read for _, read in inner))
        for one in read.globals
        if _is_allowed(one)
    }

    def is_mistaken(found: Global) -> bool:
        return meant.get(found.offset) == found.name and not _is_allowed(found)

    first = next((one.offset for one in plain.globals if is_mistaken(one)), None)
    if first is None:
        return plain

    def counts(call: Call) -> bool:
        if isinstance(call.callee, Global):
            return not is_mistaken(call.callee)
        return call.offset < first

    return replace(
        plain,
        globals=[one for one in plain.globals if not is_mistaken(one)],
        calls=[one for one in plain.calls if counts(one)],
    )


def _is_allowed(found: Global) -> bool:
    return found.exact and (found.module, found.name) in allowed_names()
