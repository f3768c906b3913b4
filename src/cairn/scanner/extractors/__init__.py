"""The extractors, one per file; all that claim some content take it apart, in this order."""

from cairn.plugins import Registry
from cairn.scanner.deferred import (
    DeferredExtractor,
    has_at,
    holds,
    may_have_python_tags,
    named_with,
    opens_with_a_brace,
)
from cairn.scanner.extractor import Extractor
from cairn.scanner.extractors.disguise import DisguiseExtractor
from cairn.scanner.extractors.laid_out import LaidOutExtractor
from cairn.scanner.extractors.packed import PackedExtractor
from cairn.scanner.extractors.pickle_stream import PickleStreamExtractor
from cairn.scanner.extractors.program import ProgramExtractor
from cairn.scanner.extractors.tar_archive import TarExtractor
from cairn.scanner.extractors.text import TextExtractor
from cairn.scanner.extractors.zip_archive import ZipExtractor

_COMMANDS = (
    *(".sh", ".bash", ".zsh", ".ksh", ".bat", ".cmd", ".ps1", ".mk", ".dockerfile", ".py", ".ini"),
    *(".yml", ".yaml", ".json", ".envrc", "file", "mlproject"),
)

# Name, where the extractor is, and what all its content has in common.
EXTRACTORS: Registry[Extractor] = Registry(
    "extractor",
    [
        TextExtractor(),
        DisguiseExtractor(),
        PickleStreamExtractor(),
        ZipExtractor(),
        DeferredExtractor("npy", "npy:NpyExtractor", begins=(b"\x93NUMPY",)),
        DeferredExtractor(
            "compressed",
            "compressed:CompressedExtractor",
            begins=(b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\0\0", b"\x78"),
        ),
        DeferredExtractor(
            "torchscript-code",
            "script_code:ScriptCodeExtractor",
            called=(".py", "bytecode.pkl"),
        ),
        DeferredExtractor(
            "safetensors",
            "safetensors:SafetensorsExtractor",
            called=(".safetensors",),
            else_if=has_at(8, b"{"),
        ),
        DeferredExtractor("gguf", "gguf:GgufExtractor", begins=(b"GGUF",)),
        *(
            LaidOutExtractor(reader)
            for reader in ("tensorflow-bundle", "mil-blob", "flax-msgpack", "ctranslate2")
        ),
        DeferredExtractor(
            "image",
            "image:ImageExtractor",
            begins=(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF"),
        ),
        DeferredExtractor("table", "table:TableExtractor", begins=(b"PAR1", b"ARROW1")),
        PackedExtractor(),
        DeferredExtractor("onnx", "onnx:OnnxExtractor", begins=(b"\x08",)),
        DeferredExtractor(
            "tensorflow-graph",
            "tensorflow_graph:TensorflowGraphExtractor",
            begins=(b"\x08", b"\x0a"),
        ),
        DeferredExtractor(
            "graph-text",
            "graph_text:GraphTextExtractor",
            called=(".pbtxt", ".pbtext", ".prototxt", ".textproto", ".txtpb"),
            else_if=holds(b"node"),
        ),
        DeferredExtractor(
            "keras-metadata", "keras_metadata:KerasMetadataExtractor", begins=(b"\x0a",)
        ),
        DeferredExtractor("hdf5", "hdf5:Hdf5Extractor", else_if=holds(b"\x89HDF\r\n\x1a\n")),
        DeferredExtractor(
            "raw-numbers", "raw_numbers:RawNumbersExtractor", else_if=named_with("data")
        ),
        TarExtractor(),
        DeferredExtractor(
            "python", "python_source:PythonExtractor", called=(".py", ".pyw", ".pth")
        ),
        DeferredExtractor(
            "mlflow-module", "mlflow_module:MlflowModuleExtractor", called=("module_info.txt",)
        ),
        DeferredExtractor("notebook", "notebook:NotebookExtractor", called=(".ipynb",)),
        DeferredExtractor(
            "shell-script",
            "shell_script:ShellScriptExtractor",
            begins=(b"#!",),
            called=_COMMANDS,
            else_if=named_with("file."),
        ),
        DeferredExtractor(
            "requirements",
            "requirements:RequirementsExtractor",
            called=(".txt", ".in", ".pip", ".conf", ".ini", ".yml", ".yaml"),
        ),
        DeferredExtractor(
            "build-settings",
            "build_settings:BuildSettingsExtractor",
            called=(".toml", "pipfile", "package.json"),
        ),
        DeferredExtractor(
            "sentencepiece", "sentencepiece:SentencePieceExtractor", begins=(b"\x0a",)
        ),
        DeferredExtractor("7z", "seven_zip:SevenZipExtractor", begins=(b"7z",)),
        DeferredExtractor("event-log", "event_log:EventLogExtractor", else_if=has_at(12, b"\x09")),
        DeferredExtractor(
            "tensorflow-fingerprint",
            "tensorflow_fingerprint:TensorflowFingerprintExtractor",
            called=("fingerprint.pb",),
        ),
        ProgramExtractor(),
        DeferredExtractor(
            "json", "json_document:JsonExtractor", called=(".json",), else_if=opens_with_a_brace
        ),
        DeferredExtractor(
            "yaml",
            "yaml_document:YamlExtractor",
            called=(".yaml", ".yml", "mlmodel"),
            else_if=may_have_python_tags,
        ),
        DeferredExtractor(
            "jinja",
            "jinja:JinjaExtractor",
            called=(".jinja", ".jinja2", ".j2", ".tmpl", ".template"),
            else_if=opens_with_a_brace,
        ),
    ],
)

__all__ = ["EXTRACTORS"]
