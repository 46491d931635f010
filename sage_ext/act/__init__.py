"""Learning to act, and who acts."""
