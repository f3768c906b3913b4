"""Attacks on loaders of graphs and layers: Keras, HDF5, ONNX, TensorFlow, made as inert bytes."""

import base64
import io
import json
import zipfile
from typing import Any

import h5py
import numpy as np

from tests.formats.tensorflow_files import field
from tests.scanner.form_cases import (
    CLEAN,
    MALFORMED,
    MALICIOUS,
    PICKLE,
    SSTI,
    SUSPICIOUS,
    Case,
    numbered,
)

# --- Keras ---------------------------------------------------------------------------------


def layer(class_name: str, config: Any, module: str | None = "keras.layers") -> dict[str, Any]:
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": None,
    }


def model(*layers: dict[str, Any]) -> dict[str, Any]:
    return layer("Sequential", {"name": "s", "layers": list(layers)}, "keras")


def hdf5(fill: Any = None, **attributes: str) -> bytes:
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        file.create_dataset("layers/dense/vars/0", data=np.ones((2, 2), np.float32))
        for key, value in attributes.items():
            file.attrs[key] = value
        if fill is not None:
            fill(file)
    return held.getvalue()


def keras(config: dict[str, Any], **members: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", hdf5())
        for name, data in members.items():
            archive.writestr(name, data)
    return held.getvalue()


DENSE = layer("Dense", {"name": "d", "units": 2, "activation": "relu"})
_BYTECODE = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}}
_LAMBDA = layer("Lambda", {"name": "l", "function": _BYTECODE})
_OLD_LAMBDA = {"class_name": "Lambda", "config": {"function": ["4wEAAAA=", None, None]}}
_NESTED = layer("Sequential", {"layers": [_LAMBDA]}, "keras")


def _function(module: str, name: str) -> dict[str, Any]:
    return layer("Activation", {"activation": layer("function", name, module)})


def _external_link(file: h5py.File) -> None:
    file["layers/out"] = h5py.ExternalLink("/etc/hostname", "/x")


def _external_storage(file: h5py.File) -> None:
    file.create_dataset("raw", (4,), "u1", external=[("/etc/hostname", 0, 4)])


def _virtual(file: h5py.File) -> None:
    space = h5py.VirtualLayout((4,), "u1")
    space[:] = h5py.VirtualSource("/etc/hostname", "x", (4,), "u1")
    file.create_virtual_dataset("virtual", space)


# --- ONNX ----------------------------------------------------------------------------------


def text(number: int, value: str) -> bytes:
    return field(number, value.encode())


def node(operation: str, domain: str = "", attributes: bytes = b"") -> bytes:
    return field(1, text(1, "x") + text(2, "y") + text(4, operation) + attributes + text(7, domain))


def onnx(graph: bytes, after: bytes = b"") -> bytes:
    return field(1, 8) + field(7, graph + text(2, "g")) + field(8, field(2, 18)) + after


def tensor(data: bytes = bytes(16), dims: tuple[int, ...] = (4,), more: bytes = b"") -> bytes:
    shape = b"".join(field(1, dim) for dim in dims)
    return shape + field(2, 1) + text(8, "w") + (field(9, data) if data else b"") + more


def external(location: str) -> bytes:
    outside = field(13, text(1, "location") + text(2, location)) + field(14, 1)
    return tensor(b"", more=outside)


_SUBGRAPH = field(5, text(1, "then_branch") + field(6, node("PyOp", "ai.onnx.contrib")))
_OWN_FUNCTION = field(25, text(1, "F") + text(10, "mine") + field(7, text(4, "Add")))
_BAD_FUNCTION = field(
    25, text(1, "F") + text(10, "mine") + field(7, text(4, "ATen") + text(7, "x"))
)

# --- TensorFlow ----------------------------------------------------------------------------


def operation(name: str, attributes: bytes = b"") -> bytes:
    return text(1, "node") + text(2, name) + attributes


def graph(*operations: str | bytes, library: bytes = b"") -> bytes:
    nodes = (one if isinstance(one, bytes) else operation(one) for one in operations)
    return b"".join(field(1, one) for one in nodes) + library


def saved_model(held: bytes, after: bytes = b"") -> bytes:
    return field(1, 1) + field(2, field(1, text(4, "serve")) + field(2, held) + after)


def function(name: str, *operations: str) -> bytes:
    body = b"".join(field(3, operation(one)) for one in operations)
    return field(2, field(1, field(1, text(1, name)) + body))


def _constant(value: bytes) -> bytes:
    held = field(8, field(1, 7) + field(8, value))
    return operation("Const", field(5, text(1, "value") + field(2, held)))


def keras_metadata(metadata: dict[str, Any]) -> bytes:
    return field(
        1,
        field(2, 1)
        + text(3, "root.layer-0")
        + text(4, "_tf_keras_layer")
        + text(5, json.dumps(metadata)),
    )


CASES = [
    Case(
        "KER-000",
        "ordinary models",
        CLEAN,
        {
            "a.keras": keras(model(DENSE, layer("StringLookup", {"vocabulary": ["a", "b"]}))),
            "b.keras": keras(model(_function("keras.activations", "relu"))),
            "c.h5": hdf5(model_config=json.dumps(model(DENSE))),
            "d.weights.h5": hdf5(),
        },
    ),
    Case(
        "KER-001",
        "a Lambda layer in Keras 3, nested or not",
        MALICIOUS,
        numbered(".keras", keras(model(_LAMBDA)), keras(model(_NESTED))),
    ),
    Case(
        "KER-003",
        "modules of Python in a configuration",
        MALICIOUS,
        numbered(
            ".keras",
            keras(model(layer("Popen", {"args": "true"}, "subprocess"))),
            keras(model(_function("builtins", "exec"))),
        ),
    ),
    Case(
        "KER-004",
        "functions of Keras that fetch and write files",
        MALICIOUS,
        numbered(".keras", keras(model(_function("keras.utils", "get_file")))),
    ),
    Case(
        "KER-005",
        "a configuration that switches safe mode off",
        MALICIOUS,
        numbered(
            ".keras",
            keras(model(_function("keras.config", "enable_unsafe_deserialization"))),
        ),
    ),
    Case(
        "KER-006",
        "a layer that carries a pickle of torch",
        MALICIOUS,
        numbered(
            ".keras",
            keras(
                model(layer("TorchModuleWrapper", {"module": base64.b64encode(PICKLE).decode()}))
            ),
        ),
    ),
    Case(
        "KER-007",
        "vocabularies that are files or addresses",
        MALICIOUS,
        numbered(
            ".keras",
            keras(model(layer("StringLookup", {"vocabulary": "/etc/passwd"}))),
            keras(model(layer("TextVectorization", {"vocabulary": "http://x.example/v"}))),
        ),
    ),
    Case(
        "KER-010",
        "a member that climbs out, and one that is a pickle",
        MALICIOUS,
        numbered(
            ".keras",
            keras(model(DENSE), **{"assets/../../x": b"x"}),
            keras(model(DENSE), **{"assets/extra": PICKLE}),
        ),
    ),
    Case(
        "KER-011",
        "a Lambda layer in an old HDF5 file",
        MALICIOUS,
        {
            "a.h5": hdf5(
                model_config=json.dumps({"class_name": "Sequential", "config": [_OLD_LAMBDA]})
            )
        },
    ),
    Case(
        "KER-013",
        "HDF5 files that lead out",
        MALICIOUS,
        numbered(".h5", hdf5(_external_link), hdf5(_external_storage), hdf5(_virtual)),
    ),
    Case(
        "KER-020",
        "a class of the user's own",
        SUSPICIOUS,
        numbered(".keras", keras(model(layer("Mine", {}, "acme.layers")))),
    ),
    Case(
        "ONX-000",
        "ordinary models, functions of their own included",
        CLEAN,
        numbered(
            ".onnx",
            onnx(node("Add") + field(5, tensor())),
            onnx(node("F", "mine"), _OWN_FUNCTION),
            onnx(node("Add") + field(5, external("weights.bin"))),
        ),
    ),
    Case(
        "ONX-001",
        "data in a file of the system",
        MALICIOUS,
        numbered(".onnx", onnx(node("Add") + field(5, external("../../../etc/passwd")))),
    ),
    Case(
        "ONX-002",
        "other spellings of the same",
        MALICIOUS,
        numbered(
            ".onnx",
            *(
                onnx(node("Add") + field(5, external(where)))
                for where in (
                    *("a/../../../b", "/etc/passwd", "C:\\x", "\\\\host\\share\\x", "%2e%2e/x"),
                    *("a\0/../b", "file:///etc/passwd"),
                )
            ),
        ),
    ),
    Case(
        "ONX-005",
        "operators of a library, wherever they stand",
        SUSPICIOUS,
        numbered(
            ".onnx",
            onnx(node("Thing", "com.acme")),
            onnx(node("PyOp", "ai.onnx.contrib")),
            onnx(node("PythonOp", "com.microsoft")),
            onnx(node("ATen", "com.microsoft")),
            onnx(node("If", "", _SUBGRAPH)),
            onnx(node("F", "mine"), _BAD_FUNCTION),
        ),
    ),
    Case(
        "ONX-007",
        "shapes that contradict the data",
        MALFORMED,
        numbered(
            ".onnx",
            onnx(node("Add") + field(5, tensor(dims=(1 << 40, 1 << 40)))),
            onnx(node("Add") + field(5, tensor(dims=(-4,)))),
            onnx(node("Add") + field(5, tensor(dims=(5,)))),
        ),
    ),
    Case(
        "TF-000",
        "ordinary graphs",
        CLEAN,
        {
            "saved_model.pb": saved_model(graph("Placeholder", "MatMul", "AddV2")),
            "frozen.pb": graph("Const", "Conv2D"),
            "function.pb": saved_model(graph("f", library=function("f", "Relu"))),
        },
    ),
    Case(
        "TF-001",
        "operations on files",
        MALICIOUS,
        numbered(".pb", saved_model(graph("ReadFile")), graph("Const", "WriteFile")),
    ),
    Case(
        "TF-002",
        "operations that run Python",
        MALICIOUS,
        numbered(
            ".pb",
            *(saved_model(graph(one)) for one in ("PyFunc", "PyFuncStateless", "EagerPyFunc")),
        ),
    ),
    Case(
        "TF-003",
        "the same inside a function",
        MALICIOUS,
        numbered(".pb", saved_model(graph("MatMul", library=function("f", "PyFunc")))),
    ),
    Case(
        "TF-004",
        "a graph in a constant of a graph",
        MALICIOUS,
        numbered(".pb", saved_model(graph("Add", _constant(graph("Const", "WriteFile"))))),
    ),
    Case(
        "TF-005",
        "an operation of an unknown library",
        SUSPICIOUS,
        numbered(".pb", saved_model(graph("AcmeThing"))),
    ),
    Case(
        "TF-006",
        "Keras' metadata beside a saved model, and a meta graph",
        MALICIOUS,
        {
            "keras_metadata.pb": keras_metadata({"name": "l", **_OLD_LAMBDA}),
            "model.meta": field(1, text(5, "2.0")) + field(2, graph("MatMul", "PyFunc")),
        },
    ),
    Case(
        "TF-007",
        "an asset outside the folder",
        MALICIOUS,
        numbered(".pb", saved_model(graph("Add"), field(6, text(2, "../../etc/passwd")))),
    ),
    Case(
        "HDF-001",
        "a template in an attribute",
        MALICIOUS,
        {"a.h5": hdf5(settings=json.dumps({"chat_template": SSTI}))},
    ),
]
