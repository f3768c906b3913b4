"""Every known attack that is no pickle gets the verdict it must get, and controls are clean."""

import struct
import zlib
from pathlib import Path

import gguf
import numpy as np
import onnx
import onnx.numpy_helper
import pytest

from cairn.domain import FileReport, Verdict
from cairn.formats import BytesSource
from cairn.scanner import gather, report_of
from tests.formats.tensorflow_files import field
from tests.scanner import form_cases, graph_cases
from tests.scanner.form_cases import ELF, PICKLE, Case, seven_zip


def scanned(name: str, data: bytes) -> FileReport:
    return report_of(name, len(data), gather(BytesSource(data, name)))


CASES = form_cases.CASES + graph_cases.CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_known_attack_gets_its_verdict(case: Case) -> None:
    reports = [scanned(name, data) for name, data in case.files.items()]
    wrong = [report for report in reports if report.verdict is not case.verdict]
    assert wrong == [], case.what


def test_a_credential_is_never_shown_whole() -> None:
    token = "hf_" + "aZ3kQ9xW7eR1tY5uI8oP2sD4fG6hJ0lCvBnM"[:34]
    (finding,) = scanned("README.md", token.encode()).findings
    assert token[:6] in finding.message
    assert token[:7] not in finding.message


def test_examples_of_credentials_are_none() -> None:
    text = "HF_TOKEN=hf_" + "x" * 34 + " AKIA" + "A" * 16 + " ghp_" + "a" * 36
    assert scanned("README.md", text.encode()).verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m['role'] + ': ' + m.content | trim }}\n{% endfor %}",
        "{% set ns = namespace(found=false) %}{% for m in messages[1:] if m.role != 'system' %}"
        "{% set ns.found = true %}{{ m.content.split('</think>')[-1].lstrip('\\n') }}{% endfor %}",
        "{% macro item(x) %}{{ x.name }}{% endmacro %}{{ item(tools[0]) | indent(4) | tojson }}",
        "{% generation %}{{ messages[loop.index0 - 1].content }}{% endgeneration %}",
        "{{ raise_exception('alternate') if messages|length % 2 else strftime_now('%d') }}",
        "{%- if tools is defined and tools is iterable and tools is not mapping %}{% endif %}",
    ],
)
def test_what_chat_templates_do_is_clean(template: str) -> None:
    assert scanned("chat_template.jinja", template.encode()).findings == ()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("README.md", b"---\nlicense: mit\n---\n# Model\n[![badge](x)](y)\n"),
        ("merges.txt", "#version: 0.2\n\u0120 t\n\u0120 a\n".encode()),
        ("config.json", b'{"model_type": "bert", "_name_or_path": "/content/bert"}'),
        ("adapter_config.json", b'{"base_model_name_or_path": "meta-llama/Llama-3"}'),
        ("hparams.yaml", b"optim:\n  _target_: torch.optim.AdamW\n  lr: 0.1\n"),
        ("data_config.json", b'[{"path": "../data/train.json", "url": "https://x.example"}]'),
        ("generation_config.json", b'{"x": NaN}'),
        (".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n"),
        ("setup.py", b"import os\nimport json\nx = json.loads('1')\nos.path.join('a', 'b')\n"),
        ("old.py", b"print 'python 2'\n"),
        ("run.sh", b"#!/bin/sh\npython train.py\n"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "model-00001.safetensors"}}'),
        ("modules.json", b'[{"idx": 0, "path": "", "type": "sentence_transformers.models.T"}]'),
        (
            "model_index.json",
            b'{"_class_name": "P", "unet": ["diffusers", "UNet2DConditionModel"]}',
        ),
    ],
)
def test_ordinary_side_files_are_clean(name: str, data: bytes) -> None:
    assert scanned(name, data).findings == ()


def test_a_placeholder_with_underscores_is_no_way_into_the_interpreter() -> None:
    for text, verdict in (("__image__", Verdict.SUSPICIOUS), ("__class__", Verdict.MALICIOUS)):
        template = f"{{{{ messages[0]['content'] | replace('x', '{text}') }}}}"
        assert scanned("chat_template.jinja", template.encode()).verdict is verdict


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = (
    b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", bytes(13)) + _chunk(b"IDAT", b"x") + _chunk(b"IEND", b"")
)
JPEG = b"\xff\xd8\xff\xe0\0\x04ab\xff\xda\0\x02\x12\xff\0\x34\xff\xd0\x56\xff\xd9"
GIF = b"GIF89a\x01\0\x01\0\0\0\0" + b"!\xf9\x04abcd\0" + b",\0\0\0\0\x01\0\x01\0\0\x02\x02xx\0;"
WEBP = b"RIFF\x10\0\0\0WEBPVP8 \x04\0\0\0abcd"


@pytest.mark.parametrize("image", [PNG, JPEG, GIF, WEBP])
def test_an_image_is_clean_and_what_follows_it_is_looked_into(image: bytes) -> None:
    assert scanned("image", image).findings == ()
    assert scanned("image", image + ELF).verdict is Verdict.MALICIOUS
    assert scanned("image", image + b"\x01\x02 something").verdict is Verdict.UNREAD
    assert scanned("image", image[:-3]).verdict is Verdict.MALFORMED


def test_files_of_the_libraries_themselves_are_clean(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_chat_template("{% for m in messages %}{{ m['content'] | trim }}{% endfor %}")
    writer.add_tensor("weights", np.ones((4, 32), np.float32))
    writer.add_tensor("odd", np.ones(3, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    addition = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    weight = onnx.numpy_helper.from_array(np.ones(4, np.float32), "w")
    value = onnx.helper.make_tensor_value_info
    ends = [value("x", 1, [4])], [value("y", 1, [4])]
    graph = onnx.helper.make_graph([addition], "g", *ends, [weight])
    onnx.save(
        onnx.helper.make_model(graph),
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    for file in tmp_path.iterdir():
        assert scanned(file.name, file.read_bytes()).findings == (), file.name


def test_a_tokenizer_of_sentencepiece_is_clean() -> None:
    piece = field(1, field(1, b"<unk>") + b"\x15\0\0\0\0" + field(3, 2))
    other = field(1, field(1, b"a") + b"\x15\0\0\x80\x3f")
    data = piece + other + field(2, field(1, b"corpus.txt")) + field(3, b"")
    assert scanned("tokenizer.model", data).findings == ()
    assert scanned("tokenizer.model", data + field(9, b"more")).verdict is Verdict.MALFORMED


def test_a_7z_archive_that_does_not_unpack_is_never_clean() -> None:
    whole = seven_zip(b"text", b"text", b"\x01\x01\0")
    for damaged in (whole[:-4], whole[:40], seven_zip(b"texts", b"text", b"\x01\x01\0")):
        assert scanned("a.7z", damaged).verdict is Verdict.MALFORMED
    unknown = seven_zip(b"text", b"text", b"\x01\x04\x04\xf7\x11\x01")
    assert scanned("a.7z", unknown).verdict is Verdict.UNREAD


def _record(event: bytes) -> bytes:
    return struct.pack("<Q", len(event)) + bytes(4) + event + bytes(4)


def test_what_tensorflow_leaves_beside_models_is_clean_and_nothing_else_under_its_name() -> None:
    time = b"\x09" + bytes(8)
    log = _record(time + field(3, b"brain.Event:2")) + _record(time + field(2, 7) + field(5, b""))
    assert scanned("events.out.tfevents.1", log).findings == ()
    assert scanned("events.out.tfevents.1", log + b"more").verdict is Verdict.MALFORMED
    assert scanned("events.out.tfevents.1", log + _record(PICKLE)).verdict is Verdict.MALFORMED
    hashes = b"".join(field(number, 1 << 60) for number in range(1, 6)) + field(6, field(1, 1))
    assert scanned("fingerprint.pb", hashes).findings == ()
    assert scanned("fingerprint.pb", hashes + field(9, b"x")).verdict is Verdict.MALFORMED
    assert scanned("variables.data-00000-of-00001", bytes(64)).findings == ()
    assert scanned("variables.data-00000-of-00001", ELF).verdict is Verdict.MALICIOUS
