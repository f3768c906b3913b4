"""How tensor names group into modules: numbered layers count as one, shared beginnings are dropped.

`encoder.layer.0.attention.self.query.weight` and `encoder.layer.5.output.dense.bias` both
belong to `encoder.layer.*`, which is what a reader wants to see first.
"""

from collections import Counter
from collections.abc import Iterable

MAX_MODULES = 7
REST = "others"


def module_counts(tensors: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Elements by module, largest first; past `MAX_MODULES` the small ones are added up."""
    counts: Counter[tuple[str, ...]] = Counter()
    for name, elements in tensors:
        counts[_path(name)] += elements
    shared = _shared_prefix(list(counts))
    merged: Counter[str] = Counter()
    for path, elements in counts.items():
        merged[_label(path[shared:])] += elements
    ordered = merged.most_common()
    head, tail = ordered[:MAX_MODULES], ordered[MAX_MODULES:]
    if tail:
        head.append((REST, sum(count for _, count in tail)))
    return [(name, count) for name, count in head if count]


def _path(name: str) -> tuple[str, ...]:
    """The modules a name passes, without the parameter's own name, at most eight deep."""
    parts = name[:400].split(".")[:9]
    return tuple("*" if part.isdecimal() else part for part in parts[:-1]) or (parts[0],)


def _shared_prefix(paths: list[tuple[str, ...]]) -> int:
    """How many leading modules all paths share, leaving each at least one of its own."""
    if len(paths) < 2:
        return 0
    shortest = min(len(path) for path in paths) - 1
    count = 0
    while count < shortest and len({path[count] for path in paths}) == 1:
        count += 1
    return count


def _label(path: tuple[str, ...]) -> str:
    """The first module; a numbered list of layers keeps its star."""
    if "*" in path[:3]:
        return ".".join(path[: path.index("*") + 1])
    return path[0]
