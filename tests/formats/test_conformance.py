"""The built-in readers pass the suite that every reader must pass."""

import safetensors.torch
import torch

from cairn.formats.readers.safetensors import SafetensorsReader
from cairn.formats.readers.torch_legacy import TorchLegacyReader
from cairn.formats.readers.torch_zip import TorchZipReader
from cairn.testing.readers import ReaderConformance
from tests.formats.making import archive, pickled, saved


class TestSafetensors(ReaderConformance):
    reader = SafetensorsReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        return {
            "no tensors": safetensors.torch.save({}),
            "two tensors": safetensors.torch.save(
                {"a.weight": torch.ones(3, 4), "b": torch.zeros(5, dtype=torch.bfloat16)},
                metadata={"format": "pt"},
            ),
            "empty and scalar": safetensors.torch.save(
                {"none": torch.ones(0, 4), "one": torch.tensor(1.5), "é": torch.ones(1)}
            ),
            "larger than a page": safetensors.torch.save({"w": torch.ones(64, 64)}),
        }


class TestTorchZip(ReaderConformance):
    reader = TorchZipReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        weight = torch.arange(12.0).reshape(3, 4)
        return {
            "no tensors": saved({"epoch": 3}),
            "views": saved({"w": weight, "t": weight.t()[1:], "n": {"x": [torch.ones(2)]}}),
            "made by zipfile": archive(pickled([1, 2])),
            "larger than a page": saved({"w": torch.ones(64, 64), "v": torch.zeros(9)}),
        }


class TestTorchLegacy(ReaderConformance):
    reader = TorchLegacyReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        weight = torch.arange(12.0).reshape(3, 4)
        values = {
            "no tensors": {"epoch": 3},
            "views": {"w": weight, "t": weight.t()[1:], "n": {"x": [torch.ones(2)]}},
        }
        return {
            label: saved(value, _use_new_zipfile_serialization=False)
            for label, value in values.items()
        } | {
            "protocol 4": saved(
                {"w": weight.half()}, _use_new_zipfile_serialization=False, pickle_protocol=4
            )
        }
