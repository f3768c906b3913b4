"""The catalogue of devices is whole and sane."""

import tomllib
from pathlib import Path

import pytest

from cairn.errors import RequestError
from cairn.estimation import devices
from cairn.estimation.devices import catalogue

KEYS = {
    *("name", "title", "tflops_16", "tflops_32", "memory_gb", "bandwidth_gb_s", "watts", "source"),
    *("read", "efficiency"),
}


def rows() -> list[dict[str, object]]:
    file = Path(devices.__file__).parent / "devices.toml"
    return tomllib.loads(file.read_text())["device"]  # type: ignore[no-any-return]


def test_every_row_has_what_it_must_and_nothing_else() -> None:
    for row in rows():
        assert set(row) <= KEYS, row["name"]
        assert {"name", "title", "memory_gb", "source", "read"} <= set(row)
        assert str(row["source"]).strip()
        assert all(row.get(figure) is not None for figure in row["read"])
    names = [row["name"] for row in rows()]
    assert len(names) == len(set(names)) == len(catalogue().devices)


def test_figures_are_of_a_size_that_devices_have() -> None:
    for device in catalogue().devices.values():
        assert device.tflops_16 or device.tflops_32, device.name
        assert 0.1 <= (device.tflops_16 or 1) <= 3000
        assert 0.1 <= (device.tflops_32 or 1) <= 200
        assert (device.tflops_32 or 0) <= (device.tflops_16 or 1e9), device.name
        assert 8 <= device.memory_gb <= 300
        assert 100 <= (device.bandwidth_gb_s or 100) <= 10_000
        assert 50 <= (device.watts or 50) <= 1200
        low, high = device.efficiency or catalogue().efficiency
        assert 0 < low < high < 1


def test_no_figure_is_the_makers_doubled_one_for_sparse_matrices() -> None:
    """The traps of tables found in the wild, for devices whose dense figure is half of it."""
    known = catalogue().devices
    for name, doubled in (("h100", 1979), ("a100-80", 624), ("rtx3090", 142), ("rtx4090", 330)):
        assert known[name].tflops_16 is not None and known[name].tflops_16 < 0.6 * doubled
    assert known["a10"].memory_gb == 24


@pytest.mark.parametrize("spelt", ["H100", "h100", "NVIDIA H100 SXM", "A100-80", "RTX 4090"])
def test_a_device_is_found_however_it_is_spelt(spelt: str) -> None:
    assert catalogue().find(spelt).name in ("h100", "a100-80", "rtx4090")


def test_a_name_that_fits_several_or_none_tells_which_there_are() -> None:
    with pytest.raises(RequestError, match="a100-40, a100-80"):
        catalogue().find("a100")
    with pytest.raises(RequestError, match="there are t4"):
        catalogue().find("abacus")
