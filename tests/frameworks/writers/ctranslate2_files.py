"""Writes OUT/ctranslate2/model.bin by ctranslate2's own specification, values in expected.npz."""

import sys
from pathlib import Path

import ctranslate2.specs.model_spec as model_spec
import numpy as np
from ctranslate2.specs import TransformerDecoderModelSpec

out = Path(sys.argv[1])
rng = np.random.default_rng(7)
WIDTH, WORDS = 8, 11
spec = TransformerDecoderModelSpec.from_config(2, 4, pre_norm=True)


def fill(layer: object, name: str, value: object) -> None:
    """Give every required variable an array; the optional ones stay out."""
    key = name.rpartition("/")[2]
    if value is None and not key.startswith("_"):
        shape = (WIDTH,) if key in ("gamma", "beta") else (WORDS, WIDTH)
        setattr(layer, key, rng.normal(size=shape).astype("float32"))


model_spec.visit_spec(spec, fill)
spec.register_vocabulary([f"token{i}" for i in range(WORDS)])
spec.validate()
spec.optimize(quantization="int8")
(out / "ctranslate2").mkdir()
spec.save(str(out / "ctranslate2"))
raw = {}
for name, variable in spec.variables(ordered=True):
    array = variable if isinstance(variable, np.ndarray) else variable.numpy()
    raw[name] = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
np.savez(out / "expected.npz", **raw)
