"""What TorchScript code calls."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.scripts import ScriptOperator
from cairn.scanner.rule import Rule

# Namespaces of operators that come with torch, or with its sister packages, and compute.
_COMPUTING = frozenset(
    (
        *("aten", "prim", "prims", "quantized", "_quantized", "quantized_decomposed", "sparse"),
        *("prepacked", "mkldnn", "mkldnn_prepacked", "xnnpack", "inductor", "rngprims", "onednn"),
        *("torchvision", "torchaudio", "torchtext", "internal", "_caffe2", "static_runtime"),
    )
)
# Of these, what touches files, other machines, or Python.
_REACHING = frozenset(
    (
        *("aten::save", "aten::load", "aten::from_file", "aten::hub", "aten::classes"),
        *("prim::PythonOp", "prim::rpc_async", "prim::rpc_remote", "prim::rpc_sync"),
    )
)


class ScriptOperators(Rule):
    """The code of a TorchScript model names an operator that does more than compute.

    TorchScript runs in an interpreter of its own and reaches only what operators reach. A few of
    torch's read or write files (`aten::save`, `aten::from_file`), call other machines or Python;
    others come from libraries that would have to be loaded first, and do what these do. A model
    that computes its outputs from its inputs needs none. Run it only where it may touch nothing.
    """

    name: ClassVar[str] = "script-operators"
    title: ClassVar[str] = "Code of the model does more than compute"
    about: ClassVar[tuple[type[Evidence], ...]] = (ScriptOperator,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for an operator that is not known to compute."""
        assert isinstance(evidence, ScriptOperator)
        namespace, _, operator = evidence.name.partition("::")
        if operator and namespace in _COMPUTING and evidence.name not in _REACHING:
            return
        yield Finding(
            self.name,
            Verdict.SUSPICIOUS,
            f"the model's code uses {evidence.name}",
            evidence.place,
            "Convert it with `cairn convert`, which keeps tensors only",
        )
