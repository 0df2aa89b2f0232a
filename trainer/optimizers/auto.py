"""The default: which optimizer suits a problem, and which samples to solve before it."""

from typing import NamedTuple

from trainer.optimizers.base import Optimizer, SmoothObjective
from trainer.optimizers.lbfgs import LBFGS
from trainer.optimizers.newton import Newton

MAX_HESSIAN_SIZE = 1500
"""Up to this many parameters a Hessian is formed and inverted."""

MAX_BANK_SIZE = 20_000_000
"""Largest number of entries of the Hessians of a whole bank (160 MB)."""

MAX_SPARSE_HESSIAN_SIZE = 100
"""The same for sparse X: there a gradient costs so little that Hessians do not pay."""


class Choice(NamedTuple):
    """An optimizer, and the sizes of the samples that are solved first.

    With samples, the Hessian of the last one, inverted, preconditions L-BFGS.
    """

    optimizer: Optimizer
    samples: tuple[int, ...] = ()


def choose(objective: SmoothObjective, n_parameters: int, n_neurons: int) -> Choice:
    """Newton for few rows, L-BFGS for many features, both for many rows.

    Where there are many more rows than a sample needs, the minimum of a sample lies close to
    that of all rows, and its Hessian is so good a preconditioner that L-BFGS needs only a few
    passes over all rows. A smaller sample gives the larger one its start.
    """
    largest = MAX_SPARSE_HESSIAN_SIZE if objective.is_sparse else MAX_HESSIAN_SIZE
    too_many = n_parameters**2 * n_neurons > MAX_BANK_SIZE
    if too_many or n_parameters > min(largest, max(objective.n_rows, 100)):
        return Choice(LBFGS())
    n_rows = sample_size(n_parameters)
    if objective.n_rows <= 4 * n_rows:
        return Choice(Newton())
    return Choice(LBFGS(), (n_rows // 8, n_rows))


def sample_size(n_parameters: int) -> int:
    """Rows whose Hessian is close enough to that of all rows."""
    return max(20_000, 100 * n_parameters)
