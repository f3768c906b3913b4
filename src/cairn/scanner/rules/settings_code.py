"""Settings that name code which a loader would import."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.settings import NamedCode
from cairn.scanner.rule import Rule
from cairn.scanner.running import runs_code

# Where the classes live that pipelines and pooling layers are made of.
_PIPELINES = frozenset(("diffusers", "transformers", "onnxruntime", "null"))
# The organization whose kernels transformers itself names and takes without asking.
_KERNELS = "kernels-community/"
# What MLflow itself writes there; anything else is looked up in the model's own folder first.
_MLFLOW_MODULES = ("mlflow loader_module", "mlflow keras_module", "mlflow pickle_module")
_MLFLOW_OWNERS = frozenset(("mlflow", "keras", "tf_keras", "tensorflow"))
_SENTENCES = "sentence_transformers."
# Packages whose classes Hydra and NeMo settings name; functions of them are not let through.
_TARGETS = frozenset(
    (
        *("nemo", "torch", "pytorch_lightning", "lightning", "torchmetrics", "torchvision"),
        *("torchaudio", "transformers", "diffusers", "omegaconf"),
    )
)
# What skops writes for estimators: nodes that make a value of its type and set its state.
_SKOPS_NODES = frozenset(
    (
        *("ObjectNode", "TypeNode", "DictNode", "ListNode", "TupleNode", "SetNode", "JsonNode"),
        *("NdArrayNode", "SparseMatrixNode", "DTypeNode", "RandomStateNode", "SliceNode"),
        *("RandomGeneratorNode", "MaskedArrayNode", "CachedNode", "DefaultDictNode", "BytesNode"),
        *("BytearrayNode", "TreeNode", "LossNode", "_DictWithDeprecatedKeysNode"),
    )
)
_SKOPS_PACKAGES = frozenset(("sklearn", "numpy", "scipy"))
_PLAIN = frozenset(
    (
        *("builtins.dict", "builtins.list", "builtins.tuple", "builtins.set", "builtins.str"),
        *("builtins.int", "builtins.float", "builtins.bool", "builtins.NoneType"),
        *("builtins.slice", "builtins.bytes", "builtins.bytearray", "collections.defaultdict"),
        *("collections.OrderedDict", "numpy.ndarray", "numpy.dtype"),
    )
)


class SettingsCode(Rule):
    """Settings name code that a loader would import and run.

    `auto_map` and `custom_pipelines` have transformers and diffusers download Python from the
    repo and run it when the user says `trust_remote_code`; a YAML tag of Python makes any object
    without asking; `_target_` has Hydra call what it names; an `MLmodel` file has MLflow import
    modules of the model's folder; a kernel of a repo is machine code; a codec of Zarr may unpickle
    what it reads. Read the code that is named before loading, or use a class of the
    library itself and delete the setting.
    """

    name: ClassVar[str] = "settings-code"
    title: ClassVar[str] = "Settings name code to run"
    version: ClassVar[int] = 3
    about: ClassVar[tuple[type[Evidence], ...]] = (NamedCode,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for each name outside the libraries that own the setting."""
        assert isinstance(evidence, NamedCode)
        verdict = _verdict(evidence.key, evidence.target)
        if verdict is not Verdict.CLEAN:
            yield Finding(
                self.name,
                verdict,
                f"{evidence.key} names {evidence.target}",
                evidence.place,
                "Read the code it names before loading, and load without trust_remote_code",
            )


def _verdict(key: str, target: str) -> Verdict:
    if key == "YAML tag":
        harmless = target in ("tuple:", "tuple", "str:", "none:", "bool:", "int:", "float:")
        return Verdict.CLEAN if harmless else Verdict.MALICIOUS
    node = key.removeprefix("skops ")
    if node in _SKOPS_NODES and (target in _PLAIN or _is_class_of(target, _SKOPS_PACKAGES)):
        return Verdict.CLEAN
    if runs_code(target):
        return Verdict.MALICIOUS
    if key == "parent_library" and target.partition(".")[0] in _TARGETS:
        return Verdict.CLEAN
    if key == "kernel of a repo" and target.removeprefix("paged|").startswith(_KERNELS):
        return Verdict.CLEAN
    if key in _MLFLOW_MODULES and target.partition(".")[0] in _MLFLOW_OWNERS:
        return Verdict.CLEAN
    if key.startswith("imported by "):
        return Verdict.CLEAN  # a class of some package, which whoever loads it has installed
    if key == "pipeline component":
        return Verdict.CLEAN if target.split(".")[0] in _PIPELINES else Verdict.SUSPICIOUS
    if key == "module" and target.startswith(_SENTENCES):
        return Verdict.CLEAN
    if key == "_target_" and _is_class_of(target, _TARGETS):
        return Verdict.CLEAN
    return Verdict.SUSPICIOUS


def _is_class_of(target: str, packages: frozenset[str]) -> bool:
    parts = target.split(".")
    return parts[0] in packages and parts[-1][:1].isupper() and all(map(str.isidentifier, parts))
