"""The main job against the published stack, from files to scores."""
