"""One model in every form that frameworks write is clean, whatever wrote it."""

import importlib
from pathlib import Path

import pytest

from cairn.domain import FileReport, Verdict
from cairn.formats import FileSource
from cairn.scanner import gather, report_of
from scripts import format_checkpoints

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(BENCHMARKS))
    forms = importlib.import_module("benign_forms")

# These compile or train for seconds; the others stand for them in quick runs.
SLOW = ("ONNX", "TorchScript", "the Trainer's folder", "Lightning's folder")


def report(path: Path) -> FileReport:
    with FileSource(path) as source:
        return report_of(path.name, source.size_bytes, gather(source))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "form", [pytest.param(one, marks=[pytest.mark.slow] * (one in SLOW)) for one in forms.FORMS]
)
def test_every_form_of_a_model_is_clean(form: str, tmp_path: Path) -> None:
    net = format_checkpoints.model_of("Bert", "Model", **format_checkpoints.TEXT).eval()
    forms.FORMS[form](forms.Model(net), tmp_path)
    reports = [report(path) for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert reports
    assert [one for one in reports if one.verdict is not Verdict.CLEAN] == []
