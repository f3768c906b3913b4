"""What training a model takes, from the names and shapes of its tensors alone: no torch, no run."""
