"""What a step of training takes, by running the real model on tensors without memory.

Shapes flow through the model's own code, forwards, backwards and through the optimizer; what would
be allocated is added up. It is run in a process of its own (`child`), with limits.
"""
