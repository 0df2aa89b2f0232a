"""The default choice of an optimizer, and of the easier problems to solve first."""

from typing import NamedTuple

from trainer.optimizers.base import Optimizer, SmoothObjective
from trainer.optimizers.lbfgs import LBFGS, PreconditionedLBFGS
from trainer.optimizers.newton import Newton

MAX_HESSIAN_SIZE = 1500
"""Up to this many parameters, a Hessian is formed and inverted."""

MAX_NEWTON_WORK = 2**23
"""Newton's method is used up to this many rows x neurons x parameters².

Its iterations are few, and those of L-BFGS cheap. Processor time, Newton and preconditioned L-BFGS:
569 x 30 (5e5) 2.2 and 4.3 ms, 1 797 x 64 (8e6) 17 and 18 with the checks, 2 000 x 100 (2e7) 20 and
15, 5 000 x 300 (5e8) 194 and 58 ms, 20 000 x 16 with 26 classes (2e8) 370 and 140 ms.
"""

MAX_BANK_SIZE = 20_000_000
"""Maximum number of entries in the Hessians of a bank (160 MB)."""

MAX_SPARSE_HESSIAN_SIZE = 100
"""The same limit for sparse X, where gradients are so cheap that Hessians pay off only if small."""


FEW_ROWS, STRONGER_PENALTY = 10, 10.0
"""With fewer rows per parameter, the problem with this multiple of the penalty is solved first.

J can have many minima then, and those near that of the easier problem are lower. 5 000 x 1 000:
J .0858, not .0875 (Newton .0866), in .75 times the time; 20 000 x 5 000: .0366, not .0374, in .6
times the time. Where J has one minimum, it takes .9 to 1.2 times the time (330 and 120 features).
"""


class Choice(NamedTuple):
    """An optimizer, and the easier problems that are solved first.

    These are samples of the rows of the given sizes, or else all rows with alpha times `penalty`,
    unless that is 1. The inverse Hessian of the last sample preconditions L-BFGS.
    """

    optimizer: Optimizer
    samples: tuple[int, ...] = ()
    penalty: float = 1.0


def choose(objective: SmoothObjective, n_parameters: int, n_neurons: int) -> Choice:
    """Choose Newton where Hessians are cheap, else L-BFGS, preconditioned unless d is too large.

    If there are many more rows than a sample needs, the minimum on a sample is close to the
    minimum on all rows, and its Hessian is a preconditioner with which L-BFGS needs only a few
    passes over all rows. The larger sample starts at the minimum on a smaller one.
    """
    are_few = n_parameters <= objective.n_rows < FEW_ROWS * n_parameters
    penalty = STRONGER_PENALTY if are_few and not objective.is_sparse else 1.0
    largest = MAX_SPARSE_HESSIAN_SIZE if objective.is_sparse else MAX_HESSIAN_SIZE
    too_many = n_parameters**2 * n_neurons > MAX_BANK_SIZE
    if too_many or n_parameters > min(largest, max(objective.n_rows, 100)):
        return Choice(LBFGS(), penalty=penalty)
    n_rows = sample_size(n_parameters)
    if objective.n_rows <= 4 * n_rows:
        work = objective.n_rows * n_neurons * n_parameters**2
        if work <= MAX_NEWTON_WORK:
            return Choice(Newton())
        return Choice(PreconditionedLBFGS(), penalty=penalty)
    return Choice(LBFGS(), (n_rows // 8, n_rows))


def sample_size(n_parameters: int) -> int:
    """Number of rows in a sample whose Hessian is close enough to that of all rows."""
    return max(20_000, 100 * n_parameters)
