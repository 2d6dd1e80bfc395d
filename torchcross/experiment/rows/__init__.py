"""Rows of the results table: how each method trains, and how it is evaluated on a target."""
