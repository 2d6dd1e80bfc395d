"""From a request to the plans of episodes. Samplers read labels, never pixels."""
