"""Every method trains what it says, and stock loaders load what it wrote."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cairn.domain.finetuning import Method
from tests.training.finetuning.work import done

LEARNS = {"steps": 60, "learning_rate": 0.03, "batch_size": 16, "evaluate_every": 30}


def loaded(out: Path, base: Path) -> Any:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    if (out / "adapter_config.json").exists():
        bare = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
        return PeftModel.from_pretrained(bare, out)
    return AutoModelForSequenceClassification.from_pretrained(out)


def answers(out: Path, base: Path) -> list[int]:
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(out)(
        ["the film was great", "a very awful book"], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        return loaded(out, base).eval()(**tokens).logits.argmax(-1).tolist()


@pytest.mark.parametrize("method", [Method.FULL, Method.LORA])
def test_what_was_learnt_is_there_when_it_is_loaded(
    method: Method, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    results, told = done(bert, reviews, tmp_path / "out", method=method, **LEARNS)
    assert results["measured"]["eval_accuracy"] > 0.9, "chance is 0.5"
    assert [one.step for one in told] == list(range(1, 61))
    assert told[-1].loss < told[0].loss / 2
    assert answers(tmp_path / "out", bert) == [1, 0]  # bad, good: by the alphabet
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == results


def test_the_last_layer_alone_changes(bert: Path, reviews: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    results, _ = done(bert, reviews, out, method=Method.LAST_LAYER, steps=5, held_out=0.0)
    before, after = load_file(bert / "model.safetensors"), load_file(out / "model.safetensors")
    same = [name for name in before if name in after and "pooler" not in name]
    assert len(same) > 20 and all(torch.equal(before[n], after[n]) for n in same)
    assert results["trained_parameters"] == 16 * 2 + 2 + 16 * 16 + 16  # head, and a pooler it lacks
    assert results["measured"] == {}


def test_a_method_that_finds_nothing_is_refused(bert: Path, reviews: Path, tmp_path: Path) -> None:
    from cairn.errors import RequestError

    with pytest.raises(RequestError, match="no adapter fits"):
        done(bert, reviews, tmp_path / "out", targets=("nothing",))
