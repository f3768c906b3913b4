"""Tensors of ONNX models in other files, as the `onnx` library writes them and as attackers do."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.external_data_helper
import onnx.numpy_helper
import pytest

from cairn.domain import FileReport, Finding, Verdict
from cairn.scanner import gather
from cairn.workflows.scan import local_files, scan

DATA = "model.onnx_data"
SIZE = 4096


def tensor(name: str) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.ones(SIZE // 4, np.float32), name)


def model() -> onnx.ModelProto:
    """An initializer, and tensors in a constant, in a branch and in a function."""
    helper = onnx.helper
    value = helper.make_tensor_value_info
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["b"], value=tensor("in a branch"))],
        "branch", [], [value("b", 1, [SIZE // 4])], [],
    )  # fmt: skip
    nodes = [
        helper.make_node("Constant", [], ["c"], value=tensor("constant")),
        helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch),
        helper.make_node("F", ["w"], ["z"], domain="mine"),
    ]
    graph = helper.make_graph(nodes, "g", [value("x", 9, [])], [value("y", 1, None)], [tensor("w")])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    constant = helper.make_node("Constant", [], ["k"], value=tensor("in a function"))
    function = helper.make_function("mine", "F", ["a"], ["k"], [constant], opsets[:1])
    return helper.make_model(graph, opset_imports=opsets, functions=[function])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    onnx.save(
        model(), folder / "model.onnx", save_as_external_data=True, location=DATA,
        size_threshold=0, convert_attribute=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved, tmp_path / "model")
    return tmp_path / "model"


def scanned(folder: Path) -> FileReport:
    report = scan(local_files(folder), gather, lambda _: None)
    (found,) = (file for file in report.files if file.path == "model.onnx")
    return found


def test_a_model_with_its_data_beside_it_is_clean(folder: Path) -> None:
    assert (folder / DATA).stat().st_size >= 3 * SIZE
    report = scan(local_files(folder), gather, lambda _: None)
    assert [(file.path, file.verdict) for file in report.files] == [
        ("model.onnx", Verdict.CLEAN),
        (DATA, Verdict.CLEAN),
    ]


def test_a_model_alone_says_nothing_of_the_data_it_had(folder: Path) -> None:
    report = scan(local_files(folder / "model.onnx"), gather, lambda _: None)
    assert report.verdict is Verdict.CLEAN


def remove(folder: Path) -> None:
    (folder / DATA).rename(folder / "other.onnx_data")


def shorten(folder: Path) -> None:
    with (folder / DATA).open("r+b") as file:
        file.truncate(SIZE)


def link_out(folder: Path) -> None:
    elsewhere = folder.parent / "secret"
    (folder / DATA).rename(elsewhere)
    (folder / DATA).symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        (remove, Verdict.MALFORMED, "which is not there"),
        (shorten, Verdict.MALFORMED, f"it has {SIZE}"),
        (link_out, Verdict.MALICIOUS, "behind a link out of the folder"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_data_that_is_not_there_or_not_its_own_is_found(
    folder: Path, change: Callable[[Path], None], verdict: Verdict, words: str
) -> None:
    change(folder)
    found = scanned(folder)
    assert found.verdict is verdict
    assert any(words in finding.message for finding in found.findings)


def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / DATA).rename(folder / "real.onnx_data")
    (folder / DATA).symlink_to("real.onnx_data")
    assert scanned(folder).verdict is Verdict.CLEAN


def tensors_of(proto: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """One in each kind of place."""
    branch = proto.graph.node[1].attribute[0].g
    return {
        "initializer": proto.graph.initializer[0],
        "constant": proto.graph.node[0].attribute[0].t,
        "branch": branch.node[0].attribute[0].t,
        "function": proto.functions[0].node[0].attribute[0].t,
    }


def told(entries: dict[str, str]) -> Callable[[onnx.TensorProto], None]:
    """Have a tensor say so of the data it has outside."""

    def change(tensor: onnx.TensorProto) -> None:
        tensor.ClearField("raw_data")
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    return change


@pytest.mark.parametrize("where", ["initializer", "constant", "branch", "function"])
@pytest.mark.parametrize(
    ("entries", "verdict"),
    [
        ({"location": "../../etc/passwd"}, Verdict.MALICIOUS),
        ({"location": "/etc/passwd", "offset": "0"}, Verdict.MALICIOUS),
        ({"location": DATA, "basepath": "/etc"}, Verdict.MALICIOUS),
        ({"location": DATA, "offset": str(1 << 40)}, Verdict.MALFORMED),
        ({"location": DATA, "offset": str(1 << 63)}, Verdict.MALFORMED),
        ({"location": DATA, "offset": "-1"}, Verdict.MALFORMED),
        ({"location": DATA, "offset": "x"}, Verdict.MALFORMED),
        ({"location": DATA, "length": str(SIZE + 1)}, Verdict.MALFORMED),
        ({"location": DATA, "__class__": "x"}, Verdict.MALFORMED),
        ({"location": "not there.bin"}, Verdict.MALFORMED),
        ({"offset": "0"}, Verdict.MALFORMED),
        ({"location": DATA, "offset": "0", "length": str(SIZE)}, Verdict.CLEAN),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, dict) else "",
)
def test_places_that_a_tensor_cannot_have_are_found_wherever_it_stands(
    folder: Path, where: str, entries: dict[str, str], verdict: Verdict
) -> None:
    proto = onnx.load(folder / "model.onnx", load_external_data=False)
    told(entries)(tensors_of(proto)[where])
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    found: tuple[Finding, ...] = scanned(folder).findings
    assert Verdict.worst(finding.verdict for finding in found) is verdict


def test_of_a_place_that_stands_twice_both_count(folder: Path) -> None:
    proto = onnx.load(folder / "model.onnx", load_external_data=False)
    proto.graph.initializer[0].external_data.insert(
        0, onnx.StringStringEntryProto(key="location", value="/etc/passwd")
    )
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    assert scanned(folder).verdict is Verdict.MALICIOUS
