"""Policies of reinforcement learning, in the naming of Stable-Baselines3.

Names: https://github.com/DLR-RM/stable-baselines3/blob/master/stable_baselines3/common/policies.py
and the `policies.py` of each algorithm. PPO and A2C share one policy class, so the weights cannot
tell them apart.
"""

from cairn.formats.family import NamedFamily, Naming, axis, constant

_MLP = "policy_net.N.weight"


class RlPolicyFamily(NamedFamily):
    """Actors, critics and Q networks of Stable-Baselines3."""

    name = "rl-policy"
    model_types = frozenset(("ppo", "a2c", "dqn", "sac", "td3", "ddpg"))
    orders = (
        (
            *("log_std", "features_extractor", "pi_features_extractor", "vf_features_extractor"),
            *("mlp_extractor", "action_net", "value_net_head", "policy_net", "value_net"),
            *("q_net", "q_net_target", "weight", "bias"),
        ),
        (
            *("actor", "actor_target", "critic", "critic_target", "features_extractor"),
            *("latent_pi", "mu", "log_std", "qf0", "qf1", "qf2", "qf3", "weight", "bias"),
        ),
        # With state-dependent exploration `log_std` is no layer but a parameter of the actor.
        (
            *("actor", "actor_target", "critic", "critic_target", "log_std", "features_extractor"),
            *("latent_pi", "mu", "qf0", "qf1", "qf2", "qf3", "weight", "bias"),
        ),
    )
    namings = (
        Naming(
            needs=("action_net.weight", "value_net.weight"),
            facts={
                "algorithm": constant("PPO or A2C", "action_net.weight"),
                "observation_size": axis(1, f"mlp_extractor.{_MLP}"),
                "action_size": axis(0, "action_net.weight"),
            },
        ),
        Naming(
            needs=("q_net.q_net.N.weight", "q_net_target.q_net.N.weight"),
            facts={
                "algorithm": constant("DQN", "q_net_target.q_net.N.weight"),
                "observation_size": axis(1, "q_net.q_net.N.weight"),
            },
            unknown=("action_size",),
        ),
        Naming(
            needs=("actor.latent_pi.N.weight", "critic.qf0.N.weight", "critic_target.qf0.N.weight"),
            facts={
                "algorithm": constant("SAC", "actor.latent_pi.N.weight"),
                "observation_size": axis(1, "actor.latent_pi.N.weight"),
                "action_size": axis(0, "actor.mu.weight"),
            },
        ),
        Naming(
            needs=("actor_target.mu.N.weight", "critic.qf0.N.weight", "critic_target.qf0.N.weight"),
            facts={
                "algorithm": constant("TD3 or DDPG", "actor_target.mu.N.weight"),
                "observation_size": axis(1, "actor.mu.N.weight"),
            },
            unknown=("action_size",),
        ),
    )
