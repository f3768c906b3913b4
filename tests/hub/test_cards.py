"""Front matter of model cards: what is read, what is refused, what hostile YAML costs."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.formats.limits import MAX_YAML_CHARS
from cairn.workflows.cards import parse_card, summarise
from cairn.workflows.front_matter import card_body


def card(yaml: str):
    return parse_card(f"---\n{yaml}\n---\n# Title\n")


def test_front_matter_becomes_json_values():
    data = card("a: 1\nb: [x, 1.5, true, null]\nc: {d: 2024-01-02}\n3: e\nyes: no").data
    assert data == {"a": 1, "b": ["x", 1.5, True, None], "c": {"d": "2024-01-02"}, "3": "e",
                    "true": False}  # fmt: skip


def test_the_body_is_what_follows():
    assert card_body("---\na: 1\n---\n# Title\n") == "\n# Title\n"
    assert card_body("# no metadata\n---\nx") == "# no metadata\n---\nx"
    assert card_body("---\nunclosed: 1\n") == "---\nunclosed: 1\n"


@pytest.mark.parametrize(
    "text", ["\ufeff---\r\na: 1\r\n---\r\nx", "\n\n---\na: 1\n---", "---  \na: 1\n---  \n"]
)
def test_windows_line_ends_marks_and_spaces_are_allowed(text):
    assert parse_card(text).data == {"a": 1}


def merge_bomb(levels: int) -> str:
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text", [merge_bomb(21), "a: 1" + ":0" * 120_000, "a: !!int 1" + ":0" * 500]
)
def test_merge_keys_and_numbers_cannot_be_made_to_cost_time_or_memory(text):
    began_s = time.perf_counter()
    found = card(text)
    # PyYAML merges what is named twice only once since 6.0.4: then there is nothing to refuse.
    assert found.errors or len(json.dumps(found.data)) < 10 * len(text)
    assert time.perf_counter() - began_s < 1.0


def test_a_few_merge_keys_and_long_texts_of_digits_are_fine():
    data = card("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: '" + "1:" * 300 + "'").data
    assert data["b"] == {"x": 1, "y": 3} and data["c"] == "1:" * 300


def bomb(levels: int, width: int) -> str:
    lines = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "yaml",
    [
        bomb(9, 9),
        bomb(7, 8),
        "a: &a [*a]",
        "a: &a {b: *a}",
        "a: " + "[" * 100_000,
        "a: " + "{b: " * 5_000,
        "- x\n" * 50_000,
        "a: [" + "x, " * 30_000 + "x]",
        "a: " + "9" * 10_000,
        "a: 0x" + "f" * 10_000,
        "a: !!python/object/apply:os.system ['true']",
        "a: !!python/name:os.system",
        "a: !!binary //8=",
        "a: !unknown x",
        "a: 2024-13-45",
        "? [a]\n: b",
        "? {a: b}\n: c",
        "a: \"\\ud800\"",
        "a: *nowhere",
        "\tx: y",
        "a: b: c",
        "a: &x {b: 1}\nc:\n  <<: [" + ", ".join(["*x"] * 500) + "]",
        "x" * (MAX_YAML_CHARS + 1),
        "just text",
        "[1, 2]",
    ],
)  # fmt: skip
def test_hostile_and_broken_yaml_is_an_error_and_takes_no_time(yaml):
    started = time.process_time()
    found = card(yaml)
    assert time.process_time() - started < 1.5
    assert found.errors and found.data == {}
    assert all(len(text) < 500 and "\n" not in text for text in found.errors)


def test_a_large_honest_card_is_read():
    yaml = "model-index:\n" + "".join(
        f"- name: m{n}\n  results: [{{metric: f1, value: 0.{n}}}]\n" for n in range(1500)
    )
    started = time.process_time()
    assert len(card(yaml).data["model-index"]) == 1500
    assert time.process_time() - started < 2


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"\n ,#?%@\\0~=<", max_size=120))
def test_any_text_gives_a_card_of_json_values(text):
    found = parse_card(f"---\n{text}\n---\n")
    json.dumps(found.data, allow_nan=False)
    json.dumps(summarise(found, "0" * 40).card)


def test_nan_and_infinity_are_kept_as_words():
    assert card("a: .nan\nb: -.inf").data == {"a": "nan", "b": "-inf"}


@pytest.mark.parametrize("yaml", ["tags: x", "license: {a: b}", "library_name: [x]", "language: 7",
                                  "model-index: x", "datasets: [1]"])  # fmt: skip
def test_fields_of_the_wrong_kind_are_named(yaml):
    assert yaml.split(":")[0] in card(yaml).errors[0]


def test_the_language_code_no_is_not_a_truth_value():
    assert "no" in summarise(card("language: [en, no]"), "0" * 40).tags


def test_tags_are_bounded():
    many = summarise(card("tags: [" + ", ".join(f"t{n}" for n in range(5000)) + "]"), "0" * 40)
    assert len(many.tags) == 200
