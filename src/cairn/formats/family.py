"""What a family is: a kind of model that can be told by the names and shapes of its weights."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cairn.domain import Fact, Scalar
from cairn.formats.weight_names import WeightNames

CANNOT_BE_KNOWN = "cannot be known from the weights"

Measure = Callable[[WeightNames], Fact | None]
"""Reads one fact off the weights; None where the weights it needs are not there."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """What the weights show: the label, the names that gave it away, what could be measured.

    `kind` is the name of the family, `family` the label of the one variety of it.
    """

    kind: str
    family: str
    evidence: str
    facts: Mapping[str, Fact] = field(default_factory=dict)


class Family(ABC):
    """One kind of model. Subclasses hold no state, so one object serves all threads."""

    name: str
    """The family's stable name, as it appears in `Architecture.family`."""

    model_types: frozenset[str] = frozenset()
    """What configurations of Hugging Face libraries call models of this family."""

    labels: Mapping[str, str] = {}
    """Further names in configurations, with the label this family gives such models itself."""

    orders: tuple[tuple[str, ...], ...] = ()
    """Names of modules and parameters such that, sorted by one of these at every level, parameters
    come in the order in which the model's code defines them; numbers count upwards. Files sorted
    by name lose that order, and optimizers number their states by it."""

    @abstractmethod
    def recognise(self, names: WeightNames) -> Recognition | None:
        """What the weights show if they are of this family; judged by names and shapes alone."""


@dataclass(frozen=True, slots=True)
class Naming:
    """One way to call the weights of a family.

    `needs` are endings of names that all have to be there, `lacks` some of which none may, and
    `checks` what has to hold besides. `facts` measures what the shapes tell, `unknown` names what
    people ask for and no shape tells.
    """

    needs: tuple[str, ...]
    facts: Mapping[str, Measure] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    checks: tuple[Callable[[WeightNames], bool], ...] = ()
    unknown: tuple[str, ...] = ()
    label: str = ""

    def measure(self, family: str, names: WeightNames) -> Recognition | None:
        """The recognition, or None where the names do not fit."""
        found = [names.find(suffix) for suffix in self.needs]
        present = [template for template in found if template is not None]
        if len(present) < len(found) or any(names.find(suffix) for suffix in self.lacks):
            return None
        if not all(check(names) for check in self.checks):
            return None
        facts = {key: fact for key, read in self.facts.items() if (fact := read(names))}
        for key in self.unknown:
            facts.setdefault(key, Fact(None, CANNOT_BE_KNOWN))
        return Recognition(family, self.label or family, f"tensor names: {present[0].text}", facts)


class NamedFamily(Family):
    """A family that is told by one of several namings, tried in order."""

    namings: tuple[Naming, ...] = ()

    def recognise(self, names: WeightNames) -> Recognition | None:
        """The first naming that fits."""
        for naming in self.namings:
            found = naming.measure(self.name, names)
            if found is not None:
                return found
        return None


# --- measures ------------------------------------------------------------------------------


def axis(number: int, *suffixes: str, minus: int = 0) -> Measure:
    """The length of one axis of the first weight that is there, less `minus`."""

    def read(names: WeightNames) -> Fact | None:
        found = names.find(*suffixes)
        if found is None or not -len(found.shape) <= number < len(found.shape):
            return None
        return Fact(found.shape[number] - minus, f"shape of {found.example}")

    return read


def layers(*suffixes: str, at: int = 0) -> Measure:
    """How many siblings the `at`-th number of the first suffix found counts."""

    def read(names: WeightNames) -> Fact | None:
        for suffix in suffixes:
            found, count = names.find(suffix), names.count(suffix, at)
            if found is not None and count is not None:
                return Fact(count, f"numbers in {found.text}")
        return None

    return read


def quotient(upper: Measure, lower: Measure) -> Measure:
    """One measure divided by another, where that goes without rest."""

    def read(names: WeightNames) -> Fact | None:
        above, below = upper(names), lower(names)
        if above is None or below is None:
            return None
        if not isinstance(above.value, int) or not isinstance(below.value, int):
            return None
        if below.value < 1 or above.value % below.value:
            return None
        return Fact(above.value // below.value, f"{above.evidence} over {below.evidence}")

    return read


def image_side(positions: Measure, patch: Measure) -> Measure:
    """Pixels on one side of a square image: the root of its positions times the patch's side."""

    def read(names: WeightNames) -> Fact | None:
        count, side = positions(names), patch(names)
        if count is None or side is None:
            return None
        if not isinstance(count.value, int) or not isinstance(side.value, int) or count.value < 1:
            return None
        root = math.isqrt(count.value)
        if root * root != count.value:
            return None
        return Fact(root * side.value, f"{count.evidence}, if images are square")

    return read


def constant(value: Scalar, suffix: str) -> Measure:
    """A fact that holds wherever a weight ending so is there."""

    def read(names: WeightNames) -> Fact | None:
        found = names.find(suffix)
        return None if found is None else Fact(value, f"{found.text} is there")

    return read
