"""What the settings of a Stable-Baselines3 model say: the algorithm, the policy, the spaces.

Sources: `stable_baselines3/common/save_util.py` (`data_to_json`) and the `_get_data` of the
algorithms, of version 2.9. Objects are dictionaries with their class under `:type:`, a pickle
under `:serialized:`, and their attributes as text.
"""

import math
import re
from collections.abc import Mapping

from cairn.domain import Architecture, Fact, Scalar
from cairn.formats.limits import MAX_METADATA_ITEMS, MAX_METADATA_VALUE_CHARS
from cairn.formats.naming import printable

Settings = Mapping[str, object]

_POLICY_HOME = re.compile(r"(?:stable_baselines3|sb3_contrib)\.([a-z0-9_]+)\.policies\Z")
_METHOD = re.compile(r"<function (\w+)\.")
_CLASS = re.compile(r"<class '([\w.]+)'>\Z")
_MAX_CLASS_CHARS = 200
_SPACES = ("observation_space", "action_space")
_SPACE_FACTS = ("_shape", "n", "dtype")

# DDPG is saved as a TD3 with these settings and cannot be told from a TD3 set up so.
_DDPG = {"policy_delay": 1, "target_noise_clip": 0.0}
# Policies that several algorithms share: the first setting that is there decides.
_SHARED: tuple[tuple[str, str], ...] = (
    ("cg_max_steps", "trpo"),
    ("clip_range", "ppo"),
    ("gae_lambda", "a2c"),
)


def algorithm_of(settings: Settings) -> Architecture | None:
    """The algorithm, by the policy's module or by the settings only that algorithm has."""
    policy = settings.get("policy_class")
    home = policy.get("__module__") if isinstance(policy, dict) else None
    found = _POLICY_HOME.match(home) if isinstance(home, str) else None
    family, evidence = _by_settings(settings)
    if found and found[1] not in ("common", "td3"):
        family, evidence = found[1], f"data: policy_class.__module__ is {found[0]}"
    elif found and found[1] == "td3":
        is_ddpg = all(settings.get(key) == value for key, value in _DDPG.items())
        family = "ddpg" if is_ddpg else "td3"
        evidence = "data: policy_class of TD3, policy_delay and target_noise_clip"
    if not family:
        return None
    facts = {
        f"{space}.{key.lstrip('_')}": Fact(value, f"data: {space}")
        for space, key, value in _space_facts(settings)
    }
    return Architecture(family, _policy_class(settings), evidence, settings_of(settings), facts)


def settings_of(settings: Settings) -> dict[str, Scalar]:
    """The plain settings, and of the spaces what they are; other objects are left alone."""
    found: dict[str, Scalar] = {}
    for key, value in settings.items():
        if len(found) >= MAX_METADATA_ITEMS:
            break
        name = printable(key, MAX_METADATA_VALUE_CHARS)
        if isinstance(value, str):
            found[name] = printable(value, MAX_METADATA_VALUE_CHARS)
        elif isinstance(value, float):
            found[name] = value if math.isfinite(value) else str(value)
        elif isinstance(value, (bool, int)):
            found[name] = value
    policy = _policy_class(settings)
    if policy is not None:
        found["policy_class"] = policy
    for space, key, value in _space_facts(settings):
        found[f"{space}.{key.lstrip('_')}"] = value
    return found


def _by_settings(settings: Settings) -> tuple[str, str]:
    for key, family in _SHARED:
        if key in settings:
            return family, f"data: {key}"
    return "", ""


def _policy_class(settings: Settings) -> str | None:
    """The policy's full name: its module is told, its own name only in those of its methods."""
    policy = settings.get("policy_class")
    if not isinstance(policy, dict):
        return None
    home, method = policy.get("__module__"), policy.get("__init__")
    own = _METHOD.match(method) if isinstance(method, str) else None
    if not isinstance(home, str) or own is None:
        return None
    return printable(f"{home}.{own[1]}", _MAX_CLASS_CHARS)


def _space_facts(settings: Settings) -> list[tuple[str, str, Scalar]]:
    """Class, shape and number of choices of the observations and actions."""
    found: list[tuple[str, str, Scalar]] = []
    for space in _SPACES:
        told = settings.get(space)
        if not isinstance(told, dict):
            continue
        kind = told.get(":type:")
        match = _CLASS.match(kind) if isinstance(kind, str) else None
        if match:
            found.append((space, "class", printable(match[1], _MAX_CLASS_CHARS)))
        for key in _SPACE_FACTS:
            value = told.get(key)
            if isinstance(value, list) and all(isinstance(n, int) for n in value[:8]):
                value = str(value[:8])
            if isinstance(value, str):
                found.append((space, key, printable(value, 80)))
            elif isinstance(value, int):
                found.append((space, key, value))
    return found
