"""Plans of episodes in a file."""
