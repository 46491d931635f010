"""The observation contract: what one step of an environment hands to a policy.

============== ================ ======= ======== ==============================================
key            shape            dtype   unit     what it is
============== ================ ======= ======== ==============================================
visual         (N, H, W, 3)     uint8            RGB
depth          (N, H, W, 1)     float32 m        distance to the image plane, 0 where nothing was hit
audio          (N, 1024)        float32 dB       log-mel spectrogram since the last look
tactile        (N, 128)         float32 N        force on the taxels of the robot's skin
proprioceptive (N, 64)          float32 SI       joints, base motion, IMU, last action; rest 0
============== ================ ======= ======== ==============================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

AUDIO_BANDS, AUDIO_FRAMES = 64, 16
AUDIO_WIDTH = AUDIO_BANDS * AUDIO_FRAMES
TACTILE_WIDTH = 128
PROPRIOCEPTIVE_WIDTH = 64
CONTRACT = ("visual", "depth", "audio", "tactile", "proprioceptive")
"""Keys of ``policy``, in order."""


def policy_space(height: int, width: int) -> gym.spaces.Dict:
    """Space of one world's ``policy`` observation.

    Args:
        height: Rows of the camera.
        width: Columns of the camera.
    """
    inf = np.inf
    return gym.spaces.Dict(
        {
            "visual": gym.spaces.Box(0, 255, (height, width, 3), np.uint8),
            "depth": gym.spaces.Box(0.0, inf, (height, width, 1), np.float32),
            "audio": gym.spaces.Box(-inf, inf, (AUDIO_WIDTH,), np.float32),
            "tactile": gym.spaces.Box(0.0, inf, (TACTILE_WIDTH,), np.float32),
            "proprioceptive": gym.spaces.Box(-inf, inf, (PROPRIOCEPTIVE_WIDTH,), np.float32),
        }
    )


def critic_space(truth: Mapping[str, Tensor]) -> gym.spaces.Dict:
    """Space of one world's ``critic`` observation: named ground truth, float32 or, for pictures, uint8.

    Args:
        truth: Name -> values of all worlds (N, ...).
    """
    spaces: dict[str, gym.Space] = {}
    for name, value in truth.items():
        shape = tuple(value.shape[1:])
        if value.dtype == torch.uint8:
            spaces[name] = gym.spaces.Box(0, 255, shape, np.uint8)
        else:
            spaces[name] = gym.spaces.Box(-np.inf, np.inf, shape, np.float32)
    return gym.spaces.Dict(spaces)


def pack_proprioception(entries: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, slice]]:
    """Lay named entries into the fixed width.

    Args:
        entries: Name -> tensor (N, k), in the order they shall have.

    Returns:
        Tensor (N, 64), zero where unused, and where each entry lies.

    Raises:
        ValueError: The entries do not fit.
    """
    layout: dict[str, slice] = {}
    start = 0
    for name, value in entries.items():
        layout[name] = slice(start, start + value.shape[1])
        start += value.shape[1]
    if start > PROPRIOCEPTIVE_WIDTH:
        raise ValueError(f"proprioceptive={start} entries: at most {PROPRIOCEPTIVE_WIDTH} fit; drop some")
    packed = torch.cat(list(entries.values()), dim=1).float()
    return torch.nn.functional.pad(packed, (0, PROPRIOCEPTIVE_WIDTH - start)), layout


def violations(space: gym.Space, observation: Mapping[str, Any] | Tensor, name: str = "observation") -> list[str]:
    """What is wrong with a batched observation, in a line each; none where it lies in its space.

    Gymnasium's own ``contains`` takes one world's NumPy arrays, lets dtypes be cast, and says only yes or no.

    Args:
        space: Space of one world: a dict of spaces, or a box.
        observation: Nested dicts of tensors (N, ...), or one tensor.
        name: What to call it.
    """
    if isinstance(space, gym.spaces.Dict):
        if not isinstance(observation, Mapping):
            return [f"{name}: is {type(observation).__name__}, no dict"]
        found = [f"{name}.{key}: is missing" for key in space.spaces if key not in observation]
        found += [f"{name}.{key}: is in no space" for key in observation if key not in space.spaces]
        for key in space.spaces.keys() & observation.keys():
            found += violations(space[key], observation[key], f"{name}.{key}")
        return sorted(found)
    if not isinstance(space, gym.spaces.Box) or not isinstance(observation, Tensor):
        return [f"{name}: is {type(observation).__name__} for {type(space).__name__}; must be a tensor for a Box"]
    if tuple(observation.shape[1:]) != space.shape:
        return [f"{name}: shape {tuple(observation.shape)}; must be (N, {', '.join(map(str, space.shape))})"]
    if observation.dtype != getattr(torch, str(space.dtype)):
        return [f"{name}: {observation.dtype}; must be {space.dtype}"]
    low, high = (torch.as_tensor(bound, device=observation.device) for bound in (space.low, space.high))
    outside = ~((low <= observation) & (observation <= high))  # as NaN is
    if bool(outside.any()):
        worst = observation[outside][0].item()
        return [f"{name}: {int(outside.sum())} numbers such as {worst:g} outside {low.min():g}..{high.max():g}"]
    return []
