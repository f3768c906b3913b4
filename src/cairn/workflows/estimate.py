"""The verb estimate: what it takes to train the model of a checkpoint, from its headers alone."""

from collections.abc import Iterable

from cairn.domain import Architecture, Checkpoint, DType, Role
from cairn.errors import RequestError
from cairn.estimation.devices import Device, catalogue
from cairn.estimation.duration import Prices
from cairn.estimation.estimate import Estimate, estimate
from cairn.estimation.plan import Plan
from cairn.estimation.subject import Subject
from cairn.formats.recognition import family_of
from cairn.workflows.models import Model, models_in

ALL = "all"
_TRAINED_PARTS = ("unet", "transformer", "prior")
# Codes that stand for several elements, or for none alone: their shapes are not the weights'.
_PACKED = frozenset((DType.U8, DType.I8, DType.U32, DType.I32, DType.U4, DType.I4))


def subject_of(checkpoint: Checkpoint) -> Subject:
    """The model to be trained: of a pipeline its denoiser, else the first.

    Raises:
        RequestError: there are no weights, or they are an adapter's, or packed into codes.
    """
    models = _models(checkpoint)
    chosen = trained_model(checkpoint)
    architecture = _architecture(checkpoint, chosen)
    if architecture is not None and architecture.family == "lora":
        raise RequestError("this is an adapter: estimate the model it is for")
    tensors = {n: t for n, t in chosen.tensors.items() if t.role is Role.WEIGHTS}
    packed = next((n for n, t in tensors.items() if t.dtype in _PACKED and len(t.shape) > 1), None)
    if packed is not None:
        raise RequestError(
            f"{packed} holds packed codes, whose shape is not the weight's: estimate the model"
            " that was quantised (--method qlora reckons with 4 bits)"
        )
    resident = 0
    if chosen.folder:  # a part of a pipeline; the others lie beside it in memory
        resident = sum(_elements(m) for m in models if m is not chosen and m.folder)
    declared = architecture.family if architecture else ""
    family = family_of(declared)
    facts = {k: f.value for k, f in architecture.facts.items()} if architecture else {}
    return Subject(
        family=family.name if family else declared,
        tensors={name: tensor.shape for name, tensor in tensors.items()},
        facts=facts,
        config=dict(architecture.config) if architecture else {},
        class_name=(architecture.class_name or "") if architecture else "",
        resident=resident,
        evidence=architecture.evidence if architecture else "",
    )


def trained_model(checkpoint: Checkpoint) -> Model:
    """The one of a checkpoint's models that is trained.

    Raises:
        RequestError: there are no weights.
    """
    models = _models(checkpoint)
    if not models:
        raise RequestError(f"{checkpoint.name or 'this'} holds no weights to train")
    named = {m.folder.rstrip("/").rpartition("/")[2]: m for m in models}
    return next((named[part] for part in _TRAINED_PARTS if part in named), models[0])


def _models(checkpoint: Checkpoint) -> list[Model]:
    return [m for m in models_in(checkpoint.layouts, checkpoint.assemblies) if m.has_weights]


def devices_of(names: Iterable[str]) -> tuple[Device, ...]:
    """The devices of these names, or of `all` the whole catalogue.

    Raises:
        RequestError: one is not in the catalogue.
    """
    known = catalogue()
    asked = list(names)
    if ALL in asked:
        return tuple(known.devices.values())
    return tuple(known.find(name) for name in asked)


def estimate_checkpoint(
    checkpoint: Checkpoint,
    plan: Plan,
    devices: tuple[Device, ...],
    *,
    steps: int = 1,
    prices: Prices | None = None,
) -> Estimate:
    """What training the model of a checkpoint takes; see `cairn.estimation.estimate`.

    Raises:
        RequestError: no closed form is known for it, or there is nothing to train.
    """
    return estimate(subject_of(checkpoint), plan, devices, steps=steps, prices=prices)


def steps_for(plan: Plan, steps: int | None, tokens: int | None) -> int:
    """Optimizer steps: as many as said, or as many as so many tokens make; 1 if nothing is said.

    Raises:
        RequestError: both are said, or a number is below 1.
    """
    if steps is not None and tokens is not None:
        raise RequestError("say how many steps or how many tokens, not both")
    if (steps is not None and steps < 1) or (tokens is not None and tokens < 1):
        raise RequestError("steps and tokens are 1 or more")
    if tokens is not None:
        each = plan.batch * plan.seq * plan.accumulation * plan.gpus
        return -(-tokens // each)
    return steps or 1


def _architecture(checkpoint: Checkpoint, model: Model) -> Architecture | None:
    found = checkpoint.architecture
    if found is None or not found.parts:
        return found
    return found.parts.get(model.folder.rstrip("/"), found)


def _elements(model: Model) -> int:
    return sum(t.elements for t in model.tensors.values() if t.role is Role.WEIGHTS)
