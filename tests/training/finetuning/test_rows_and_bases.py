"""What of rows and bases does not fit is said before training, and what fits is not lost."""

import json
from pathlib import Path

import pytest

from cairn.domain.finetuning import Method
from cairn.errors import RequestError
from tests.training.finetuning.work import done


def table(path: Path, *rows: str) -> Path:
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def test_held_out_rows_may_have_a_class_of_their_own(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    held = table(tmp_path / "held.csv", "text,label", "the film was good,good", "a book,rare")
    results, _ = done(bert, reviews, tmp_path / "out", eval_data=held, steps=1, method=Method.FULL)
    assert results["held_out"] == 2
    said = json.loads((tmp_path / "out" / "config.json").read_text())
    assert set(said["label2id"]) == {"bad", "good", "rare"}


def test_columns_and_labels_of_held_out_rows_are_looked_at_before_training(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    other = table(tmp_path / "other.csv", "text,stars", "the film was good,good")
    with pytest.raises(RequestError, match=r"other.csv, .* has no column 'label' as reviews.csv"):
        done(bert, reviews, tmp_path / "out", eval_data=other, steps=1)
    none = table(tmp_path / "none.csv", "text,label", "the film was good,")
    with pytest.raises(RequestError, match="'label' is '' in a row"):
        done(bert, reviews, tmp_path / "out", eval_data=none, steps=1)


def test_a_base_of_several_labels_learns_one(bert: Path, reviews: Path, tmp_path: Path) -> None:
    import transformers

    base = tmp_path / "base"
    model = transformers.AutoModelForMaskedLM.from_pretrained(bert)
    model.config.problem_type = "multi_label_classification"
    model.save_pretrained(base)
    transformers.AutoTokenizer.from_pretrained(bert).save_pretrained(base)
    assert "multi_label" in (base / "config.json").read_text()
    done(base, reviews, tmp_path / "out", steps=1, method=Method.FULL)
    assert "single_label" in (tmp_path / "out" / "config.json").read_text()
