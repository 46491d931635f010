"""PPO through rsl_rl, as a config that tasks begin from."""

from __future__ import annotations

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlCNNModelCfg, RslRlMLPModelCfg, RslRlOnPolicyRunnerCfg, RslRlPpoAlgorithmCfg

from sage_envs.launch import default_device


@configclass
class SagePpoRunnerCfg(RslRlOnPolicyRunnerCfg):
    """PPO whose actor reads senses alone and whose value function is told the ground truth as well.

    The value function is needed in training only (asymmetric actor-critic, arXiv 1710.06542). Each task has a class
    of its own: Isaac Lab looks for checkpoints by the name of the experiment.
    """

    experiment_name: str = "sage"
    device: str = default_device()
    num_steps_per_env: int = 32
    max_iterations: int = 300
    save_interval: int = 50
    obs_groups: dict[str, list[str]] = {  # noqa: RUF012  a configclass copies it
        "actor": ["proprioceptive", "tactile", "depth"],
        "critic": ["proprioceptive", "tactile", "critic"],
    }
    clip_actions: float = 1.0
    # The runner's check takes no nested observations; SagePPO makes it.
    check_for_nan: bool = False
    actor: RslRlCNNModelCfg = RslRlCNNModelCfg(
        hidden_dims=[128, 128],
        activation="elu",
        obs_normalization=True,
        distribution_cfg=RslRlMLPModelCfg.GaussianDistributionCfg(init_std=0.6, std_type="log"),
        # Fits cameras from 16x16 on. No global pooling: where something stands matters.
        cnn_cfg=RslRlCNNModelCfg.CNNCfg(
            output_channels=[16, 32, 32], kernel_size=3, stride=2, padding="zeros", activation="elu"
        ),
    )
    critic: RslRlMLPModelCfg = RslRlMLPModelCfg(hidden_dims=[128, 128], activation="elu", obs_normalization=True)
    algorithm: RslRlPpoAlgorithmCfg = RslRlPpoAlgorithmCfg(
        class_name="sage_tasks.agents.ppo:SagePPO",
        num_learning_epochs=4,
        num_mini_batches=4,
        learning_rate=1.0e-3,
        schedule="adaptive",
        gamma=0.99,
        lam=0.95,
        entropy_coef=0.002,
        desired_kl=0.01,
        max_grad_norm=1.0,
        value_loss_coef=1.0,
        use_clipped_value_loss=True,
        clip_param=0.2,
    )


@configclass
class NavigationPpoRunnerCfg(SagePpoRunnerCfg):
    """``Sage-Navigation``."""

    experiment_name: str = "sage_navigation"


@configclass
class NavigationPushPpoRunnerCfg(SagePpoRunnerCfg):
    """``Sage-Navigation-Push``."""

    experiment_name: str = "sage_navigation_push"


@configclass
class ReachPpoRunnerCfg(SagePpoRunnerCfg):
    """``Sage-Reach``."""

    experiment_name: str = "sage_reach"


@configclass
class LiftPpoRunnerCfg(SagePpoRunnerCfg):
    """``Sage-Lift``."""

    experiment_name: str = "sage_lift"


@configclass
class PushPpoRunnerCfg(SagePpoRunnerCfg):
    """``Sage-Push``."""

    experiment_name: str = "sage_push"


@configclass
class SocialPpoRunnerCfg(SagePpoRunnerCfg):
    """``Sage-Social``."""

    experiment_name: str = "sage_social"


@configclass
class SocialFollowPpoRunnerCfg(SagePpoRunnerCfg):
    """``Sage-Social-Follow``."""

    experiment_name: str = "sage_social_follow"
