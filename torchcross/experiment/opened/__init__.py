"""A finished run in use: its rows as algorithms, and their predictions of one's own images."""
