"""A model: parameters and buffers by name, tied ones once, and the gradients it has gathered."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from cairn.errors import RequestError
from cairn.training.parts import Part, listed
from cairn.training.ranks.sharding import is_sharded
from cairn.training.tensors import TensorTable, lying_like
from cairn.training.values import Decoder, Encoder, Json, LookingDecoder, SavedTensors

_USUAL_VERSION = 1


def unwrapped(module: nn.Module) -> nn.Module:
    """The model inside what torch wraps around one: names do not depend on how it is run."""
    while True:
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
            module = inner  # torch.compile
        else:
            return module


class ModulePart(Part):
    """An `nn.Module`; its state is checked name by name before anything is put back."""

    kind = "module"

    def __init__(self, name: str, module: nn.Module) -> None:
        self.module = unwrapped(module)
        super().__init__(name, self.module)

    def state(self) -> Any:
        """What `state_dict` gives, and the versions of modules that have one of their own."""
        state = self.module.state_dict()
        told = getattr(state, "_metadata", {})
        versions = {
            name: said["version"]
            for name, said in told.items()
            if said.get("version", _USUAL_VERSION) != _USUAL_VERSION
        }
        return {"tensors": dict(state), "versions": versions}

    def encoded(self) -> tuple[Json, TensorTable]:
        """Tensors have in the file the names they have in the model."""
        table = TensorTable()
        encoder = Encoder(table, self.name)
        return {name: encoder.encode(value) for name, value in self.state().items()}, table

    def load(self, state: Any) -> None:
        """Copy into the parameters and buffers, which stay the same objects."""
        taken: Any = OrderedDict(state["tensors"])
        taken._metadata = {
            name: {"version": state["versions"].get(name, _USUAL_VERSION)}
            for name, _ in self.module.named_modules(remove_duplicate=False)
        }
        self.module.load_state_dict(taken, strict=True)

    def refused(self, error: Exception) -> RequestError:
        """A model has no room to keep what it was: it is larger than all else."""
        return RequestError(
            f"{self.name}: does not take the saved state: {error}; its weights, and those of models"
            " put back before it, are changed: build the models anew before they are used"
        )

    def decoder(self, tensors: SavedTensors) -> Decoder:
        """Values are copied from at once."""
        return LookingDecoder(tensors, self.name, self.alike())

    def check(self, saved: Json, tensors: SavedTensors) -> None:
        """Same names, shapes, types and ties."""
        tree, table = self.encoded()
        here, there = tree["tensors"], saved["tensors"]
        missing, unknown = sorted(set(here) - set(there)), sorted(set(there) - set(here))
        if missing or unknown:
            raise self.refusal(_names_differ(missing, unknown))
        for name, said in here.items():
            why = _difference(said, there[name], table, tensors)
            if why:
                raise self.refusal(f"{name} {why}")


def _names_differ(missing: list[str], unknown: list[str]) -> str:
    said = []
    if missing:
        said.append(f"the checkpoint lacks {listed(missing)}")
    if unknown:
        said.append(f"the model has no {listed(unknown)}")
    return " and ".join(said)


def _difference(here: Json, there: Json, live: TensorTable, saved: SavedTensors) -> str:
    """How a tensor of the model differs from the saved one, or nothing."""
    mine, its = _tensor_name(here), _tensor_name(there)
    if mine is None or its is None:
        return "" if mine is its is None else "is a tensor in one of the two only"
    if mine != its:
        return f"shares the elements of {mine} here, those of {its} there"
    shape, dtype = live.shape(mine), live.tensors[mine].dtype
    if shape != tuple(saved[its].shape):
        return f"has the shape {shape} here, {tuple(saved[its].shape)} there"
    if dtype != saved[its].dtype:
        return f"is {dtype} here, {saved[its].dtype} there"
    return ""


def _tensor_name(said: Json) -> str | None:
    return said.get("$tensor") if isinstance(said, dict) else None


class GradientsPart(Part):
    """The gradients of all models, where a step has `accumulated` some of its micro-batches.

    Where it has not, none are kept, and a resume takes away what a loop had gathered since.
    """

    kind = "gradients"

    def __init__(self, name: str, modules: Mapping[str, nn.Module], accumulated: int) -> None:
        super().__init__(name, self)
        self._accumulated = accumulated
        self._parameters = dict(parameter_names(modules))

    def alike(self) -> Callable[[str], Tensor | None]:
        """A gradient lies as its parameter does."""
        sharded = {name: one for name, one in self._parameters.items() if is_sharded(one)}
        return sharded.get

    def state(self) -> Any:
        """Gradients by the name of their parameter."""
        return {
            name: parameter.grad
            for name, parameter in self._parameters.items()
            if self._accumulated and parameter.grad is not None
        }

    def check(self, saved: Json, tensors: SavedTensors) -> None:
        """Every gradient has its parameter."""
        unknown = sorted(set(saved) - set(self._parameters))
        if unknown:
            raise self.refusal(f"no parameter is called {listed(unknown)}")
        for name, said in saved.items():
            if tensors[said["$tensor"]].shape != self._parameters[name].shape:
                raise self.refusal(f"the gradient of {name} has another shape")

    def load(self, state: Any) -> None:
        """Give each parameter the gradient it had, or none."""
        for name, parameter in self._parameters.items():
            gradient = state.get(name)
            parameter.grad = (
                None if gradient is None else lying_like(gradient.to(parameter.device), parameter)
            )


def device_kinds(objects: Mapping[str, object]) -> str | None:
    """The kinds of devices that the models among objects are on: `cpu`, or `cpu, cuda`.

    None where there is no model with parameters.
    """
    modules = [one for one in objects.values() if isinstance(one, nn.Module)]
    kinds = {parameter.device.type for one in modules for parameter in one.parameters()}
    return ", ".join(sorted(kinds)) or None


def parameter_names(modules: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Parameter]]:
    """Every parameter once, called by its model and its own name: `model.encoder.weight`."""
    seen: set[int] = set()
    for part, module in modules.items():
        for name, parameter in unwrapped(module).named_parameters():
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield f"{part}.{name}", parameter
