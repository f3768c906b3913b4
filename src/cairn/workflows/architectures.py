"""What kind of model some files hold, by the strongest evidence there is for each statement.

In this order: what a configuration declares, what the weights file itself declares (GGUF, ONNX,
Keras ...), the classes it names, the names and shapes of its tensors.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cairn.domain import Architecture, Fact, Role, TensorInfo
from cairn.formats.declared_facts import SPELLINGS
from cairn.formats.family import Recognition
from cairn.formats.recognition import family_of, recognise
from cairn.workflows.models import Model

# What shapes tell without doubt, so that a configuration saying otherwise is worth a note.
_MEASURED = (
    *("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size", "num_experts"),
    *("num_decoder_layers", "patch_size", "r"),
)
_CLASSES = (
    (re.compile(r"transformers\.models\.(\w+)\."), None),
    (re.compile(r"(?:torchvision|timm)\.models\.(\w+)\."), None),
    (re.compile(r"ultralytics\."), "yolo"),
    (re.compile(r"stable_baselines3\."), "rl-policy"),
)
_EXPERTS = re.compile(r"(?:^|\.)experts\.|_exps\.")


def merged(declared: Architecture | None, model: Model) -> tuple[Architecture | None, list[str]]:
    """Everything known about one model, and where its sources contradict each other."""
    stated = [found for found in (declared, model.embedded, _by_class(model.classes)) if found]
    recognised = recognise(model.shapes)
    notes: list[str] = []
    if recognised is not None and stated:
        recognised, notes = _reconciled(stated[0], recognised)
    if not stated and recognised is None:
        return None, []
    if stated:
        first = stated[0]
    else:
        assert recognised is not None
        first = Architecture(recognised.family, None, recognised.evidence)
    class_name = first.class_name or next((s.class_name for s in stated if s.class_name), None)
    measured = [recognised.facts] if recognised is not None else []
    facts = _facts([*(found.facts for found in stated), *measured])
    facts |= _parameters(model.tensors.values(), facts)
    return replace(first, class_name=class_name, facts=facts), notes


def _reconciled(
    stated: Architecture, recognised: Recognition
) -> tuple[Recognition | None, list[str]]:
    """What the tensors show if it is about the model that is stated, and what they contradict."""
    family = family_of(stated.family)
    if family is None:
        return None, []
    if family.name != recognised.kind:
        return None, [
            f"{stated.evidence} says {stated.family}, the tensors are named like"
            f" {recognised.family}"
        ]
    notes = []
    for key in _MEASURED:
        said, shown = stated.facts.get(key), recognised.facts.get(key)
        if said is None or shown is None or not isinstance(said.value, int) or shown.value is None:
            continue
        if said.value != shown.value:
            notes.append(
                f"{said.evidence} says {said.value}, the weights have {shown.value}"
                f" ({shown.evidence})"
            )
    return recognised, notes


def _by_class(classes: Mapping[str, str]) -> Architecture | None:
    """What the class of the outermost module that belongs to a known library tells."""
    for path in sorted(classes, key=lambda path: (path.count(".") + bool(path), path)):
        for pattern, family in _CLASSES:
            found = pattern.match(classes[path])
            if found is not None:
                class_name = classes[path].rpartition(".")[2]
                label = family or found[1]
                return Architecture(label, class_name, f"class of {path or 'the saved module'}")
    return None


def _facts(sources: Iterable[Mapping[str, Fact]]) -> dict[str, Fact]:
    """The first statement of each fact; one that it cannot be known gives way to one that knows."""
    found: dict[str, Fact] = {}
    for facts in sources:
        for key, fact in facts.items():
            if key not in found or (found[key].value is None and fact.value is not None):
                found[key] = fact
    return dict(sorted(found.items(), key=lambda item: _rank(item[0])))


def _rank(key: str) -> int:
    known = list(SPELLINGS)
    return known.index(key) if key in SPELLINGS else len(known)


def _parameters(
    tensors: Iterable[TensorInfo], facts: Mapping[str, Fact]
) -> Iterator[tuple[str, Fact]]:
    """Parameters in all, and those that work on one token: of the experts only those chosen."""
    total = experts = 0
    for tensor in tensors:
        if tensor.role is Role.WEIGHTS:
            total += tensor.elements
            if _EXPERTS.search(tensor.name):
                experts += tensor.elements
    if not total:
        return
    yield "parameters", Fact(total, "shapes of the weights")
    if not experts:
        yield "active_parameters", Fact(total, "there are no experts to choose from")
        return
    count, chosen = facts.get("num_experts"), facts.get("num_experts_per_tok")
    if (
        count is None
        or chosen is None
        or not isinstance(count.value, int)
        or not isinstance(chosen.value, int)
        or not 0 < chosen.value <= count.value
    ):
        yield "active_parameters", Fact(None, "how many experts a token takes cannot be known")
        return
    active = total - experts + experts * chosen.value // count.value
    yield "active_parameters", Fact(active, f"shapes of the weights and {chosen.evidence}")
