"""Bases and data that several files of tests look at, made once for each."""

from pathlib import Path

import pytest

from tests.training.finetuning import bases, toys


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bases.bert(tmp_path_factory.mktemp("bert") / "tiny-bert")


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.reviews(tmp_path_factory.mktemp("data") / "reviews.csv", 400)
