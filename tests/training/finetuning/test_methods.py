"""Every method trains what it says, and stock loaders load what it wrote."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cairn.domain.finetuning import Method
from cairn.errors import MissingExtraError, RequestError
from cairn.training.rows import open_data, split
from tests.training.finetuning import bases
from tests.training.finetuning.work import done, weights

LEARNS = {"steps": 80, "learning_rate": 0.03, "batch_size": 16, "evaluate_every": 40, "rank": 16}


def loaded(out: Path, base: Path) -> Any:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    if (out / "adapter_config.json").exists():
        bare = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
        return PeftModel.from_pretrained(bare, out)
    return AutoModelForSequenceClassification.from_pretrained(out)


def accuracy(out: Path, base: Path, data: Path) -> float:
    """Of a stock loader's model on the rows that the default seed holds out."""
    from transformers import AutoTokenizer

    rows = open_data(data).rows
    held_out = [rows[number] for number in split(rows, 0.1, seed=0).held_out]
    texts = [row["text"] for row in held_out]
    tokens = AutoTokenizer.from_pretrained(out)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        found = loaded(out, base).eval()(**tokens).logits.argmax(-1).tolist()
    names = ("bad", "good")  # by the alphabet
    right = [names[number] == row["label"] for number, row in zip(found, held_out, strict=True)]
    return sum(right) / len(right)


@pytest.mark.parametrize("method", [Method.FULL, Method.LORA])
def test_what_was_learnt_is_there_when_it_is_loaded(
    method: Method, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    results, told = done(bert, reviews, tmp_path / "out", method=method, **LEARNS)
    measured = results["measured"]["eval_accuracy"]
    assert measured > 0.75, "chance is 0.5"
    assert [one.step for one in told] == list(range(1, 81))
    assert told[-1].loss < told[0].loss - 0.1
    assert accuracy(tmp_path / "out", bert, reviews) == measured
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == results


def test_terms_of_the_base_go_with_what_comes_out(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done(bert, reviews, out, steps=1)
    assert (out / "NOTICE").read_bytes() == (bert / "NOTICE").read_bytes()
    card = (out / "README.md").read_text()
    assert "license: apache-2.0" in card and "The file `NOTICE` is that of the base" in card


def test_the_last_layer_alone_changes(bert: Path, reviews: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    results, _ = done(bert, reviews, out, method=Method.LAST_LAYER, steps=5, held_out=0.0)
    before, after = load_file(bert / "model.safetensors"), load_file(out / "model.safetensors")
    same = [name for name in before if name in after and "pooler" not in name]
    assert len(same) > 20 and all(torch.equal(before[n], after[n]) for n in same)
    assert results["trained_parameters"] == 16 * 2 + 2 + 16 * 16 + 16  # head, and a pooler it lacks
    assert results["measured"] == {}


def test_a_method_that_finds_nothing_is_refused(bert: Path, reviews: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no adapter fits"):
        done(bert, reviews, tmp_path / "out", targets=("nothing",))


def test_four_bits_without_their_library_name_the_extra(
    bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cairn-hub\[qlora\]'"):
        done(bert, reviews, tmp_path / "out", method=Method.QLORA)


@pytest.mark.slow
def test_an_adapter_beside_four_bits_learns_and_goes_on_to_the_bit(
    reviews: Path, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    bert = bases.bert(tmp_path / "base", width=64)
    settings = {**LEARNS, "method": Method.QLORA, "learning_rate": 0.005}
    results, _ = done(bert, reviews, tmp_path / "straight", **settings)
    assert results["measured"]["eval_accuracy"] > 0.75, "chance is 0.5"
    done(bert, reviews, tmp_path / "cut", stop_after=50, **settings)
    done(bert, reviews, tmp_path / "cut", **settings)
    assert weights(tmp_path / "cut") == weights(tmp_path / "straight")
    assert loaded(tmp_path / "cut", bert) is not None
    kept = load_file(tmp_path / "cut" / "run" / "step-80" / "model.safetensors")
    assert not any("embeddings" in name and name.endswith("weight") for name in kept)
