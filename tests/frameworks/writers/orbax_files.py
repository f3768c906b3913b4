"""Writes OUT/orbax by orbax.checkpoint, the names that must be listed in expected.npz."""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

out = Path(sys.argv[1]).resolve()
tree = {"params": {"kernel": jnp.ones((6, 4)), "bias": jnp.zeros(4, jnp.bfloat16)}}
with ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(out / "orbax", tree)
np.savez(out / "expected.npz", **{"params.kernel": (6, 4), "params.bias": (4,)})
