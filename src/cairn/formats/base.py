"""Which readers there are, and how one is picked: by content, never by name."""

from cairn.domain import Layout, Source
from cairn.errors import UntrustedDataError
from cairn.formats.assembler import Assembler
from cairn.formats.assemblers.coreml import CoremlAssembler
from cairn.formats.assemblers.dcp import DcpAssembler
from cairn.formats.assemblers.deepspeed import DeepSpeedAssembler
from cairn.formats.assemblers.deepspeed_universal import UniversalAssembler
from cairn.formats.assemblers.megatron import MegatronAssembler
from cairn.formats.assemblers.mlx import MlxAssembler
from cairn.formats.assemblers.orbax import OrbaxAssembler
from cairn.formats.limits import HEAD_BYTES
from cairn.formats.reader import Reader
from cairn.formats.readers.coreml import CoremlReader
from cairn.formats.readers.ctranslate2 import CTranslate2Reader
from cairn.formats.readers.dcp_metadata import DcpMetadataReader
from cairn.formats.readers.distcp import DistcpReader
from cairn.formats.readers.flax import FlaxReader
from cairn.formats.readers.gguf import GgufReader
from cairn.formats.readers.hdf5 import Hdf5Reader
from cairn.formats.readers.keras import KerasReader
from cairn.formats.readers.mil_blob import MilBlobReader
from cairn.formats.readers.nemo import NemoReader
from cairn.formats.readers.npy import NpyReader
from cairn.formats.readers.npz import NpzReader
from cairn.formats.readers.onnx import OnnxReader
from cairn.formats.readers.pickle_file import PickleFileReader
from cairn.formats.readers.safetensors import SafetensorsReader
from cairn.formats.readers.stable_baselines3 import StableBaselines3Reader
from cairn.formats.readers.tensorflow_bundle import TensorflowBundleReader
from cairn.formats.readers.tensorflow_saved_model import SavedModelReader
from cairn.formats.readers.torch_export import TorchExportReader
from cairn.formats.readers.torch_legacy import TorchLegacyReader
from cairn.formats.readers.torch_script import TorchScriptReader
from cairn.formats.readers.torch_zip import TorchZipReader
from cairn.formats.signatures import unknown_format
from cairn.plugins import Registry

__all__ = ["ASSEMBLERS", "READERS", "Assembler", "Reader", "find_reader", "read_layout"]

READERS: Registry[Reader] = Registry(
    "reader",
    [
        SafetensorsReader(),
        StableBaselines3Reader(),
        TorchExportReader(),
        TorchScriptReader(),  # before torch-zip, which it also is
        DcpMetadataReader(),
        CTranslate2Reader(),
        DistcpReader(),  # before torch-zip: begins as that does
        Hdf5Reader(),
        KerasReader(),
        TensorflowBundleReader(),
        CoremlReader(),  # before saved models, which begin alike
        SavedModelReader(),
        TorchZipReader(),
        GgufReader(),
        NpyReader(),
        NpzReader(),
        OnnxReader(),
        MilBlobReader(),
        TorchLegacyReader(),
        FlaxReader(),  # late: it knows its files by two bytes
        NemoReader(),
        PickleFileReader(),  # after the formats that begin with a pickle
    ],
)

ASSEMBLERS: Registry[Assembler] = Registry(
    "assembler",
    [
        DcpAssembler(),
        DeepSpeedAssembler(),
        OrbaxAssembler(),
        UniversalAssembler(),
        MegatronAssembler(),
        MlxAssembler(),
        CoremlAssembler(),
    ],
)


def find_reader(source: Source, readers: Registry[Reader] = READERS) -> Reader:
    """The first reader that recognises the source.

    Raises:
        UnknownFormatError: none does; the message says what the file is, when known.
    """
    head = source.read_at(0, HEAD_BYTES)
    for reader in readers:
        if reader.recognises(head, source):
            return reader
    raise unknown_format(head, source.name, source.size_bytes)


def read_layout(source: Source, readers: Registry[Reader] = READERS) -> Layout:
    """The anatomy of a checkpoint file, read from its headers alone.

    Raises:
        UnknownFormatError: no reader recognises it.
        MalformedError: it breaks the rules of its format.
        LimitError: it asks for more than a cap in `limits` allows.
    """
    reader = find_reader(source, readers)
    try:
        return reader.read(source)
    except UntrustedDataError as error:
        if error.source:
            raise
        # The nouns check themselves and do not know which file they come from.
        raise type(error)(error.what, source=source.name, offset=error.offset) from error
