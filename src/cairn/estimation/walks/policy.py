"""Policies of reinforcement learning: a few layers over a vector of observations."""

from cairn.estimation.subject import Subject
from cairn.estimation.tape import Tape


def policy(tape: Tape, subject: Subject) -> None:
    """Every matrix once for each sample, with an activation function after it."""
    rows = float(tape.plan.batch)
    for name, shape in subject.tensors.items():
        if len(shape) == 2:
            tape.linear(name.rpartition(".")[0].rpartition(".")[2], rows, shape[1], shape[0])
            tape.keep(rows * shape[0], tape.plan.narrow)
