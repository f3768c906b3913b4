"""Which readers there are, and how one is picked: by content, never by name."""

from cairn.domain import Layout, Source
from cairn.errors import UntrustedDataError
from cairn.formats.assembler import Assembler
from cairn.formats.deferred import (
    DeferredAssembler,
    DeferredReader,
    begins,
    begins_with_torch_magic,
    ends,
    holds,
    holds_at,
)
from cairn.formats.limits import HEAD_BYTES
from cairn.formats.reader import Reader
from cairn.formats.signatures import unknown_format
from cairn.plugins import Registry

__all__ = ["ASSEMBLERS", "READERS", "Assembler", "Reader", "find_reader", "read_layout"]

_LEVELDB = bytes.fromhex("57fb808b247547db")
_ZIP = begins(b"PK\x03\x04")
_PROTOBUF = begins(b"\x08")
_PICKLE = begins(b"\x80")
_MSGPACK_MAP = begins(*(bytes([first]) for first in (*range(0x81, 0x90), 0xDE, 0xDF)))

# Name, where the reader is, and what all its files have in common; asked from top to bottom.
READERS: Registry[Reader] = Registry(
    "reader",
    [
        DeferredReader("safetensors", "safetensors:SafetensorsReader", holds_at(8, b"{")),
        DeferredReader("stable-baselines3", "stable_baselines3:StableBaselines3Reader", _ZIP),
        DeferredReader("torch-export", "torch_export:TorchExportReader", _ZIP),
        # Before torch-zip, which it also is.
        DeferredReader("torchscript", "torch_script:TorchScriptReader", _ZIP),
        DeferredReader("dcp-metadata", "dcp_metadata:DcpMetadataReader", _PICKLE),
        DeferredReader("ctranslate2", "ctranslate2:CTranslate2Reader", holds(b"Spec\0")),
        # Before torch-zip: begins as that does.
        DeferredReader("distcp", "distcp:DistcpReader", _ZIP),
        DeferredReader("hdf5", "hdf5:Hdf5Reader", holds(b"\x89HDF\r\n\x1a\n")),
        DeferredReader("keras", "keras:KerasReader", _ZIP),
        DeferredReader(
            "tensorflow-bundle", "tensorflow_bundle:TensorflowBundleReader", ends(_LEVELDB)
        ),
        # Before saved models, which begin alike.
        DeferredReader("coreml", "coreml:CoremlReader", _PROTOBUF),
        DeferredReader(
            "tensorflow-saved-model", "tensorflow_saved_model:SavedModelReader", _PROTOBUF
        ),
        DeferredReader("torch-zip", "torch_zip:TorchZipReader", _ZIP),
        DeferredReader("gguf", "gguf:GgufReader", begins(b"GGUF")),
        DeferredReader("npy", "npy:NpyReader", begins(b"\x93NUMPY")),
        DeferredReader("npz", "npz:NpzReader", _ZIP),
        DeferredReader("onnx", "onnx:OnnxReader", _PROTOBUF),
        DeferredReader("mil-blob", "mil_blob:MilBlobReader", holds(b"\xef\xbe\xad\xde")),
        DeferredReader("torch-legacy", "torch_legacy:TorchLegacyReader", begins_with_torch_magic),
        # Late: it knows its files by two bytes.
        DeferredReader("flax-msgpack", "flax:FlaxReader", _MSGPACK_MAP),
        DeferredReader("nemo", "nemo:NemoReader", holds(b"ustar")),
        # After the formats that begin with a pickle.
        DeferredReader("pickle", "pickle_file:PickleFileReader", _PICKLE),
    ],
)

# Name, where the assembler is, and what is in a path wherever it has something to do.
ASSEMBLERS: Registry[Assembler] = Registry(
    "assembler",
    [
        DeferredAssembler("dcp", "dcp:DcpAssembler", ".metadata", ".distcp"),
        DeferredAssembler("deepspeed", "deepspeed:DeepSpeedAssembler", "_optim_states.pt"),
        DeferredAssembler("orbax", "orbax:OrbaxAssembler", "_METADATA", "manifest.ocdbt"),
        DeferredAssembler(
            "deepspeed-universal", "deepspeed_universal:UniversalAssembler", "/fp32.pt"
        ),
        DeferredAssembler("megatron", "megatron:MegatronAssembler", "mp_rank_"),
        DeferredAssembler("mlx", "mlx:MlxAssembler", "config.json"),
        DeferredAssembler("coreml", "coreml:CoremlAssembler", ".mlmodel"),
        DeferredAssembler(
            "cairn-training", "cairn_training:CairnTrainingAssembler", "checkpoint.json"
        ),
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
