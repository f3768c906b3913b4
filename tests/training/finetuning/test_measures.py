"""Measures give the numbers that others publish or compute."""

import math
import random

import pytest
from scipy import stats

from cairn.training.finetuning.measures.boxes import Box, box_measures, overlap
from cairn.training.finetuning.measures.classes import class_measures
from cairn.training.finetuning.measures.perplexity import perplexity
from cairn.training.finetuning.measures.similarity import spearman
from cairn.training.finetuning.measures.spans import span_measures, spans
from cairn.training.finetuning.measures.texts import edit_distance, error_rates, written_measures


def test_f1_is_the_mean_over_classes() -> None:
    measured = class_measures([(0, 0), (0, 0), (0, 1), (2, 2)])
    assert measured == {"accuracy": 0.75, "f1": pytest.approx((0.8 + 0.0 + 1.0) / 3)}


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        ("B-PER B-PER I-LOC", [("PER", 0, 1), ("PER", 1, 2), ("LOC", 2, 3)]),
        ("O I-PER I-PER", [("PER", 1, 3)]),
        ("NOUN NOUN VERB O", [("NOUN", 0, 2), ("VERB", 2, 3)]),
        ("O O", []),
    ],
)
def test_tags_say_spans(tags: str, found: list[tuple[str, int, int]]) -> None:
    assert list(spans(tags.split())) == found


def test_a_span_counts_when_it_is_whole() -> None:
    """The example of seqeval's README: precision, recall and F1 are 0.5."""
    true = ["O O O B-MISC I-MISC I-MISC O", "B-PER I-PER O"]
    found = ["O O B-MISC I-MISC I-MISC I-MISC O", "B-PER I-PER O"]
    pairs = [(f.split(), t.split()) for f, t in zip(found, true, strict=True)]
    measured = span_measures(pairs)
    assert (measured["precision"], measured["recall"], measured["f1"]) == (0.5, 0.5, 0.5)
    assert measured["accuracy"] == 0.8


def test_spearman_is_that_of_scipy() -> None:
    chance = random.Random(0)
    one = [chance.randrange(8) for _ in range(50)]  # with ties
    other = [value + chance.random() * 6 for value in one]
    assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert math.isnan(spearman([1, 1], [1, 2]))


def test_edits_are_counted_over_all_texts() -> None:
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == 3
    measured = error_rates([("the cat sat", "the cat sat"), ("a dog", "the dog runs")])
    assert measured["wer"] == pytest.approx(2 / 6)
    assert error_rates([("", "abcd")])["cer"] == 1.0


def test_rouge_is_the_longest_common_subsequence() -> None:
    """Lin 2004: of "police killed the gunman", two sentences share three and two words."""
    true = "police killed the gunman"
    measured = written_measures(
        [("police kill the gunman", true), ("the gunman kill police", true)]
    )
    assert measured["rougeL"] == pytest.approx((0.75 + 0.5) / 2)
    assert written_measures([("Yes.", "yes"), ("no", "no")]) == {"rougeL": 1.0, "exact_match": 0.5}


def test_perplexity_is_that_of_a_token() -> None:
    assert perplexity([(math.log(4) * 3, 3), (math.log(4) * 1, 1)]) == pytest.approx(4.0)
    assert math.isnan(perplexity([(0.0, 0)]))


def test_boxes_are_right_once() -> None:
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (2, 2, 3, 3)) == 0.0
    true = [Box(0, (0, 0, 10, 10)), Box(0, (20, 20, 30, 30)), Box(1, (0, 0, 4, 4))]
    twice = [Box(0, (0, 0, 10, 10), 0.9), Box(0, (0, 1, 10, 10), 0.8), Box(1, (50, 50, 60, 60), 1)]
    assert box_measures([(true, true)]) == {"map_50": 1.0}
    # Class 0: the first is right (recall 1/2, precision 1), the second is not; class 1: none.
    assert box_measures([(twice, true)])["map_50"] == pytest.approx((0.5 + 0.0) / 2)
    late = [Box(0, (50, 50, 60, 60), 0.9), *(Box(0, b.corners, 0.5) for b in true[:2])]
    # The surest is wrong: precision is 1/2 and 2/3 at the right ones, made falling 2/3.
    assert box_measures([(late, true[:2])])["map_50"] == pytest.approx(2 / 3)
