"""What the calls in a torch pickle mean: which bytes of which storage a tensor looks at.

Sources: `torch/_utils.py` (the `_rebuild_*` functions), `torch/_tensor.py`
(`Tensor._reduce_ex_internal`), `torch/serialization.py` (`persistent_id`) of torch 2.13.
"""

from cairn.domain import DType, Scalar
from cairn.formats.pickle_program import Call, Global, Value
from cairn.formats.pickle_values import call_target
from cairn.formats.pickled_arrays import PickledArrays, Rebuilt
from cairn.formats.strided_views import View
from cairn.formats.torch_storages import TorchStorages, Where, is_size, is_torch_size
from cairn.formats.torch_types import TORCH_DTYPES, TWO_PER_BYTE

_MAX_WRAPPERS = 16  # a parameter around a subclass around a tensor is 3


class TorchTensors:
    """Resolves rebuild calls against the storages of one file, and NumPy arrays in its pickle."""

    def __init__(self, storages: TorchStorages, arrays: PickledArrays | None = None) -> None:
        self._storages = storages
        self._arrays = arrays

    def rebuilt(self, call: Call) -> Rebuilt | None:
        """What a call gives if it makes tensors, else None.

        Raises:
            MalformedError: it is a rebuild call with impossible arguments, or the tensor
                reaches outside its storage.
        """
        unwrapped = self._unwrapped(call)
        name = call_target(unwrapped)
        args = unwrapped.args
        if not name.startswith("torch.") or type(args) is not tuple:
            return self._arrays.rebuilt(call) if self._arrays else None
        match name, args:
            case (
                "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2",
                (storage, offset, size, strides, *_),
            ):
                return Rebuilt(
                    (("", self._storages.view(unwrapped, (storage, offset, size, strides))),)
                )
            case (
                "torch._utils._rebuild_tensor_v3",
                (storage, offset, size, strides, _, _, Global() as dtype, *_),
            ):
                return self._typed(unwrapped, (storage, offset, size, strides), dtype)
            case "torch._utils._rebuild_qtensor", (storage, offset, size, strides, tuple(how), *_):
                view = self._storages.view(unwrapped, (storage, offset, size, strides))
                return self._quantised(unwrapped, view, how)
            case "torch._utils._rebuild_sparse_tensor", (layout, tuple(data)):
                return self._sparse(unwrapped, layout, data)
            case "torch._utils._rebuild_sparse_csr_tensor", (layout, tuple(data)):
                return self._sparse(unwrapped, layout, data)
            case "torch._utils._rebuild_nested_tensor", (buffer, sizes, strides, offsets):
                parts = {"buffer": buffer, "sizes": sizes, "strides": strides, "offsets": offsets}
                return Rebuilt(self._parts(unwrapped, parts), note="nested tensors, by their parts")
            case ("torch._utils._rebuild_meta_tensor_no_storage", _):
                return Rebuilt((), note="tensors on the meta device, which have no bytes")
            case ("torch._utils._rebuild_wrapper_subclass", _):
                return Rebuilt((), note="wrapper tensors, whose parts are listed if plain")
            case ("torch._utils._rebuild_device_tensor_from_numpy", (Call() as array, *_)):
                found = self._arrays.rebuilt(array) if self._arrays else None
                return found or Rebuilt((), note="tensors kept as arrays that cannot be located")
        if name.startswith("torch._utils._rebuild_"):
            raise self._storages.refusal(
                unwrapped, f"{name[:100]!r} has arguments of the wrong kind"
            )
        return None

    # --- kinds of tensors --------------------------------------------------------------

    def _unwrapped(self, call: Call) -> Call:
        """The call inside parameters and subclasses, which hold one tensor under another type."""
        for _ in range(_MAX_WRAPPERS):
            match call_target(call), call.args:
                case (
                    "torch._utils._rebuild_parameter"
                    | "torch._utils._rebuild_parameter_with_state"
                    | "torch._utils._rebuild_device_tensor_from_cpu_tensor",
                    (Call() as inner, *_),
                ):
                    call = inner
                case (
                    "torch._tensor._rebuild_from_type" | "torch._tensor._rebuild_from_type_v2",
                    (Global() as function, _, tuple(args), *_),
                ):
                    call = Call(function, args, call.offset, call.via)
                case _:
                    return call
        raise self._storages.refusal(call, f"a tensor wrapped more than {_MAX_WRAPPERS} times")

    def _typed(self, call: Call, where: Where, dtype: Global) -> Rebuilt:
        known = TORCH_DTYPES.get(dtype.name) if dtype.module == "torch" and dtype.exact else None
        if known is None:
            return Rebuilt((), note=f"tensors of dtype {dtype.full_name[:100]}, which is not read")
        if dtype.name not in TWO_PER_BYTE:
            return Rebuilt((("", self._storages.view(call, where, dtype=known)),))
        packed = self._storages.view(call, where, dtype=DType.U8)
        if packed.strides is not None or not packed.shape:
            return Rebuilt((), note=f"strided tensors of dtype {dtype.full_name}, not read")
        shape = (*packed.shape[:-1], 2 * packed.shape[-1])
        return Rebuilt((("", View(known, shape, packed.span, None)),))

    def _quantised(self, call: Call, view: View, how: tuple[Value, ...]) -> Rebuilt:
        scheme = how[0].name if how and isinstance(how[0], Global) else "unknown scheme"
        facts: list[tuple[str, Scalar]] = [("quantised", scheme[:100])]
        parts: dict[str, Value] = {}
        for label, value in zip(("scale", "zero_point", "axis"), how[1:4], strict=False):
            if isinstance(value, (float, bool)) or is_size(value):
                facts.append((label, value))  # type: ignore[arg-type]  # int or float by now
            elif isinstance(value, Call):
                parts[label] = value
        return Rebuilt((("", view), *self._parts(call, parts)), tuple(facts))

    def _sparse(self, call: Call, layout: Value, data: tuple[Value, ...]) -> Rebuilt:
        kind = layout.args if isinstance(layout, Call) else ()
        first = kind[0] if isinstance(kind, tuple) and kind else None
        label = first[:40] if isinstance(first, str) else "torch.sparse"
        tensors = [value for value in data if isinstance(value, Call) and not is_torch_size(value)]
        sizes = [value for value in data if not isinstance(value, Call) or is_torch_size(value)]
        names = ("indices", "values") if len(tensors) == 2 else _COMPRESSED.get(label, ())
        if not tensors or len(names) != len(tensors) or not sizes:
            raise self._storages.refusal(call, f"a {label!r} tensor with {len(tensors)} parts")
        shape = self._storages.integers(call, sizes[0], "the size of a sparse tensor")
        facts: list[tuple[str, Scalar]] = [("layout", label), ("shape", str(list(shape)))]
        parts = self._parts(call, dict(zip(names, tensors, strict=True)))
        return Rebuilt(parts, tuple(facts), note="sparse tensors, listed by their parts")

    def _parts(self, call: Call, parts: dict[str, Value]) -> tuple[tuple[str, View], ...]:
        """Plain tensors that make up another; no tensor made of parts may be among them."""
        found: list[tuple[str, View]] = []
        for suffix, value in parts.items():
            inner = self._unwrapped(value) if isinstance(value, Call) else None
            match inner:
                case Call(args=(storage, offset, size, strides, *_)) if call_target(inner) in (
                    "torch._utils._rebuild_tensor",
                    "torch._utils._rebuild_tensor_v2",
                ):
                    found.append(
                        (f".{suffix}", self._storages.view(call, (storage, offset, size, strides)))
                    )
                case _:
                    raise self._storages.refusal(
                        call, f"the {suffix} of a tensor are not a plain tensor"
                    )
        return tuple(found)


_COMPRESSED = {
    "torch.sparse_csr": ("crow_indices", "col_indices", "values"),
    "torch.sparse_bsr": ("crow_indices", "col_indices", "values"),
    "torch.sparse_csc": ("ccol_indices", "row_indices", "values"),
    "torch.sparse_bsc": ("ccol_indices", "row_indices", "values"),
}
