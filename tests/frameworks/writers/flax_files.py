"""Writes OUT/flax_model.msgpack by flax.serialization, values in expected.npz."""

import sys
from pathlib import Path

import flax.serialization
import jax.numpy as jnp
import numpy as np

out = Path(sys.argv[1])
rng = np.random.default_rng(5)
params = {
    "params": {
        "Dense_0": {
            "kernel": jnp.asarray(rng.normal(size=(6, 4)), jnp.float32),
            "bias": jnp.asarray(rng.normal(size=4), jnp.bfloat16),
        },
        "Embed_0": {"embedding": jnp.asarray(rng.normal(size=(9, 3)), jnp.float16)},
    },
    "step": jnp.asarray(12, jnp.int32),
}
(out / "flax_model.msgpack").write_bytes(flax.serialization.to_bytes(params))
dense, embed = params["params"]["Dense_0"], params["params"]["Embed_0"]
values = {
    "params.Dense_0.kernel": dense["kernel"],
    "params.Dense_0.bias": dense["bias"],
    "params.Embed_0.embedding": embed["embedding"],
    "step": params["step"],
}
raw = {name: np.frombuffer(np.asarray(v).tobytes(), np.uint8) for name, v in values.items()}
np.savez(out / "expected.npz", **raw)
