"""rsl_rl's PPO on our observations.

rsl_rl 5.5 wants a flat dict of groups, pictures with channels first; ours are nested and have channels last. Here is
the one place where they become that, so that environments, Isaac Lab's wrapper and rsl_rl's networks stay as they are.
"""

from __future__ import annotations

from typing import Any

import torch
from rsl_rl.algorithms import PPO
from rsl_rl.utils import check_nan
from tensordict import TensorDict
from torch import Tensor, nn

TRUTH = "critic"
"""Group with all ground truth."""


def symlog(x: Tensor) -> Tensor:
    """Logarithm of the size under the old sign (DreamerV3, arXiv 2301.04104): tames rare large forces."""
    return x.sign() * x.abs().log1p()


def groups(observation: TensorDict) -> TensorDict:
    """Our observation as groups for rsl_rl.

    Args:
        observation: ``policy`` and ``critic``, each name -> tensor (N, ...); or what this function returned.

    Returns:
        Each sense by its name: pictures (N, C, H, W), RGB in 0..1 and depth in metres, the rest (N, k) through
        :func:`symlog`. Under :data:`TRUTH` all ground truth but segmentation (N, k), also through :func:`symlog`.
    """
    if "policy" not in observation:
        return observation
    flat: dict[str, Tensor] = {}
    for name, value in observation["policy"].items():
        if value.dim() == 4:
            picture = value.permute(0, 3, 1, 2)
            flat[name] = picture.float() / 255.0 if picture.dtype == torch.uint8 else picture
        else:
            flat[name] = symlog(value)
    truth = [value.flatten(1) for value in observation["critic"].values() if value.is_floating_point()]
    flat[TRUTH] = symlog(torch.cat(truth, dim=1))
    return TensorDict(flat, batch_size=observation.batch_size, device=observation.device)


class SagePPO(PPO):
    """PPO that takes our nested observations and keeps of them only the groups that its networks read.

    Its observation groups are those of :func:`groups`.
    """

    @staticmethod
    def construct_algorithm(obs: TensorDict, env: Any, cfg: dict, device: str) -> PPO:
        """See :meth:`rsl_rl.algorithms.PPO.construct_algorithm`."""
        wanted = {name for names in cfg["obs_groups"].values() for name in names}
        flat = groups(obs)
        # An unknown name is left for rsl_rl to refuse, which then lists all there are.
        read = flat.select(*wanted) if wanted and wanted <= set(flat.keys()) else flat
        algorithm = PPO.construct_algorithm(read, env, cfg, device)
        # Whoever only plays the policy hands it an environment's observation.
        algorithm.get_policy().register_forward_pre_hook(_flatten_first)
        return algorithm

    def act(self, obs: TensorDict) -> Tensor:
        """See :meth:`rsl_rl.algorithms.PPO.act`."""
        return super().act(self._read(obs))

    def process_env_step(self, obs: TensorDict, rewards: Tensor, dones: Tensor, extras: dict[str, Tensor]) -> None:
        """See :meth:`rsl_rl.algorithms.PPO.process_env_step`.

        Raises:
            ValueError: Something is not a number.
        """
        flat = self._read(obs)
        # rsl_rl's runner does this too, but fails on nested observations.
        check_nan(flat, rewards, dones)
        super().process_env_step(flat, rewards, dones, extras)

    def compute_returns(self, obs: TensorDict) -> None:
        """See :meth:`rsl_rl.algorithms.PPO.compute_returns`."""
        super().compute_returns(self._read(obs))

    def _read(self, obs: TensorDict) -> TensorDict:
        return groups(obs).select(*self.storage.observations.keys())


def _flatten_first(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return groups(arguments[0]), *arguments[1:]
