"""What a checkpoint is, as lines for a terminal: family, facts, parts, modules."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cairn.cli.console import visible
from cairn.workflows.module_runs import runs

if TYPE_CHECKING:
    from cairn.domain import Architecture, Checkpoint, Completeness, Fact, Module

MAX_TREE_LINES = 400
_MAX_FACTS = 24
_TIMES = "×"  # noqa: RUF001 - the sign that is meant
_SHOWN_WITH_DTYPES = ("parameters", "active_parameters")
_MAX_MODELS = 12
_MAX_CHARACTERS = 200


def architecture_rows(found: "Architecture") -> Iterator[tuple[str, str]]:
    """Label and text of what is known about the architecture, with the evidence dimmed."""
    yield "family", f"{visible(found.family)} [dim]({visible(found.evidence)})[/dim]"
    if found.class_name:
        yield "class", visible(found.class_name)
    for key, fact in list(found.facts.items())[:_MAX_FACTS]:
        if key not in _SHOWN_WITH_DTYPES:
            yield visible(key), _fact(fact)
    total, active = (found.facts.get(key) for key in _SHOWN_WITH_DTYPES)
    if total is not None and active is not None and active.value != total.value:
        yield "active parameters", _fact(active)
    for folder, part in found.parts.items():
        size = part.facts.get("parameters")
        count = f", {size.value:,} parameters" if size and isinstance(size.value, int) else ""
        evidence = f"[dim]({visible(part.evidence)})[/dim]"
        yield f"  {visible(folder)}", f"{visible(part.family)}{count} {evidence}"


def _fact(fact: "Fact") -> str:
    if fact.value is None:
        return f"[dim]{visible(fact.evidence)}[/dim]"
    number = isinstance(fact.value, int) and not isinstance(fact.value, bool)
    text = f"{fact.value:,}" if number else str(fact.value)
    return f"{visible(text[:_MAX_CHARACTERS])} [dim]({visible(fact.evidence)})[/dim]"


def completeness_rows(found: "Completeness") -> Iterator[tuple[str, str]]:
    """The four parts, each with what shows it, and whether training can go on."""
    from cairn.domain import Part

    for part in Part:
        evidence = found.present.get(part)
        shown = f"[green]✓[/green] [dim]{visible(evidence)}[/dim]" if evidence else "[dim]✗[/dim]"
        yield f"has {part.value}", shown
    if not found.resumable:
        yield "resume training", f"no, missing: {visible(', '.join(found.missing))}"
    elif found.inexact:
        yield "resume training", f"yes, not bit for bit: {visible(', '.join(found.inexact))}"
    else:
        yield "resume training", "yes"
    if Part.OPTIMIZER not in found.present:
        return
    for label, lacks in list(found.models.items())[:_MAX_MODELS]:
        verdict = f"no, missing: {', '.join(lacks)}" if lacks else "yes"
        yield f"  {visible(label)}", visible(verdict)
    if len(found.models) > _MAX_MODELS:
        yield "", f"[dim]and {len(found.models) - _MAX_MODELS:,} more models: --json[/dim]"


def tree_lines(checkpoint: "Checkpoint") -> list[str]:
    """The module tree; siblings that are alike but for their number are one line."""
    root = checkpoint.modules
    if root is None:
        return ["no modules: there are no weights"]
    name = root.class_name or (checkpoint.architecture and checkpoint.architecture.class_name)
    lines = [f"[bold]{visible(str(name or 'model'))}[/bold] {_size(root)}"]
    for line in _below(root.children, ""):
        if len(lines) > MAX_TREE_LINES:
            return [*lines, "... more modules: --json shows them"]
        lines.append(line)
    return lines


def _below(children: "Iterable[Module]", indent: str) -> Iterator[str]:
    found = list(runs(children))
    for at, run in enumerate(found):
        is_last = at == len(found) - 1
        first = run.first
        name = run.name if run.count == 1 else f"{run.name} {_TIMES}{run.count}"
        class_name = f" [cyan]{visible(first.class_name)}[/cyan]" if first.class_name else ""
        each = " each" if run.count > 1 else ""
        branch = "└─ " if is_last else "├─ "
        yield f"[dim]{indent}{branch}[/dim]{visible(name)}{class_name} {_size(first)}{each}"
        yield from _below(first.children, indent + ("   " if is_last else "│  "))


def _size(module: "Module") -> str:
    tensors = f"{module.tensors:,} tensor{'s' * (module.tensors != 1)}"
    return f"[dim]{module.parameters:,} parameters, {tensors}[/dim]"
