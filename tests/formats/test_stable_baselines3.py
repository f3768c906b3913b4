"""Stable-Baselines3: every algorithm's own save, and archives made to deceive."""

import io
import json
import zipfile

import gymnasium
import pytest
import stable_baselines3 as sb3
import torch

from cairn.domain import Layout, Role
from cairn.errors import LimitError, MalformedError, UnknownFormatError
from cairn.formats import BytesSource, limits
from cairn.formats.readers.stable_baselines3 import StableBaselines3Reader
from cairn.formats.values import read_array
from cairn.testing.readers import ReaderConformance
from tests.formats.making import bytes_of, layout_of, saved

CONTINUOUS = "Pendulum-v1"
DISCRETE = "CartPole-v1"


def model_of(algorithm, env: str = DISCRETE):
    return algorithm("MlpPolicy", env, policy_kwargs={"net_arch": [2]}, seed=1)


def file_of(model) -> bytes:
    buffer = io.BytesIO()
    model.save(buffer)
    return buffer.getvalue()


def packed(members, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return buffer.getvalue()


def smallest() -> dict[str, bytes]:
    data = {"policy_class": {}, "gamma": 0.5, "clip_range": 0.2}
    return {"data": json.dumps(data).encode(), "policy.pth": saved({"w": torch.arange(3.0)})}


class TestStableBaselines3(ReaderConformance):
    reader = StableBaselines3Reader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        return {
            "smallest": packed(smallest()),
            "no tensors": packed({**smallest(), "policy.pth": saved({})}),
        }


@pytest.mark.parametrize(
    ("algorithm", "env", "family", "policy"),
    [
        (sb3.PPO, DISCRETE, "ppo", "ActorCriticPolicy"),
        (sb3.A2C, DISCRETE, "a2c", "ActorCriticPolicy"),
        (sb3.DQN, DISCRETE, "dqn", "DQNPolicy"),
        (sb3.SAC, CONTINUOUS, "sac", "SACPolicy"),
        (sb3.TD3, CONTINUOUS, "td3", "TD3Policy"),
        (sb3.DDPG, CONTINUOUS, "ddpg", "TD3Policy"),
    ],
)
def test_every_algorithm_is_known_and_its_tensors_are_those_it_has(
    algorithm, env, family, policy
) -> None:
    model = model_of(algorithm, env)
    data = file_of(model)
    layout = layout_of(data, "model.zip")
    assert layout.format == "stable-baselines3"
    assert layout.architecture is not None
    assert layout.architecture.family == family
    assert layout.architecture.class_name.endswith(policy)
    found = {tensor.name: tensor for tensor in layout.tensors}
    state = model.policy.state_dict()
    assert {n for n in found if n.startswith("policy.")} == {f"policy.{n}" for n in state}
    for name, tensor in state.items():
        values = read_array(found[f"policy.{name}"], BytesSource(data)).tobytes()
        assert values == bytes_of(tensor)
    assert layout.sections["policy"] is Role.WEIGHTS
    assert Role.OPTIMIZER in layout.sections.values()
    assert layout.metadata["gamma"] == model.gamma
    assert layout.metadata["num_timesteps"] == 0
    assert layout.metadata["n_envs"] == 1
    assert layout.metadata["stable_baselines3_version"] == sb3.__version__
    assert not any("gAW" in str(value) for value in layout.metadata.values())


def test_a_trained_agent_has_its_optimizer_and_its_spaces() -> None:
    env = gymnasium.make(DISCRETE)
    model = sb3.PPO(
        "MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1, policy_kwargs={"net_arch": [2]}
    )
    model.learn(8)
    layout = layout_of(file_of(model))
    roles = {tensor.name: tensor.role for tensor in layout.tensors}
    assert roles["policy.optimizer.state.0.exp_avg"] is Role.OPTIMIZER
    assert roles["policy.action_net.weight"] is Role.WEIGHTS
    metadata = layout.metadata
    assert metadata["num_timesteps"] == 8
    assert metadata["learning_rate"] == 0.0003
    assert metadata["policy_class"] == "stable_baselines3.common.policies.ActorCriticPolicy"
    assert metadata["observation_space.class"] == "gymnasium.spaces.box.Box"
    assert metadata["observation_space.shape"] == "[4]"
    assert metadata["action_space.n"] in (2, "2")


def refused(members, why: str, error=MalformedError, **options) -> None:
    with pytest.raises(error, match=why):
        layout_of(packed(members, **options))


def test_compressed_members_are_refused_with_advice() -> None:
    refused(smallest(), "is compressed.*without compression", compression=zipfile.ZIP_DEFLATED)


def test_an_archive_in_its_own_policy_is_not_followed() -> None:
    inner = packed(smallest())
    for _ in range(3):
        inner = packed({**smallest(), "policy.pth": inner})
    with pytest.raises(MalformedError, match=r"0 members named data\.pkl"):
        layout_of(inner)


def test_settings_that_are_none_are_refused() -> None:
    refused({**smallest(), "data": b"[1]"}, "not a JSON object")
    refused({**smallest(), "data": b"{"}, "JSON")
    refused({**smallest(), "data": b" " * (limits.MAX_CONFIG_BYTES + 1)}, "at most", LimitError)
    refused({"policy.pth": saved({}), "datas": b"{}"}, "member data is missing")


def test_archives_within_share_one_budget(monkeypatch) -> None:
    many = {f"x{i}.pth": saved({"w": torch.ones(1)}) for i in range(3)}
    assert len(layout_of(packed({**smallest(), **many})).tensors) == 4
    monkeypatch.setattr("cairn.formats.torch_archive.MAX_LAYOUT_OPCODES", 100)
    refused({**smallest(), **many}, "opcodes", LimitError)
    monkeypatch.undo()
    monkeypatch.setattr("cairn.formats.torch_archive.MAX_DATA_PKL_BYTES", 400)
    refused({**smallest(), **many}, "bytes", LimitError)
    monkeypatch.undo()
    many = {f"x{i}.pth": b"" for i in range(limits.MAX_NESTED_ARCHIVES)}
    refused({**smallest(), **many}, "archives within", LimitError)


def test_names_of_two_archives_that_collide_are_told_apart() -> None:
    members = {
        **smallest(),
        "policy.a.pth": saved({"w": torch.ones(1)}),
        "policy.pth": saved({"a.w": torch.ones(1)}),
    }
    assert [t.name for t in layout_of(packed(members)).tensors] == ["policy.a.w", "policy.a.w#2"]


def test_serialized_objects_are_never_looked_into() -> None:
    """The pickle would run a command; it stays text that nobody decodes."""
    data = {"policy_class": {":type:": "<class 'x'>", ":serialized:": "Y29zCnN5c3RlbQou"}}
    layout = layout_of(packed({**smallest(), "data": json.dumps(data).encode()}))
    assert isinstance(layout, Layout)
    assert layout.architecture is None
    assert "Y29z" not in str(layout)


def test_another_zip_with_a_member_called_data_is_not_taken_for_one() -> None:
    with pytest.raises(UnknownFormatError):
        layout_of(packed({"data": b"{}", "model.onnx": b""}))
