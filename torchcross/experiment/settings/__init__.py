"""Settings of an experiment: schema, presets, reading and listing."""
