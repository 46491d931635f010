"""The five senses, computed from what the simulator did since the last look."""
