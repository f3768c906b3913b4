"""What the tensors page says of the model: parts, facts, modules, whether training can go on."""

from cairn.domain import Architecture, Checkpoint, Completeness, Fact, Module, Part
from cairn.hub.web.model import MAX_TREE_ROWS, TreeRow, model_of


def layers(count: int, parameters: int = 10) -> tuple[Module, ...]:
    return tuple(Module(str(n), "my.Layer", parameters, 2) for n in range(count))


def test_the_four_parts_are_always_named() -> None:
    found = Completeness({Part.WEIGHTS: "3 tensors in a.bin"}, missing=("optimizer state",))
    shown = model_of(Checkpoint("", {}, completeness=found))
    assert [(part.label, part.present) for part in shown.parts] == [
        ("architecture", False),
        ("weights", True),
        ("optimizer state", False),
        ("metadata", False),
    ]
    assert shown.resume == "Training cannot be resumed from here"
    assert shown.missing == ("optimizer state",)


def test_a_resume_that_is_not_exact_says_so() -> None:
    found = Completeness({}, inexact=("no random state",))
    assert "not bit for bit" in model_of(Checkpoint("", {}, completeness=found)).resume


def test_facts_that_cannot_be_known_have_no_text_but_a_reason() -> None:
    facts = {
        "hidden_size": Fact(384, "config.json: hidden_size"),
        "num_attention_heads": Fact(None, "cannot be known from the weights"),
    }
    shown = model_of(Checkpoint("", {}, Architecture("bert", None, "names", {}, facts))).facts
    assert [(fact.text, fact.evidence) for fact in shown] == [
        ("384", "config.json"),
        ("", "cannot be known from the weights"),
    ]


def test_like_layers_are_one_row_with_their_count() -> None:
    stack = Module("layer", parameters=120, tensors=24, children=layers(12))
    tree = model_of(Checkpoint("", {}, modules=Module("", "Bert", 120, 24, (stack,)))).tree
    assert tree is not None and tree.name == "Bert" and tree.share == 1.0
    (row,) = tree.children[0].children
    assert (row.name, row.count, row.class_name, row.parameters) == ("0-11", 12, "Layer", "120")


def test_a_huge_tree_is_cut_and_says_so() -> None:
    wide = Module("", children=tuple(Module(f"m{n}") for n in range(3 * MAX_TREE_ROWS)))
    shown = model_of(Checkpoint("", {}, modules=wide))
    assert shown.tree is not None and shown.tree_is_cut
    assert rows(shown.tree) <= MAX_TREE_ROWS + 1


def rows(row: TreeRow) -> int:
    return 1 + sum(rows(child) for child in row.children)
