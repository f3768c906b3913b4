"""What kind of model a checkpoint is, arranged for a page: its four parts, facts, modules."""

from collections.abc import Iterable
from dataclasses import dataclass

from cairn.domain import Architecture, Checkpoint, Completeness, Fact, Module, Part
from cairn.hub.web.wording import count_text
from cairn.workflows.module_runs import ModuleRun, runs

MAX_FACTS = 24
MAX_TREE_ROWS = 600
OPEN_DEPTH = 2  # levels of the tree that are open at first
MAX_CHARACTERS = 300


@dataclass(frozen=True)
class PartShown:
    """One of the four parts; `evidence` is what shows that it is there."""

    label: str
    present: bool
    evidence: str


@dataclass(frozen=True)
class FactShown:
    """A fact as text; an unknown one has no text, and its evidence says why."""

    key: str
    text: str
    evidence: str


@dataclass(frozen=True)
class TreeRow:
    """A module, or a run of like ones, with what is below; `share` is of all parameters, 0 to 1."""

    name: str
    class_name: str
    count: int
    parameters: str
    share: float
    is_open: bool
    children: "tuple[TreeRow, ...]"


@dataclass(frozen=True)
class ModelShown:
    """Everything `model_view.html` shows."""

    parts: list[PartShown]
    resume: str
    resumable: bool
    missing: tuple[str, ...]
    inexact: tuple[str, ...]
    models: list[tuple[str, str]]
    facts: list[FactShown]
    submodels: list[tuple[str, str, str]]
    tree: TreeRow | None
    tree_is_cut: bool


def model_of(checkpoint: Checkpoint) -> ModelShown:
    """Arrange what inspect concluded."""
    found = checkpoint.completeness or Completeness({}, missing=("everything",))
    budget = _Budget(MAX_TREE_ROWS)
    tree = None
    if checkpoint.modules is not None:
        architecture = checkpoint.architecture
        name = checkpoint.modules.class_name or (architecture.class_name if architecture else None)
        whole = max(1, checkpoint.modules.parameters)
        tree = _row(ModuleRun(name or "model", checkpoint.modules), whole, 0, budget)
    return ModelShown(
        parts=[
            PartShown(part.value, part in found.present, found.present.get(part, ""))
            for part in Part
        ],
        resume=_resume(found),
        resumable=found.resumable,
        missing=found.missing,
        inexact=found.inexact,
        models=[
            (label, ", ".join(lacks))
            for label, lacks in list(found.models.items())[:MAX_FACTS]
            if Part.OPTIMIZER in found.present
        ],
        facts=_facts(checkpoint.architecture),
        submodels=_submodels(checkpoint.architecture),
        tree=tree,
        tree_is_cut=budget.is_spent,
    )


def _resume(found: Completeness) -> str:
    if not found.resumable:
        return "Training cannot be resumed from here"
    return (
        "Training can be resumed, not bit for bit" if found.inexact else "Training can be resumed"
    )


def _facts(found: Architecture | None) -> list[FactShown]:
    items = list(found.facts.items())[:MAX_FACTS] if found else []
    return [FactShown(key, _text(fact), _evidence(key, fact)) for key, fact in items]


def _evidence(key: str, fact: Fact) -> str:
    """The file alone where its key is the one that stands beside it."""
    return fact.evidence.removesuffix(f": {key}")[:MAX_CHARACTERS]


def _text(fact: Fact) -> str:
    if fact.value is None:
        return ""
    if isinstance(fact.value, int) and not isinstance(fact.value, bool):
        return f"{fact.value:,}"
    return str(fact.value)[:MAX_CHARACTERS]


def _submodels(found: Architecture | None) -> list[tuple[str, str, str]]:
    """Folder, family and size of the models that a pipeline is made of."""
    shown = []
    for folder, part in found.parts.items() if found else ():
        size = part.facts.get("parameters")
        count = count_text(size.value) if size and isinstance(size.value, int) else ""
        shown.append((folder, part.family, count))
    return shown


@dataclass
class _Budget:
    """Rows that may still be shown."""

    left: int

    @property
    def is_spent(self) -> bool:
        return self.left <= 0


def _row(run: ModuleRun, whole: int, depth: int, budget: _Budget) -> TreeRow:
    budget.left -= 1
    module = run.first
    return TreeRow(
        name=run.name[:MAX_CHARACTERS],
        class_name=_short_class(module),
        count=run.count,
        parameters=count_text(run.parameters),
        share=run.parameters / whole,
        is_open=depth < OPEN_DEPTH,
        children=_rows(runs(module.children), whole, depth + 1, budget),
    )


def _rows(
    children: Iterable[ModuleRun], whole: int, depth: int, budget: _Budget
) -> tuple[TreeRow, ...]:
    rows = []
    for run in children:
        if budget.is_spent:
            break
        rows.append(_row(run, whole, depth, budget))
    return tuple(rows)


def _short_class(module: Module) -> str:
    """`torch.nn.modules.linear.Linear` as `Linear`."""
    return module.class_name.rpartition(".")[2][:MAX_CHARACTERS]
