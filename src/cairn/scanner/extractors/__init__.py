"""The extractors, one per file; all that claim some content take it apart, in this order."""

from cairn.plugins import Registry
from cairn.scanner.extractor import Extractor
from cairn.scanner.extractors.build_settings import BuildSettingsExtractor
from cairn.scanner.extractors.compressed import CompressedExtractor
from cairn.scanner.extractors.disguise import DisguiseExtractor
from cairn.scanner.extractors.event_log import EventLogExtractor
from cairn.scanner.extractors.gguf import GgufExtractor
from cairn.scanner.extractors.graph_text import GraphTextExtractor
from cairn.scanner.extractors.hdf5 import Hdf5Extractor
from cairn.scanner.extractors.image import ImageExtractor
from cairn.scanner.extractors.jinja import JinjaExtractor
from cairn.scanner.extractors.json_document import JsonExtractor
from cairn.scanner.extractors.keras_metadata import KerasMetadataExtractor
from cairn.scanner.extractors.laid_out import LaidOutExtractor
from cairn.scanner.extractors.mlflow_module import MlflowModuleExtractor
from cairn.scanner.extractors.notebook import NotebookExtractor
from cairn.scanner.extractors.npy import NpyExtractor
from cairn.scanner.extractors.onnx import OnnxExtractor
from cairn.scanner.extractors.packed import PackedExtractor
from cairn.scanner.extractors.pickle_stream import PickleStreamExtractor
from cairn.scanner.extractors.program import ProgramExtractor
from cairn.scanner.extractors.python_source import PythonExtractor
from cairn.scanner.extractors.raw_numbers import RawNumbersExtractor
from cairn.scanner.extractors.requirements import RequirementsExtractor
from cairn.scanner.extractors.safetensors import SafetensorsExtractor
from cairn.scanner.extractors.script_code import ScriptCodeExtractor
from cairn.scanner.extractors.sentencepiece import SentencePieceExtractor
from cairn.scanner.extractors.seven_zip import SevenZipExtractor
from cairn.scanner.extractors.shell_script import ShellScriptExtractor
from cairn.scanner.extractors.table import TableExtractor
from cairn.scanner.extractors.tar_archive import TarExtractor
from cairn.scanner.extractors.tensorflow_fingerprint import TensorflowFingerprintExtractor
from cairn.scanner.extractors.tensorflow_graph import TensorflowGraphExtractor
from cairn.scanner.extractors.text import TextExtractor
from cairn.scanner.extractors.yaml_document import YamlExtractor
from cairn.scanner.extractors.zip_archive import ZipExtractor

EXTRACTORS: Registry[Extractor] = Registry(
    "extractor",
    [
        TextExtractor(),
        DisguiseExtractor(),
        PickleStreamExtractor(),
        ZipExtractor(),
        NpyExtractor(),
        CompressedExtractor(),
        ScriptCodeExtractor(),
        SafetensorsExtractor(),
        GgufExtractor(),
        *(
            LaidOutExtractor(reader)
            for reader in ("tensorflow-bundle", "mil-blob", "flax-msgpack", "ctranslate2")
        ),
        ImageExtractor(),
        TableExtractor(),
        PackedExtractor(),
        OnnxExtractor(),
        TensorflowGraphExtractor(),
        GraphTextExtractor(),
        KerasMetadataExtractor(),
        Hdf5Extractor(),
        RawNumbersExtractor(),
        TarExtractor(),
        PythonExtractor(),
        MlflowModuleExtractor(),
        NotebookExtractor(),
        ShellScriptExtractor(),
        RequirementsExtractor(),
        BuildSettingsExtractor(),
        SentencePieceExtractor(),
        SevenZipExtractor(),
        EventLogExtractor(),
        TensorflowFingerprintExtractor(),
        ProgramExtractor(),
        JsonExtractor(),
        YamlExtractor(),
        JinjaExtractor(),
    ],
)

__all__ = ["EXTRACTORS"]
