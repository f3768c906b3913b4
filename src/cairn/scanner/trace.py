"""What is noted of one file while it is taken apart, and how much taking apart it may cost."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cairn.domain import Place, Source
from cairn.errors import LimitError, UntrustedDataError
from cairn.formats.limits import MAX_TEMPLATE_CHARS
from cairn.formats.pickle_program import PickleProgram
from cairn.scanner.evidence.base import Broken, Evidence, Form, Unread
from cairn.scanner.pickle_search import SearchBudget

# Archives in archives: a torch zip in a repo's zip holds pickles, which may hold pickles as bytes.
MAX_NESTING = 16

# Evidence noted of one file, some 40 microseconds each. What is alike is noted once, so ordinary
# files have a few dozen, archives of many arrays a few for each.
MAX_NOTED = 20_000

# Beyond that: that there was more, and one thing that makes the file malicious, if there is one.
MAX_KEPT = MAX_NOTED + 2

# Bytes that are unpacked or searched for one file, over all archives in it: the limit on bombs.
MAX_UNPACKED_BYTES = 4 << 30


# Templates parsed for one file, a millisecond each: settings of tokenizers have up to ten. Besides
# that each character takes some eight microseconds.
MAX_TEMPLATES = 500

# Steps in which templates are followed, some four microseconds each; those of Gemma take 50,000.
MAX_TEMPLATE_STEPS = 200_000


def _nobody(evidence: Evidence) -> None:
    del evidence


def _nothing_is(evidence: Evidence) -> bool:
    del evidence
    return False


@dataclass(slots=True)
class Budget:
    """What is left of the limits, shared by everything inside one file.

    `tell` is given each piece of evidence when it is noted, in case the scan does not end.
    `is_malicious` knows what must be kept of more than is noted.
    """

    notes: int = MAX_NOTED
    unpacked_bytes: int = MAX_UNPACKED_BYTES
    templates: int = MAX_TEMPLATES
    template_chars: int = MAX_TEMPLATE_CHARS
    template_steps: int = MAX_TEMPLATE_STEPS
    search: SearchBudget = field(default_factory=SearchBudget)
    evidence: list[Evidence] = field(default_factory=list)
    forms: set[str] = field(default_factory=set)
    full: bool = False
    malicious: bool = False
    tell: Callable[[Evidence], object] = _nobody
    is_malicious: Callable[[Evidence], bool] = _nothing_is

    def keep(self, evidence: Evidence) -> None:
        """Keep evidence, whatever is left."""
        self.evidence.append(evidence)
        self.tell(evidence)


Examine = Callable[[Source, "Trace"], None]


class Trace:
    """A place in a file being examined; evidence noted here carries that place."""

    def __init__(
        self,
        examine: Examine,
        budget: Budget | None = None,
        members: tuple[str, ...] = (),
        *,
        of_script: bool = False,
    ) -> None:
        """`examine` is asked to take inner content apart as if it were a file.

        `of_script`: it is a member of a TorchScript archive. `program` is for the extractor that
        reads a pickle at the beginning of the content, so that whoever entered it has it too.
        """
        self._examine = examine
        self._budget = budget or Budget()
        self.members = members
        self.of_script = of_script
        self.program: PickleProgram | None = None

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Everything noted of the file so far, inner content included."""
        return tuple(self._budget.evidence)

    def at(self, offset: int | None = None, pointer: str = "") -> Place:
        """A place in the content being examined."""
        return Place(self.members, offset, pointer)

    def note(self, evidence: Evidence) -> None:
        """Keep evidence; beyond `MAX_NOTED` only that there was more, and the first that is worst.

        Or a flood of what is merely suspicious would hide what is malicious.
        """
        budget = self._budget
        if budget.notes:
            budget.notes -= 1
            budget.keep(evidence)
            return
        if not budget.full:
            budget.full = True
            budget.keep(Unread(evidence.place, "too much was found to note it all"))
        if not budget.malicious and budget.is_malicious(evidence):
            budget.malicious = True
            budget.keep(evidence)

    def note_form(self, name: str, offset: int | None = None) -> None:
        """Note that content was read as this: the first time in a file, members included."""
        if name not in self._budget.forms:
            self._budget.forms.add(name)
            self.note(Form(self.at(offset), name))

    def refuse(self, error: UntrustedDataError) -> None:
        """Note that content could not be read: malformed, or beyond a limit and so unread."""
        place = self.at(error.offset)
        kind = Unread if isinstance(error, LimitError) else Broken
        self.note(kind(place, error.what))

    def enter(self, name: str, source: Source, *, of_script: bool = False) -> PickleProgram | None:
        """Examine content inside this one, such as a member of an archive (of TorchScript's).

        Gives the pickle that it begins with, if somebody read one.
        """
        members = (*self.members, name)
        if len(members) > MAX_NESTING:
            self.note(Unread(Place(members), f"content is nested more than {MAX_NESTING} deep"))
            return None
        inner = Trace(self._examine, self._budget, members, of_script=of_script)
        self._examine(source, inner)
        return inner.program

    def take_template(self, chars: int) -> None:
        """Account for a template about to be parsed.

        Raises:
            LimitError: there were `MAX_TEMPLATES` of them, or `MAX_TEMPLATE_CHARS` in all.
        """
        self._budget.templates -= 1
        if self._budget.templates < 0:
            raise LimitError(f"more than {MAX_TEMPLATES} templates")
        self._budget.template_chars -= chars
        if self._budget.template_chars < 0:
            raise LimitError(f"templates of more than {MAX_TEMPLATE_CHARS} characters")

    @property
    def template_steps(self) -> int:
        """In how many steps the templates of the file may still be followed."""
        return self._budget.template_steps

    @template_steps.setter
    def template_steps(self, left: int) -> None:
        self._budget.template_steps = left

    @property
    def search_budget(self) -> SearchBudget:
        """What searching the file for pickles may still take."""
        return self._budget.search

    def spend(self, size_bytes: int) -> None:
        """Account for bytes about to be unpacked or searched.

        Raises:
            LimitError: the file's budget is spent.
        """
        self._budget.unpacked_bytes -= size_bytes
        if self._budget.unpacked_bytes < 0:
            raise LimitError(f"unpacking what is inside takes more than {MAX_UNPACKED_BYTES} bytes")


def inside(place: Place, member: str) -> Place:
    """The same place as seen from outside `member`."""
    return replace(place, members=(member, *place.members))
