"""The file by which MLflow's models of torch name the module that unpickles them.

`mlflow.pytorch.load_model` imports what `pickle_module_info.txt` says before it looks at anything
else: https://github.com/mlflow/mlflow/blob/master/mlflow/pytorch/__init__.py.
"""

from typing import ClassVar

from cairn.domain import Source
from cairn.scanner.evidence.settings import NamedCode
from cairn.scanner.extractor import Extractor
from cairn.scanner.paths import base_name
from cairn.scanner.trace import Trace

_NAME = "pickle_module_info.txt"
_MOST_SHOWN = 300


class MlflowModuleExtractor(Extractor):
    """The one file of that name."""

    version: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """`mlflow-module`."""
        return "mlflow-module"

    def claims(self, head: bytes, source: Source) -> bool:
        """By the name that MLflow opens."""
        del head
        return base_name(source) == _NAME

    def extract(self, source: Source, trace: Trace) -> None:
        """Note which module it names."""
        text = source.read_at(0, _MOST_SHOWN).decode("utf-8", "replace").strip()
        trace.note(NamedCode(trace.at(0), "mlflow pickle_module", text))
