"""Inner loops: problems, inner optimisers, engines of the meta-gradient, lanes."""
