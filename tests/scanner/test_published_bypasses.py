"""What other scanners let pass gets its verdict here, whether this one ever let it pass or not."""

import pytest

from cairn.formats import BytesSource
from cairn.scanner import gather, report_of
from tests.scanner.advisory_cases import CASES
from tests.scanner.form_cases import Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_published_bypass_gets_its_verdict(case: Case) -> None:
    reports = [
        report_of(name, len(data), gather(BytesSource(data, name)))
        for name, data in case.files.items()
    ]
    wrong = [report for report in reports if report.verdict is not case.verdict]
    assert wrong == [], case.what
