"""The body: everything of sage-ext that touches Isaac Lab.

Scenes, the five senses, physics control, snapshots and re-living. Importing this package starts
no simulator; :mod:`sage_envs.launch` says what has to be true before one does.
"""
