"""Inside Omniverse Kit: what the extension keeps, and its window. Only ``window`` and ``menu`` need ``omni``."""
