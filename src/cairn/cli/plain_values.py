"""Which of the plain values that files hold are worth a line in a summary."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cairn.cli.console import visible

if TYPE_CHECKING:
    from cairn.domain import Checkpoint, Layout, Scalar

MAX_VALUES = 12
_MAX_KEY = 60
_MAX_TEXT = 80
_FRAMEWORK = ("safetensors", "format")  # which library wrote the file, for its loaders


def value_rows(checkpoint: "Checkpoint") -> Iterator[tuple[str, str]]:
    """Progress, then the other plain values, those at the top first; what is hidden is counted."""
    values = dict(checkpoint.training)
    for _, said in sorted(_said(checkpoint), key=lambda item: item[0].count(".")):
        for key, value in said.items():
            values.setdefault(key, value)
    for key, value in list(values.items())[:MAX_VALUES]:
        evidence = checkpoint.training_evidence.get(key, "")
        said_by = f"  [dim]{visible(_short(evidence))}[/dim]" if evidence else ""
        yield f"[dim]{visible(key[:_MAX_KEY])}[/dim]", visible(_short(str(value))) + said_by
    if len(values) > MAX_VALUES:
        yield "[dim]...[/dim]", f"[dim]{len(values) - MAX_VALUES:,} more values: --json[/dim]"


def _said(checkpoint: "Checkpoint") -> Iterator[tuple[str, "dict[str, Scalar]"]]:
    """One value each; without what says nothing, or is said elsewhere in the summary."""
    for path, metadata in checkpoint.values():
        layout = checkpoint.layouts.get(path)
        for key, value in metadata.items():
            if value is not None and not (layout and _is_elsewhere(checkpoint, layout, key)):
                yield key, {key: value}


def _is_elsewhere(checkpoint: "Checkpoint", layout: "Layout", key: str) -> bool:
    """Whether it is a module's setting, a fact of the architecture, or the writing library."""
    if (layout.format, key) == _FRAMEWORK or key.rpartition(".")[0] in layout.modules:
        return True
    found = checkpoint.architecture
    evidence = [found.evidence, *(f.evidence for f in found.facts.values())] if found else []
    return any(text.endswith(f" {key}") for text in evidence)


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."
