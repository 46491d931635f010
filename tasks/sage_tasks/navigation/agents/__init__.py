"""Learning agents of the navigation tasks."""
