"""The catalogue of devices: speed, memory and power as makers state them, with their sources."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from cairn.errors import RequestError
from cairn.estimation.plan import Plan, Precision

_FILE = Path(__file__).parent / "devices.toml"
CPU = "cpu"


@dataclass(frozen=True, slots=True)
class Device:
    """One device. Speeds are dense, of 10^12 operations a second; memory of 10^9 bytes.

    `tflops_16` is bfloat16 (float16 where the device has none) with sums in float32; `tflops_32` is
    plain float32, without TF32. None: nobody stated it. `read` names the figures that were read
    when the catalogue was made; all others were recalled.
    """

    name: str
    title: str
    tflops_16: float | None
    tflops_32: float | None
    memory_gb: float
    bandwidth_gb_s: float | None
    watts: float | None
    source: str
    read: tuple[str, ...]
    efficiency: tuple[float, float] | None

    @property
    def checked(self) -> bool:
        """Whether any of its figures were read and not recalled."""
        return bool(self.read)

    @property
    def memory_bytes(self) -> float:
        """Bytes that may be filled.

        Makers count 2^30 where they write GB; the 7 % between are left for the allocator's gaps.
        """
        return self.memory_gb * 1e9

    def operations_per_s(self, plan: Plan) -> float | None:
        """At its stated best, in the numbers of a plan; None where that is not stated."""
        stated = self.tflops_32 if plan.precision is Precision.FP32 else self.tflops_16
        return None if stated is None else stated * 1e12


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Devices by name, and the share of their stated speed that training reaches on others."""

    devices: Mapping[str, Device]
    efficiency: tuple[float, float]
    efficiency_source: str

    def find(self, name: str) -> Device:
        """The device of a name, whatever its case.

        Raises:
            RequestError: there is none, with those whose names are near.
        """
        wanted = _key(name)
        for known, device in self.devices.items():
            if _key(known) == wanted or _key(device.title) == wanted:
                return device
        near = [n for n in self.devices if _key(n).startswith(wanted) or wanted in _key(n)]
        if len(near) == 1:
            return self.devices[near[0]]
        named = ", ".join(near or self.devices)
        raise RequestError(f"no device {name[:60]!r} in the catalogue; there are {named}")


@cache
def catalogue() -> Catalogue:
    """The one that comes with Cairn: `devices.toml` beside this file."""
    read = tomllib.loads(_FILE.read_text("utf-8"))
    devices = {one["name"]: _device(one) for one in read["device"]}
    low, high = read["efficiency"]["range"]
    return Catalogue(MappingProxyType(devices), (low, high), read["efficiency"]["source"])


def _device(row: Mapping[str, object]) -> Device:
    def number(key: str) -> float | None:
        found = row.get(key)
        return float(found) if isinstance(found, (int, float)) else None

    measured, read = row.get("efficiency"), row["read"]
    memory = number("memory_gb")
    assert memory is not None and isinstance(read, list)  # a test reads every row
    return Device(
        name=str(row["name"]),
        title=str(row["title"]),
        tflops_16=number("tflops_16"),
        tflops_32=number("tflops_32"),
        memory_gb=memory,
        bandwidth_gb_s=number("bandwidth_gb_s"),
        watts=number("watts"),
        source=str(row["source"]),
        read=tuple(map(str, read)),
        efficiency=(measured[0], measured[1]) if isinstance(measured, list) else None,
    )


def _key(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
