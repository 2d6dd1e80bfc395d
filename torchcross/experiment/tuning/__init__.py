"""A search for the settings of each row: what is tried, how it is scored, what is chosen."""
