"""Checks before training: is the gradient right, and how much memory does a step take?"""
