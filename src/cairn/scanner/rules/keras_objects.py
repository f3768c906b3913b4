"""Objects that Keras makes of a configuration and that run code or reach out."""

from collections.abc import Iterator
from typing import ClassVar

from cairn.domain import Finding, Verdict
from cairn.scanner.evidence.base import Evidence
from cairn.scanner.evidence.settings import KerasObject
from cairn.scanner.rule import Rule
from cairn.scanner.running import runs_code

# Where Keras looks classes up; functions only in those further down.
_MODULES = frozenset(
    (
        *("keras", "keras.activations", "keras.constraints", "keras.dtype_policies"),
        *("keras.initializers", "keras.layers", "keras.losses", "keras.metrics", "keras.models"),
        *("keras.optimizers", "keras.optimizers.schedules", "keras.quantizers", "keras.random"),
        *("keras.regularizers", "keras.ops", "keras.src", "keras.engine.functional"),
        *("keras.engine.sequential", "keras.src.models.functional", "keras.src.models.model"),
        *("keras.src.models.sequential", "keras.src.engine.functional", "keras.callbacks"),
        *("keras.src.engine.sequential", "keras.src.ops.core", "keras.src.ops.image"),
        *("keras.src.ops.linalg", "keras.src.ops.math", "keras.src.ops.nn", "keras.src.ops.numpy"),
    )
)
# Keras' optimizers as it writes them where torch is what computes.
_MODULES |= {
    f"keras.src.backend.torch.optimizers.torch_{name}"
    for name in (
        ["adadelta", "adagrad", "adam", "adamax", "adamw", "lion", "nadam", "rmsprop", "sgd"]
    )
}
_FUNCTION_MODULES = frozenset(
    (
        *("keras.activations", "keras.initializers", "keras.losses", "keras.metrics"),
        *("keras.constraints", "keras.regularizers"),
    )
)
# Layers that carry code, pickles or other programs.
_CARRIERS = {
    "Lambda": "Python bytecode",
    "__lambda__": "Python bytecode",
    "TorchModuleWrapper": "a pickle of torch",
    "TFSMLayer": "a saved model from somewhere else",
    "JaxLayer": "a function of JAX",
    "FlaxLayer": "a module of Flax",
}
_BUILTIN_FUNCTIONS = frozenset(
    (
        *("eval", "exec", "compile", "open", "__import__", "getattr", "setattr", "delattr"),
        *("globals", "locals", "vars", "breakpoint", "input", "print", "execfile", "apply"),
    )
)
_BUILTIN_TYPES = frozenset(("slice", "tuple", "list", "dict", "str", "int", "float", "bool"))


class KerasObjects(Rule):
    """The model's configuration has Keras run code or fetch something.

    A configuration names classes and functions that Keras imports and calls. `Lambda` layers
    carry bytecode; functions such as `keras.utils.get_file` write files; modules from elsewhere
    are imported for whatever they do. Each fix of Keras' safe mode left another way in
    (CVE-2024-3660, CVE-2025-1550, CVE-2025-8747, CVE-2025-9906, CVE-2025-49655). Load the weights
    alone into a model that your own code builds.
    """

    name: ClassVar[str] = "keras-objects"
    title: ClassVar[str] = "Has Keras run code"
    version: ClassVar[int] = 2
    about: ClassVar[tuple[type[Evidence], ...]] = (KerasObject,)

    def judge(self, evidence: Evidence) -> Iterator[Finding]:
        """One finding for an object that is not of Keras' own harmless ones."""
        assert isinstance(evidence, KerasObject)
        verdict, what = _judged(evidence)
        if verdict is not Verdict.CLEAN:
            yield Finding(
                self.name,
                verdict,
                what,
                evidence.place,
                "Load only the weights, into a model that your own code builds",
            )


def _judged(evidence: KerasObject) -> tuple[Verdict, str]:
    module, name = evidence.module, evidence.class_name
    if f"{module}.".startswith("tf_keras."):
        module = module.removeprefix("tf_")  # Keras 2 as a package of its own, module by module
    if name.rpartition(">")[2] in _CARRIERS:
        return Verdict.MALICIOUS, f"{name} carries {_CARRIERS[name.rpartition('>')[2]]}"
    if evidence.function:
        return _function(module, evidence.function)
    if module == "builtins":
        if name in _BUILTIN_TYPES or name == "function":
            return Verdict.CLEAN, ""
        return Verdict.MALICIOUS, f"names {module}.{name}"
    if not module or module in _MODULES:
        custom = ">" in evidence.registered and bool(module)
        return (Verdict.SUSPICIOUS if custom else Verdict.CLEAN), f"names {evidence.registered}"
    runs = runs_code(f"{module}.{name}")
    return (Verdict.MALICIOUS if runs else Verdict.SUSPICIOUS), f"names {module}.{name}"


def _function(module: str, function: str) -> tuple[Verdict, str]:
    what = f"refers to the function {module or 'builtins'}.{function}"
    if module in _FUNCTION_MODULES and function.isidentifier():
        return Verdict.CLEAN, ""
    if module in ("", "builtins"):
        runs = function in _BUILTIN_FUNCTIONS or not function.isidentifier()
        return (Verdict.MALICIOUS if runs else Verdict.SUSPICIOUS), what
    if module.partition(".")[0] in ("keras", "tensorflow", "tf_keras"):
        return Verdict.MALICIOUS, what
    runs = runs_code(f"{module}.{function}")
    return (Verdict.MALICIOUS if runs else Verdict.SUSPICIOUS), what
