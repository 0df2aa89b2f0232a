"""Which rows to hold out for early stopping: at random, but by what is in them.

Each row is given a random number that depends on nothing but the seed and its contents,
and the lowest are held out. So equal rows are held out together: none is in the training
and the validation set at once, and a row of weight 2 is just what two equal rows are.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK_ROWS = 8192


def held_out(X: Any, strata: Array, weight: Array | None, fraction: float, seed: int) -> Array:
    """Mask (n,) of the rows held out, about `fraction` of the weight of every stratum.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
        The rows.
    strata : array of shape (n,)
        The stratum of each row, an integer.
    weight : array of shape (n,) or None
        Weight of each row.
    fraction : float
        Share of each stratum's weight to hold out.
    seed : int
        Draws the rows.

    Returns
    -------
    bool array of shape (n,)

    Raises
    ------
    ValueError
        If there is nothing to hold out.
    """
    keys = row_keys(X, strata, seed)
    weight = np.ones(len(keys)) if weight is None else weight.astype(np.float64)
    mask = np.zeros(len(keys), dtype=bool)
    for stratum in np.unique(strata[weight > 0]):
        (rows,) = np.nonzero((strata == stratum) & (weight > 0))
        _, inverse = np.unique(keys[rows], return_inverse=True)
        weights = np.bincount(inverse, weights=weight[rows])
        before = np.cumsum(weights) - weights
        lowest = before < fraction * weights.sum() * (1 - 1e-12)
        lowest[-1] = False  # something is to be kept, be it the only row of its class
        mask[rows] = lowest[inverse]
    if not mask.any():
        raise ValueError(
            "early_stopping needs different rows of a class, to hold out and to keep, got "
            f"n_samples = {len(keys)}, one of each class; give X_val and y_val instead"
        )
    return mask


def row_keys(X: Any, strata: Array, seed: int) -> Array:
    """A random 64-bit number a row, equal for equal rows, dense or sparse.

    It is r + Σ_j mix(x_j)·r_j modulo 2⁶⁴ with random odd r, whose order does not matter, mixed
    once more, by the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable
    pseudorandom number generators", 2014). The bits of round numbers end in zeros, and would
    not take up most of r_j unmixed; r is for a row of zeros, which takes up none.
    """
    factors = np.random.default_rng(seed).integers(2**63, size=X.shape[1] + 2, dtype=np.uint64)
    factors = 2 * factors + np.uint64(1)
    of_columns, of_stratum, of_all = factors[:-2], factors[-2], factors[-1]
    keys = np.empty(X.shape[0], dtype=np.uint64)
    for start in range(0, X.shape[0], BLOCK_ROWS):
        rows = X[start : start + BLOCK_ROWS]
        if isinstance(rows, np.ndarray):
            keys[start : start + BLOCK_ROWS] = (_mixed(_bits(rows)) * of_columns).sum(axis=1)
        else:
            rows = rows.copy()
            rows.sum_duplicates()
            bits = _mixed(_bits(rows.data))
            bits = type(rows)((bits, rows.indices, rows.indptr), shape=rows.shape)
            keys[start : start + BLOCK_ROWS] = bits @ of_columns
    return _mixed(keys + strata.astype(np.uint64) * of_stratum + of_all)


def _mixed(keys: Array) -> Array:
    """SplitMix64's finaliser: other numbers for other keys, and 0 for 0."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        keys = (keys ^ (keys >> np.uint64(shift))) * np.uint64(factor)
    return keys ^ (keys >> np.uint64(31))


def _bits(values: Array) -> Array:
    """The numbers' bits as integers; -0.0 counts as 0.0."""
    return (np.ascontiguousarray(values, dtype=np.float64) + 0.0).view(np.uint64)
