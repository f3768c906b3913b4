"""Writes OUT/checkpoint (tf.train.Checkpoint) and OUT/saved, values in expected.npz."""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

out = Path(sys.argv[1])
rng = np.random.default_rng(3)
KINDS = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int8", "uint8", "bool")


class Net(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(rng.normal(size=(5, 7)).astype("float32"))
        self.steps = {
            kind: tf.Variable(tf.cast(rng.integers(0, 2, (3, 2)), kind)) for kind in KINDS
        }
        self.scalar = tf.Variable(3.5)

    @tf.function(input_signature=[tf.TensorSpec([None, 5], tf.float32)])
    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return x @ self.kernel


net = Net()
tf.train.Checkpoint(net=net, epoch=tf.Variable(4, dtype=tf.int64)).write(str(out / "checkpoint"))
tf.saved_model.save(net, str(out / "saved"))
values = {"net/kernel": net.kernel, "net/scalar": net.scalar}
values |= {f"net/steps/{kind}": variable for kind, variable in net.steps.items()}
np.savez(
    out / "expected.npz",
    **{
        f"{name}/.ATTRIBUTES/VARIABLE_VALUE": np.frombuffer(v.numpy().tobytes(), np.uint8)
        for name, v in values.items()
    },
)
