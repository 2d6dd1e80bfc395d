"""Leave one domain out: which datasets may be sources for a target."""
