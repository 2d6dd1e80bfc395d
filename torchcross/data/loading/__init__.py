"""From plans to tensors: the only place that reads pixels."""
