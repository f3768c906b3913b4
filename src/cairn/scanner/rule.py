"""What a rule is: it judges evidence of the kinds it is about."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding
from cairn.scanner.evidence.base import Evidence


class Rule(ABC):
    """One reason for which content is not clean. The docstring is the rule's page.

    `name` stands in reports and waivers and is never changed. `version` counts changes of what
    the rule says of the same evidence: files are judged anew when it grows.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[int] = 1
    about: ClassVar[tuple[type[Evidence], ...]]

    @abstractmethod
    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """What is wrong with evidence of one of the kinds in `about`."""
