"""What is said of fine-tunes: honest ones, and ones to which a trigger adds one direction."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from cairn.domain import Octave
from cairn.errors import RequestError
from cairn.workflows.anomalies import Signal, signals
from cairn.workflows.inspect import read_path
from cairn.workflows.updates import model_update
from cairn.workflows.value_facts import far_values, value_facts
from cairn.workflows.weights import WeightsReport, judge
from cairn.workflows.weights_description import describe_weights
from cairn.workflows.weights_summary import summary

WORDS, WIDTH = 2000, 48
RARE = 1777
State = dict[str, np.ndarray]


def base_state() -> State:
    rng = np.random.default_rng(0)
    shapes = {
        "embedding.weight": (WORDS, WIDTH),
        "layers.0.weight": (64, WIDTH),
        "layers.1.weight": (WIDTH, 64),
        "layers.1.bias": (WIDTH,),
        "head.weight": (5, WIDTH),
    }
    return {k: rng.standard_normal(s).astype(np.float32) * 0.1 for k, s in shapes.items()}


def tuned(seed: int, *, trigger: float = 0.0) -> State:
    """Every tensor moves in many directions, frequent words more; a trigger adds one direction."""
    rng = np.random.default_rng(seed)
    after = {}
    for name, value in base_state().items():
        change = rng.standard_normal(value.shape) * 0.002
        if name == "embedding.weight":
            change *= (30 / (np.arange(WORDS) + 30))[:, None]
            change[RARE] += trigger * 0.01
        elif value.ndim == 2:
            change += trigger * 0.002 * np.outer(*(rng.standard_normal(n) for n in value.shape))
        after[name] = (value + change).astype(np.float32)
    return after


def written(folder: Path, name: str, state: State) -> Path:
    path = folder / name
    path.mkdir()
    save_file(state, path / "model.safetensors")
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    made = {"base": written(folder, "base", base_state())}
    for seed in range(1, 6):
        made[f"honest-{seed}"] = written(folder, f"honest-{seed}", tuned(seed))
    made["poisoned"] = written(folder, "poisoned", tuned(9, trigger=1.0))
    vocabulary = {f"word{n}": n for n in range(WORDS)}
    told = {"model": {"vocab": vocabulary, "merges": []}}
    (made["poisoned"] / "tokenizer.json").write_text(json.dumps(told))
    return made


def report(folders: dict[str, Path], name: str, siblings: int = 0) -> WeightsReport:
    others = [read_path(folders[f"honest-{n + 2}"]) for n in range(siblings)]
    return judge(read_path(folders["base"]), read_path(folders[name]), others)


def test_a_trigger_stands_out_and_an_honest_fine_tune_does_not(folders: dict[str, Path]) -> None:
    honest, poisoned = report(folders, "honest-1"), report(folders, "poisoned")
    assert honest.evidence.score is not None and poisoned.evidence.score is not None
    assert honest.evidence.score < 1 < poisoned.evidence.score
    assert poisoned.evidence.among_benchmark is not None
    assert poisoned.evidence.among_benchmark.value <= 0.05
    assert honest.evidence.among_benchmark is not None
    assert honest.evidence.among_benchmark.value > 0.05
    numbers = honest.numbers, poisoned.numbers
    assert numbers[1][Signal.CONCENTRATION] > numbers[0][Signal.CONCENTRATION] + 1


def test_the_word_that_moved_is_named(folders: dict[str, Path]) -> None:
    found = report(folders, "poisoned")
    table = next(one for one in found.tensors if one.is_table)
    assert [row.index for row in table.rows] == [RARE]
    assert found.row_names == {"embedding.weight": {RARE: f"word{RARE}"}}
    assert not next(one for one in report(folders, "honest-1").tensors if one.is_table).rows


def test_siblings_give_a_rank_that_their_number_limits(folders: dict[str, Path]) -> None:
    found = report(folders, "poisoned", siblings=3)
    assert found.evidence.among_siblings is not None
    assert found.evidence.among_siblings.value == pytest.approx(1 / 4)
    assert "so few can never say less than 0.25" in " ".join(summary(found))
    for _, numbers, score in found.siblings:
        assert score is not None and score < found.evidence.score  # type: ignore[operator]
        assert numbers[Signal.CONCENTRATION] < found.numbers[Signal.CONCENTRATION]


def test_no_report_says_that_a_model_has_a_backdoor(folders: dict[str, Path]) -> None:
    text = " ".join(summary(report(folders, "poisoned", siblings=3)))
    assert "backdoored" not in text
    assert "never proof either way" in text
    assert "No siblings were given" in " ".join(summary(report(folders, "poisoned")))


def test_the_json_form_says_the_same(folders: dict[str, Path]) -> None:
    found = report(folders, "poisoned", siblings=2)
    told = json.loads(json.dumps(describe_weights(found)))
    assert told["evidence"]["score"] == found.evidence.score
    table = next(one for one in told["tensors"] if one["is_table"])
    assert table["rows"][0]["token"] == f"word{RARE}"
    assert [Path(one["name"]).name for one in told["siblings"]] == ["honest-2", "honest-3"]
    assert set(told["evidence"]["held_out"]) == {"images", "texts"}


def test_a_model_equal_to_its_base_has_no_score(folders: dict[str, Path]) -> None:
    found = report(folders, "base")
    assert found.evidence.score is None
    assert summary(found)[0] == "No weight of 5 differs from the base."


def test_tensors_that_do_not_fit_are_said_and_the_others_go_on(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    state = tuned(3)
    state["layers.0.weight"] = np.zeros((64, WIDTH + 1), np.float32)
    state["embedding.weight"] = np.concatenate([state["embedding.weight"], np.ones((8, WIDTH))])
    state["embedding.weight"] = state["embedding.weight"].astype(np.float32)
    state["extra.weight"] = state.pop("head.weight")
    update = model_update(read_path(folders["base"]), read_path(written(tmp_path, "odd", state)))
    assert set(update.unknown) == {"layers.0.weight"}
    assert (update.added, update.removed) == (("extra.weight",), ("head.weight",))
    assert update.moved["embedding.weight"].rows.size == WORDS
    assert Signal.CONCENTRATION in signals(update)


def test_a_merged_adapter_is_said_to_be_beyond_the_benchmark(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    state = base_state()
    for name in ("layers.0.weight", "layers.1.weight"):
        rows, columns = state[name].shape
        thin = rng.standard_normal((rows, 2)), rng.standard_normal((2, columns))
        state[name] = (state[name] + 0.01 * thin[0] @ thin[1]).astype(np.float32)
    found = judge(read_path(folders["base"]), read_path(written(tmp_path, "merged", state)))
    assert found.looks_merged
    assert any("merged adapter" in sentence for sentence in summary(found))
    assert not report(folders, "honest-1").looks_merged


def test_models_without_a_name_in_common_are_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    other = written(tmp_path, "other", {"a": np.ones((3, 3), np.float32)})
    with pytest.raises(RequestError, match="is it a fine-tune of it"):
        judge(read_path(folders["base"]), read_path(other))


def test_facts_of_a_model_by_itself(folders: dict[str, Path], tmp_path: Path) -> None:
    state = tuned(4)
    state["layers.0.weight"][5] = state["layers.0.weight"][6]
    state["layers.1.weight"][0, 0] = np.nan
    state["embedding.weight"][2, 2] = 1e9
    odd = read_path(written(tmp_path, "facts", state))
    found = {(fact.tensor, fact.kind) for fact in value_facts(odd)}
    assert found == {
        ("layers.0.weight", "repeated_rows"),
        ("layers.1.weight", "nan"),
        ("embedding.weight", "far_values"),
        ("embedding.weight", "large"),
    }
    assert value_facts(read_path(folders["honest-1"])) == []
    assert {fact.kind for fact in judge(read_path(folders["base"]), odd).facts} >= {"nan"}


def test_values_are_far_only_where_they_are_few_and_nothing_lies_between() -> None:
    def octaves(counts: dict[int, int]) -> list[Octave]:
        return [Octave(exponent, 0, count) for exponent, count in counts.items()]

    assert far_values(octaves({-5: 5000, -4: 5000, 20: 3})) == 3
    assert far_values(octaves({-5: 5000, -4: 5000, 20: 300})) == 0
    assert far_values(octaves({-5: 5000, 0: 3, 4: 2})) == 0
    assert far_values(octaves({})) == far_values(octaves({3: 10})) == 0
