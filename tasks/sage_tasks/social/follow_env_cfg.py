"""Config of ``Sage-Social-Follow``."""

from __future__ import annotations

from isaaclab.utils import configclass
from isaaclab_tasks.utils import preset

from .social_env_cfg import SocialEnvCfg


@configclass
class FollowEnvCfg(SocialEnvCfg):
    """A rover that accompanies the first of some people."""

    led_speed: tuple[float, float] = preset(default=(0.4, 0.6), easy=(0.3, 0.45), hard=(0.5, 0.7))
    """Range of the speed at which the person to accompany likes to walk: below the rover's [m/s]."""
    band: tuple[float, float] = (0.8, 2.0)
    """Range of the distance, centre to centre, in which the rover accompanies the person [m]."""
    band_share: float = 0.8
    """Share of an episode that must be spent in the band."""
    band_reward: float = 1.0
    """Reward for a second in the band."""
