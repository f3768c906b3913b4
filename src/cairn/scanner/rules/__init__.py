"""The rules, one per file."""

from cairn.plugins import Registry
from cairn.scanner.rule import Rule
from cairn.scanner.rules.malformed import Malformed
from cairn.scanner.rules.not_read import NotRead
from cairn.scanner.rules.pickle_imports import PickleImports

RULES: Registry[Rule] = Registry("rule", [PickleImports(), Malformed(), NotRead()])

__all__ = ["RULES"]
