"""Optimizer states get the names of their parameters, or none: never those of others."""

import pytest
import torch
from torch import nn

from cairn.formats.optimizer_states import NumberedStates, matched, numbered_states
from cairn.formats.parameter_order import defined_orders
from cairn.formats.recognition import recognise
from tests.formats.families import development, held_out
from tests.formats.families.development import shapes_of

KNOWN = {**development.MODELS, **held_out.MODELS}
# State dicts have no parameters to compare with; a list, because making a model takes its time.
STATE_DICTS = {
    *("a PEFT adapter", "a PEFT adapter of Llama", "a PEFT adapter with magnitudes"),
    *("a PEFT adapter of convolutions", "a kohya adapter"),
    *("BERT for pretraining, compiled", "GPT-2 classifier, distributed", "a bare HuBERT"),
    *("Mixtral as saved", "ViT as saved", "YOLOS as saved"),
    *("torchvision's ResNet-34", "torchvision's ResNet-50"),
    *("a YOLOv8", "a YOLOv8 in its training file"),
}
MODULES = [label for label in KNOWN if label not in STATE_DICTS]
# Those whose order of definition the rules do not know, or that define their heads elsewhere.
UNMATCHED = {
    *("CamemBERT", "XLM-RoBERTa", "ELECTRA", "Qwen3 of experts"),
}


@pytest.mark.parametrize("label", MODULES)
def test_names_sorted_by_a_file_come_back_in_the_order_of_the_model(label: str) -> None:
    model = KNOWN[label][1]()
    assert isinstance(model, nn.Module)
    true = [(name, tuple(parameter.shape)) for name, parameter in model.named_parameters()]
    shapes = dict(true)
    found = recognise(shapes_of(model))
    assert found is not None
    orders = defined_orders(sorted(shapes), found.kind)
    states = NumberedStates("", {at: [shape] for at, (_, shape) in enumerate(true)}, (len(true),))
    match = matched(states, [[(name, shapes[name]) for name in order] for order in orders])
    assert bool(match.reason) is (label in UNMATCHED), match.reason
    if not match.reason:
        assert [match.names[at] for at in range(len(true))] == [name for name, _ in true]


def test_what_is_left_out_of_the_comparison_has_no_parameters() -> None:
    assert KNOWN.keys() >= STATE_DICTS
    assert not any(isinstance(KNOWN[label][1](), nn.Module) for label in STATE_DICTS)


def state(*shapes: tuple[int, ...], groups: tuple[int, ...]) -> NumberedStates:
    return NumberedStates("", {at: [shape, ()] for at, shape in enumerate(shapes)}, groups)


def test_one_state_that_does_not_fit_leaves_all_unmatched() -> None:
    order = [("a", (3, 2)), ("b", (3,)), ("c", (4,))]
    assert matched(state((3, 2), (3,), (4,), groups=(3,)), [order]).names == {
        0: "a", 1: "b", 2: "c",
    }  # fmt: skip
    match = matched(state((3, 2), (3,), (5,), groups=(3,)), [order])
    assert match.names == {}
    assert "state 2 has shape (5,)" in match.reason


def test_frozen_parameters_are_not_guessed() -> None:
    match = matched(state((3, 2), groups=(1,)), [[("a", (3, 2)), ("b", (3, 2))]])
    assert match.reason == "the optimizer has 1 parameters, the weights have 2"


def test_two_orders_that_both_fit_are_ambiguous() -> None:
    one = [("a", (2,)), ("b", (2,))]
    match = matched(state((2,), (2,), groups=(2,)), [one, one[::-1]])
    assert match.names == {}
    assert "2 ways" in match.reason
    assert matched(state((2,), (2,), groups=(2,)), [one, one]).names == {0: "a", 1: "b"}


def test_the_rows_and_columns_of_adafactor_fit() -> None:
    states = NumberedStates("", {0: [(3,), (2,)], 1: [(3,)]}, (2,))
    assert not matched(states, [[("a", (3, 2)), ("b", (3,))]]).reason
    assert matched(states, [[("a", (4, 2)), ("b", (3,))]]).reason


def test_unknown_siblings_have_no_order() -> None:
    assert defined_orders(["encoder.zebra.weight", "encoder.aardvark.weight"], "bert") == []
    assert defined_orders(["10.weight", "2.weight", "2.bias"], None) == [
        ["2.weight", "2.bias", "10.weight"]
    ]


@pytest.mark.parametrize("head", ["", "optimizer_states.0.", "checkpoint.optimizer."])
def test_states_are_found_at_any_place_in_a_file(head: str) -> None:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    saved = optimizer.state_dict()["state"]
    tensors = [
        (f"{head}state.{number}.{key}", tuple(value.shape))
        for number, values in saved.items()
        for key, value in values.items()
    ]
    (found,) = numbered_states(tensors, {f"{head}param_groups.0.params": "[2 values]"})
    assert found.head == head
    assert found.groups == (2,)
    assert sorted(found.states) == [0, 1]
