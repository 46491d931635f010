"""``Sage-Social``: drive to the goal post among people who walk, and touch nobody."""

from __future__ import annotations

import torch
from torch import Tensor

from sage_envs.crowd import BODY_RADIUS, LEAST_DESIRED_SPEED, Crowd, Others
from sage_envs.materials import MATERIALS
from sage_envs.moved import Moved
from sage_envs.scene_description import PLACE, Follow
from sage_envs.scene_parts import HISTORY
from sage_envs.senses.audio import Source
from sage_envs.social_room import PERSON_HEIGHT, PILLARS, SOCIAL_OBJECTS, SOCIAL_ROOM_HALF, person_names

from ..navigation.navigation_env import ROVER_RADIUS, NavigationEnv, block_halves
from ..navigation.placement import first_free, scatter
from .social_env_cfg import SocialEnvCfg

LEGS = 8
"""Goals of a person's itinerary."""
LEG_LENGTH = 2.0
"""Least distance from one goal of a person to the next [m]."""
WAYPOINT_CLEARANCE = 0.5
"""Free space that goals of people keep from walls and pillars [m]."""
CANDIDATES = 64
"""Places tried for each goal of a person."""
INTIMATE = 0.45
"""Gap between bodies below which somebody's space is intruded upon [m]: the intimate distance of E. T. Hall, "The
Hidden Dimension" (1966), up to 18 inches."""
TOUCH = 1e-3
"""Force of a person on the skin from which it is touch [N]."""
STEP_IMPULSE = 0.15
"""Of a heel's strike per m/s of walking speed [N s]: 75 kg of body weight of which a foot is 1.45 % (D. A. Winter,
"Biomechanics and Motor Control of Human Movement", 2009), coming down at 0.14 of the walking speed."""
SOLE = 0.1
"""Size of the part of a shoe that sounds [m]."""


class SocialEnv(NavigationEnv):
    """A rover among people.

    People follow :class:`sage_envs.crowd.Crowd` and walk around the rover as around each other. An episode ends with
    success at the goal, and without when a person is touched, the time is up or the rover tips over.

    Attributes:
        crowd: Who walks where.
        collision: Who touched a person in this episode (N,) bool.
        intrusion_s: Time spent nearer to somebody than :data:`INTIMATE` in this episode (N,) [s].
    """

    cfg: SocialEnvCfg
    objects = SOCIAL_OBJECTS
    obstacles = PILLARS
    obstacle_halves = block_halves(PILLARS)
    room_half = SOCIAL_ROOM_HALF

    def _setup(self) -> None:
        n, device = self.num_envs, self.device
        # Nothing but the crowd moves people: they need not be read back.
        self.people = self.scene.rigid_object_collections.pop("people")
        self._stances, count = Moved(self.people, n, device), len(self.people.body_names)
        self.crowd = Crowd(n, count, LEGS, self.room_half, device)
        self.other_sources = tuple(Source(name, MATERIALS["rubber"], SOLE) for name in person_names(count))
        self._heels = torch.zeros(n, count, HISTORY, device=device)
        self._stances.pose[..., 2] = self.scene.env_origins[:, None, 2] + PERSON_HEIGHT / 2
        self._stances.pose[..., 6] = 1.0
        self._round_radii = torch.tensor([t.radius for t in (*self.obstacles, *self.objects)], device=device)
        places = torch.zeros(n, len(self._round_radii), 2, device=device)
        mover = torch.zeros(n, 1, 2, device=device)
        self._others = Others(mover, mover.clone(), ROVER_RADIUS, places, self._round_radii.repeat(n, 1))
        self._largest = torch.ones_like(self._round_radii)
        # Nobody begins where an object of any size would be.
        self._largest[len(self.obstacles) :] = max(self._options)
        self.reached = torch.zeros(n, dtype=torch.bool, device=device)
        self.collision = torch.zeros(n, dtype=torch.bool, device=device)
        self._intruding = torch.zeros(n, dtype=torch.bool, device=device)
        self.intrusion_s = torch.zeros(n, device=device)
        super()._setup()

    # -- people walk ---------------------------------------------------------------------------

    def _apply_action(self) -> None:
        self._walk()
        super()._apply_action()

    def _walk(self) -> None:
        others, origins, standing = self._others, self.scene.env_origins[:, :2], len(self.obstacles)
        rover = self.robot.data
        others.velocity[:, 0] = rover.body_com_vel_w.torch[:, self._camera_body, :2]
        torch.sub(rover.body_link_pos_w.torch[:, self._camera_body, :2], origins, out=others.position[:, 0])
        others.obstacles[:, :standing] = self._fixture_pose[:, :-1, :2]
        loose = self.loose.data.body_link_pos_w.torch[..., :2]
        torch.sub(loose, origins.unsqueeze(1), out=others.obstacles[:, standing:])
        torch.mul(self.sizes.scale, self._round_radii[standing:], out=others.obstacle_radii[:, standing:])
        self.crowd.step(self.physics_dt, others)
        strike = STEP_IMPULSE * self.crowd.velocity.norm(dim=-1) * self.crowd.struck
        self._heels = torch.cat([self._heels[..., 1:], strike.unsqueeze(-1)], dim=-1)
        torch.add(self.crowd.position, origins.unsqueeze(1), out=self._stances.pose[..., :2])
        self._stances.write()

    def _put_people(self, ids: Tensor) -> None:
        self._stances.pose[ids, :, :2] = self.crowd.position[ids] + self.scene.env_origins[ids, None, :2]
        self._stances.put(ids)

    def other_sounds(self, ticks: int) -> tuple[Tensor, Tensor]:
        """Footsteps."""
        feet = torch.nn.functional.pad(self.crowd.position, (0, 1)) + self.scene.env_origins.unsqueeze(1)
        return self._heels[..., -ticks:], feet

    # -- what is told --------------------------------------------------------------------------

    def person_gap(self) -> Tensor:
        """Gap between the rover and each person (N, P) [m]."""
        return (self.crowd.position - self._pose()[:, None, :2]).norm(dim=-1) - BODY_RADIUS - ROVER_RADIUS

    def _critic(self) -> dict[str, Tensor]:
        return {
            **super()._critic(),
            "person_position": self.crowd.position.clone(),
            "person_velocity": self.crowd.velocity.clone(),
            "person_goal": self.crowd.goal,
        }

    def followed(self) -> dict[str, list[Follow]]:
        """See :meth:`SageEnv.followed`."""
        people = enumerate(person_names(self.crowd.position.shape[1]))
        return super().followed() | {name: [Follow("person_position", 2 * i, PLACE)] for i, name in people}

    def refurnished(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The moments as they were: people are on their ways around what stands there."""
        return rows

    def task_state(self) -> dict[str, Tensor]:
        """What navigation adds, people and what was tallied of the episode."""
        tally = torch.stack([self.collision.float(), self.intrusion_s], dim=1)
        return {**super().task_state(), "people": self.crowd.state(), "tally": tally}

    def set_task_state(self, env_ids: Tensor, state: dict[str, Tensor]) -> None:
        """Inverse of :meth:`task_state`."""
        super().set_task_state(env_ids, state)
        self.crowd.set_state(env_ids, state["people"])
        self.collision[env_ids] = state["tally"][:, 0] > 0.5
        self.intrusion_s[env_ids] = state["tally"][:, 1]
        self._heels[env_ids] = 0.0
        self._put_people(env_ids)

    # -- reward, ends and resets -----------------------------------------------------------------

    def _get_dones(self) -> tuple[Tensor, Tensor]:
        terminated, out_of_time = super()._get_dones()
        first = len(self.objects)
        people = slice(first, first + self.crowd.position.shape[1])
        force = self.touch.forces(self.cfg.decimation)[:, :, people]
        self.collision |= (force.norm(dim=-1) > TOUCH).flatten(1).any(dim=1)
        self._intruding = (self.person_gap() < INTIMATE).any(dim=1)
        self.intrusion_s += self.step_dt * self._intruding
        self.reached = self._arrived() & ~self.collision
        return terminated | self.collision | self.reached, out_of_time

    def _arrived(self) -> Tensor:
        return (self.goal - self._pose()[:, :2]).norm(dim=1) < self.cfg.goal_reach

    def _get_rewards(self) -> Tensor:
        reward = self._drive_reward() + self.cfg.goal_reward * self.reached - self._social_cost()
        self._report(self.reached)
        if bool(self.reached.any()):
            time = self.episode_length_buf[self.reached].float().mean() * self.step_dt
            self.extras["log"]["time_to_goal_s"] = time
        return reward

    def _social_cost(self) -> Tensor:
        """What touching people and coming close to them costs (N,)."""
        return self.cfg.collision_cost * self.collision + self.cfg.intrusion_cost * self.step_dt * self._intruding

    def _report(self, success: Tensor) -> None:
        self.extras["success"] = success.clone()
        self.extras["collision"] = self.collision.clone()
        self.extras["intrusion_s"] = self.intrusion_s.clone()
        self.extras["log"] = {
            "collisions": self.collision.float().mean(),
            "intrusion_s": self.intrusion_s.mean(),
            "success": success.float().mean(),
        }

    def _reset_task(self, env_ids: Tensor) -> None:
        super()._reset_task(env_ids)
        start = self._starts(env_ids)
        self.crowd.begin(env_ids, start, self._itineraries(env_ids, start), self._walking_speeds(len(env_ids)))
        self.reached[env_ids] = self.collision[env_ids] = self._intruding[env_ids] = False
        self.intrusion_s[env_ids] = 0.0
        self._heels[env_ids] = 0.0
        self._put_people(env_ids)

    def _standing(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Places (n, T, 2) and radii (T,) of what people neither start nor go to [m]."""
        loose = self.loose.data.body_link_pos_w.torch[ids, :, :2] - self.scene.env_origins[ids, None, :2]
        return torch.cat([self._fixture_pose[ids, :-1, :2], loose], dim=1), self._round_radii * self._largest

    def _starts(self, ids: Tensor) -> Tensor:
        """Where people begin (n, P, 2) [m]."""
        standing, radii = self._standing(ids)
        taken = torch.cat([standing, self._pose()[ids, None, :2]], dim=1)
        rover = torch.tensor([self.cfg.start_distance - 2 * BODY_RADIUS], device=self.device)
        # Twice their size: nobody begins an episode in anybody's way.
        sizes = torch.full((self.crowd.position.shape[1],), 2 * BODY_RADIUS)
        return scatter(taken, torch.cat([radii, rover]), sizes, self.room_half, self.cfg.clearance, self.generator)

    def _itineraries(self, ids: Tensor, start: Tensor) -> Tensor:
        """Goals, each at some distance from the one before (n, P, LEGS, 2) [m]."""
        n, people = start.shape[:2]
        standing, radii = self._standing(ids)
        standing = standing.repeat_interleave(people, dim=0)
        distances = torch.cat([radii + BODY_RADIUS + WAYPOINT_CLEARANCE, torch.tensor([LEG_LENGTH]).to(radii)])
        reach = self.room_half - BODY_RADIUS - WAYPOINT_CLEARANCE
        goals = [start.flatten(0, 1)]
        for _ in range(LEGS):
            candidates = reach * self._uniform(n * people, CANDIDATES, 2)
            taken = torch.cat([standing, goals[-1].unsqueeze(1)], dim=1)
            goals.append(first_free(candidates, taken, distances))
        return torch.stack(goals[1:], dim=1).unflatten(0, (n, people))

    def _walking_speeds(self, n: int) -> Tensor:
        """Speeds at which people like to walk (n, P) [m/s]."""
        shape = (n, self.crowd.position.shape[1])
        draw = torch.randn(shape, generator=self.generator, device=self.device)
        return (self.cfg.walking_speed + self.cfg.walking_speed_spread * draw).clamp(min=LEAST_DESIRED_SPEED)
