"""A module as pure values, with its BatchNorm policies, dropout and fast operations."""
