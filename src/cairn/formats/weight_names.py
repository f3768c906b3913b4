"""The names of a model's weights taken together: numbered siblings are one template with a count.

`encoder.layer.0.output.dense.weight` to `encoder.layer.11...` become the template
`encoder.layer.N.output.dense.weight` with the numbers 0 to 11. Rules about families look at
templates, of which even a very large model has some hundred.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cairn.formats.limits import (
    MAX_INDEX_DIGITS,
    MAX_SUFFIX_CHARS,
    MAX_SUFFIX_SEGMENTS,
    MAX_TEMPLATES,
)

Shape = tuple[int, ...]

NUMBER = "N"
# Flax and Keras call a weight by what it is; kernels have their axes the other way round.
_OTHER_LEAVES = (("kernel", True), ("embedding", False), ("scale", False), ("gamma", False))


@dataclass(frozen=True, slots=True)
class Template:
    """Weights that differ in the numbers of their name only.

    `example` is the first of them and `shape` its shape; `counts` has, for each number in the
    name, the highest one met plus one.
    """

    text: str
    example: str
    shape: Shape
    counts: tuple[int, ...]
    tensors: int


class WeightNames:
    """Templates by any of their endings, so that wrappers and prefixes do not matter."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        """`shapes` maps full names to shapes, in the order of the file."""
        self.templates: dict[str, Template] = {}
        self._by_suffix: dict[str, Template] = {}
        self._collect(shapes.items())
        for template in self.templates.values():
            segments = template.text[-MAX_SUFFIX_CHARS:].split(".")
            if len(template.text) > MAX_SUFFIX_CHARS:
                del segments[0]  # may have been cut
            segments = segments[-MAX_SUFFIX_SEGMENTS:]
            for start in range(len(segments)):
                self._by_suffix.setdefault(".".join(segments[start:]), template)

    def _collect(self, shapes: Iterable[tuple[str, Shape]]) -> None:
        found: dict[str, tuple[str, Shape, list[int], list[int]]] = {}
        for name, shape in shapes:
            text, numbers = template_of(name)
            entry = found.get(text)
            if entry is None:
                if len(found) >= MAX_TEMPLATES:
                    continue
                found[text] = (name, shape, [n + 1 for n in numbers], [1])
                continue
            counts = entry[2]
            for at, number in enumerate(numbers):
                counts[at] = max(counts[at], number + 1)
            entry[3][0] += 1
        for text, (name, shape, counts, tensors) in found.items():
            self.templates[text] = Template(text, name, shape, tuple(counts), tensors[0])

    def find(self, *suffixes: str) -> Template | None:
        """The first template that ends with one of these, whole segments compared.

        For a `.weight` that is not there, the spellings of Flax and Keras are tried.
        """
        for suffix in suffixes:
            found = self._by_suffix.get(suffix) or self._spelt_otherwise(suffix)
            if found is not None:
                return found
        return None

    def _spelt_otherwise(self, suffix: str) -> Template | None:
        stem, _, leaf = suffix.rpartition(".")
        if leaf != "weight":
            return None
        for other, is_reversed in _OTHER_LEAVES:
            found = self._by_suffix.get(f"{stem}.{other}")
            if found is not None and is_reversed:
                return Template(
                    found.text, found.example, found.shape[::-1], found.counts, found.tensors
                )
            if found is not None:
                return found
        return None

    def count(self, suffix: str, at: int = 0) -> int | None:
        """How many siblings the `at`-th number of a suffix counts; None if nothing ends so."""
        found = self.find(suffix)
        if found is None:
            return None
        before = found.text.split(".").count(NUMBER) - suffix.split(".").count(NUMBER)
        return found.counts[before + at]


def template_of(name: str) -> tuple[str, tuple[int, ...]]:
    """A name with its numbers replaced, and the numbers. `/` separates as `.` does."""
    numbers = []
    segments = name.replace("/", ".").split(".")
    for at, segment in enumerate(segments):
        if segment.isdecimal() and segment.isascii() and len(segment) <= MAX_INDEX_DIGITS:
            numbers.append(int(segment))
            segments[at] = NUMBER
    return ".".join(segments), tuple(numbers)
