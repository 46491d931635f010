"""Learning agents that every task shares: rsl_rl's PPO on our observations, and a config to begin from."""
