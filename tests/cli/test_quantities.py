"""Sizes and durations on the command line."""

import pytest

from cairn.cli.quantities import parse_duration, parse_size
from cairn.errors import RequestError


@pytest.mark.parametrize(
    ("text", "size"),
    [("5GB", 5_000_000_000), ("1.5 MB", 1_500_000), ("2GiB", 1 << 31), ("300", 300), ("7kB", 7000)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "5 apples", "-1MB", "0", "0.1"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(RequestError):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90.0), ("90s", 90.0), ("30m", 1800.0), ("1.5 h", 5400.0)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "5 apples", "-1m", "0", "0.0h"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(RequestError):
        parse_duration(text)
