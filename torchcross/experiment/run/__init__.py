"""From an experiment to a run folder with its rows."""
