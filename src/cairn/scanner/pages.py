"""The page of a rule: its docstring, for `cairn rules`, reports and docs/security/rules.md."""

from dataclasses import dataclass
from inspect import cleandoc

from cairn.scanner.rule import Rule


@dataclass(frozen=True, slots=True)
class Page:
    """What a person reads of a rule: `summary` is the first sentence of `text`."""

    name: str
    title: str
    text: str

    @property
    def summary(self) -> str:
        """The first paragraph, on one line."""
        return " ".join(self.text.partition("\n\n")[0].split())


def page_of(rule: Rule) -> Page:
    """A rule's page."""
    return Page(rule.name, rule.title, cleandoc(type(rule).__doc__ or ""))
