"""The rules, one per file."""

from cairn.plugins import Registry
from cairn.scanner.rule import Rule
from cairn.scanner.rules.carried_pickles import CarriedPickles
from cairn.scanner.rules.malformed import Malformed
from cairn.scanner.rules.not_read import NotRead
from cairn.scanner.rules.pickle_calls import PickleCalls
from cairn.scanner.rules.pickle_expansion import PickleExpansion
from cairn.scanner.rules.pickle_imports import PickleImports
from cairn.scanner.rules.pickle_oddities import PickleOddities
from cairn.scanner.rules.pickle_references import PickleReferences

RULES: Registry[Rule] = Registry(
    "rule",
    [
        PickleImports(),
        PickleCalls(),
        PickleOddities(),
        PickleReferences(),
        PickleExpansion(),
        CarriedPickles(),
        Malformed(),
        NotRead(),
    ],
)

__all__ = ["RULES"]
