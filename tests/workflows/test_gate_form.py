"""What a card asks at the gate: every field of the HF hub's, and nothing that breaks the page."""

import pytest

from cairn.errors import RequestError
from cairn.workflows.gate_form import BUTTON, MAX_FIELDS, FieldKind, GateField, Option, gate_form

CARD = {
    "extra_gated_heading": "Acknowledge the licence",
    "extra_gated_prompt": "You agree not to *harm* anybody.",
    "extra_gated_button_content": "Acknowledge",
    "extra_gated_fields": {
        "Company": "text",
        "Country": "country",
        "Date of birth": "date_picker",
        "Use": {"type": "select", "options": ["Research", {"label": "Other", "value": "other"}]},
        "I agree": "checkbox",
        "Network": "ip_location",
    },
}
ANSWERS = {
    "Company": "X",
    "Country": "Wales",
    "Date of birth": "2001-02-03",
    "Use": "other",
    "I agree": "on",
}


def test_a_form_is_what_the_card_says() -> None:
    form = gate_form(CARD)
    assert (form.heading, form.button) == ("Acknowledge the licence", "Acknowledge")
    assert [field.kind.value for field in form.fields] == [
        "text",
        "country",
        "date_picker",
        "select",
        "checkbox",
    ]
    assert form.fields[3].options == (Option("Research", "Research"), Option("other", "Other"))
    assert form.answered(ANSWERS) == {**ANSWERS, "I agree": True}


@pytest.mark.parametrize(
    ("label", "given"),
    [
        ("Company", " "),
        ("Company", "two\nlines"),
        ("Date of birth", "yesterday"),
        ("Use", "Other"),
        ("I agree", ""),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(label: str, given: str) -> None:
    with pytest.raises(RequestError, match=label):
        gate_form(CARD).answered({**ANSWERS, label: given})


@pytest.mark.parametrize(
    "fields",
    [
        None,
        "text",
        ["Company"],
        {"": "text"},
        {"Use": {"type": "select", "options": "Research"}},
        {"Use": {"type": "select", "options": [{"label": "no value"}, None]}},
        {"Network": "ip_location"},
    ],
)
def test_fields_that_nobody_could_answer_are_left_out(fields: object) -> None:
    form = gate_form({"extra_gated_fields": fields, "extra_gated_heading": ["x"]})
    assert (form.fields, form.heading, form.button) == ((), "", BUTTON)


def test_a_kind_that_is_not_known_is_asked_for_as_text() -> None:
    odd = {"Name": "textarea", "Age": 3, "Other": {}, "Nothing": None}
    form = gate_form({"extra_gated_fields": odd})
    assert form.fields == tuple(GateField(label, FieldKind.TEXT) for label in odd)


def test_labels_and_choices_come_back_as_a_browser_sends_them() -> None:
    choice = {"type": "select", "options": [" a\n b ", " "]}
    (field,) = gate_form({"extra_gated_fields": {" For\nwhat? ": choice}}).fields
    assert (field.label, field.options) == ("For what?", (Option("a b", "a b"),))


def test_an_answer_may_be_in_any_script() -> None:
    form = gate_form({"extra_gated_fields": {"Name": "text"}})
    for name in ("فاطمه‌زهرا", "श्री‍मान", "Ñuñez", "李雷"):
        assert form.answered({"Name": name}) == {"Name": name}
    with pytest.raises(RequestError):
        form.answered({"Name": "\u202etxt.exe"})


def test_a_form_has_an_end() -> None:
    many = {f"Field {number}": "text" for number in range(MAX_FIELDS + 5)}
    form = gate_form({"extra_gated_fields": many, "extra_gated_prompt": "x" * 50_000})
    assert len(form.fields) == MAX_FIELDS and len(form.prompt) == 20_000
