"""Writes OUT/model.mlpackage by coremltools in a precision, values in expected.npz."""

import sys
from pathlib import Path

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder

out, precision = Path(sys.argv[1]), ct.precision[sys.argv[2]]
rng = np.random.default_rng(5)
values = {
    "weight": rng.normal(size=(16, 8)).astype(np.float32),
    "bias": rng.normal(size=16).astype(np.float32),
}


@Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 8))])
def program(x):
    return Builder.relu(x=Builder.linear(x=x, **values))


model = ct.convert(
    program,
    convert_to="mlprogram",
    compute_precision=precision,
    skip_model_load=True,
    minimum_deployment_target=ct.target.iOS16,
)
model.save(str(out / "model.mlpackage"))
kind = np.float32 if precision is ct.precision.FLOAT32 else np.float16
np.savez(
    out / "expected.npz",
    **{name: np.frombuffer(v.astype(kind).tobytes(), np.uint8) for name, v in values.items()},
)
