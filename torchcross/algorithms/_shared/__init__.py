"""The machinery that several algorithms share."""
