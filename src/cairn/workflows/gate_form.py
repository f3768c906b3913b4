"""What the card of a gated repo asks of people who want its files: the `extra_gated_*` keys.

https://huggingface.co/docs/hub/models-gated#customize-requested-information
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any

from cairn.catalog import Answers
from cairn.errors import RequestError

MAX_FIELDS = 30
MAX_OPTIONS = 300  # there are some 250 countries
MAX_LABEL_CHARACTERS = 300
MAX_ANSWER_CHARACTERS = 500
MAX_MESSAGE_CHARACTERS = 1000
MAX_PROMPT_CHARACTERS = 20_000  # rendered while the page waits: some 0.1 s at worst
BUTTON = "Agree and send request to access repo"
_JOINERS = re.compile("[\u200c\u200d]")  # part of names in Persian and many Indian scripts
_TICKED = ("on", "true", "1", "yes")


class FieldKind(Enum):
    """What is answered to a field; a kind that is none of these is asked for as text."""

    TEXT = "text"
    CHECKBOX = "checkbox"
    DATE = "date_picker"
    COUNTRY = "country"
    SELECT = "select"


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a select: what is kept and what people read."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class GateField:
    """One field of the form; each has to be answered."""

    label: str
    kind: FieldKind
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class GateForm:
    """What is shown and asked; texts are empty where the card has none. `prompt` is Markdown."""

    heading: str
    prompt: str
    description: str
    button: str
    fields: tuple[GateField, ...]

    def answered(self, given: Mapping[str, str]) -> Answers:
        """The answers, checked; `given` has them by label, ticks as a browser sends them.

        Raises:
            RequestError: a field is not answered, or with what it does not take.
        """
        return {field.label: _answer(field, given.get(field.label, "")) for field in self.fields}


def gate_form(card: Mapping[str, Any]) -> GateForm:
    """The form that a card's front matter describes; what makes no sense in it is left out."""
    fields = card.get("extra_gated_fields")
    described = list(fields.items()) if isinstance(fields, dict) else []
    found = [_field(str(label), said) for label, said in described[:MAX_FIELDS]]
    return GateForm(
        heading=_text(card, "extra_gated_heading", MAX_LABEL_CHARACTERS),
        prompt=_text(card, "extra_gated_prompt", MAX_PROMPT_CHARACTERS),
        description=_text(card, "extra_gated_description", MAX_PROMPT_CHARACTERS),
        button=_text(card, "extra_gated_button_content", MAX_LABEL_CHARACTERS) or BUTTON,
        fields=tuple(field for field in found if field is not None),
    )


def _text(card: Mapping[str, Any], key: str, most: int) -> str:
    value = card.get(key)
    return value.strip()[:most] if isinstance(value, str) else ""


def _field(label: str, said: object) -> GateField | None:
    """None for what only the HF hub fills in by itself, and for a choice without options."""
    described = said if isinstance(said, dict) else {"type": said}
    named = str(described.get("type", "text")).strip().lower()
    label = _one_line(label, MAX_LABEL_CHARACTERS)
    if named == "ip_location" or not label:
        return None
    kinds = {kind.value: kind for kind in FieldKind}
    kind = kinds.get(named, FieldKind.TEXT)
    options = _options(described.get("options")) if kind is FieldKind.SELECT else ()
    if kind is FieldKind.SELECT and not options:
        return None
    return GateField(label, kind, options)


def _one_line(text: str, most: int) -> str:
    """As a browser sends back what stands in a form: it would change line ends and blanks."""
    return " ".join(text.split())[:most].rstrip()


def _options(said: object) -> tuple[Option, ...]:
    found = []
    for one in (said if isinstance(said, list) else [])[:MAX_OPTIONS]:
        value, label = (one.get("value"), one.get("label")) if isinstance(one, dict) else (one, one)
        kept, shown = (_one_line(str(text), MAX_ANSWER_CHARACTERS) for text in (value, label))
        if value is not None and label is not None and kept:
            found.append(Option(kept, shown))
    return tuple(found)


def _answer(field: GateField, given: str) -> str | bool:
    text = given.strip()
    shown = repr(field.label[:80])
    if field.kind is FieldKind.CHECKBOX:
        if text.lower() not in _TICKED:
            raise RequestError(f"tick {shown} to ask for access")
        return True
    if not text:
        raise RequestError(f"fill in {shown} to ask for access")
    if len(text) > MAX_ANSWER_CHARACTERS or not _JOINERS.sub("", text).isprintable():
        raise RequestError(f"{shown} takes one line of at most {MAX_ANSWER_CHARACTERS} characters")
    if field.kind is FieldKind.SELECT and text not in {option.value for option in field.options}:
        raise RequestError(f"{text[:80]!r} is not one of the choices for {shown}")
    if field.kind is FieldKind.DATE:
        return _date(text, shown)
    return text


def _date(text: str, shown: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise RequestError(f"{shown} takes a date such as 2026-11-28") from None
