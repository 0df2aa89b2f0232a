"""How sure the coefficients are: standard errors that hold where the model does not.

The neuron minimises a mean over rows, so other rows of the same kind would have moved its
parameters θ by A⁻¹ times the mean of their gradients: A, the curvature of J, says how far a
slope moves θ, and B, the covariance of the rows' gradients, how much slopes vary by chance.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri
from sklearn.utils.validation import check_is_fitted

from trainer.core.objective import Objective
from trainer.estimators.data import in_arrays, prepare
from trainer.estimators.parameters import has_intercept, pack, parameter_names

Array = npt.NDArray[Any]

FARTHEST = 0.25
"""Standard errors that θ may lie off the minimum of J: 95 % intervals there hold 94.3 %."""


@np.errstate(all="ignore")
def coefficient_table(
    neuron: Any, X: Any, y: Any, sample_weight: Any = None, *, level: float = 0.95
) -> pd.DataFrame:
    """Table the coefficients of a fitted neuron with standard errors and intervals.

    The covariance of the parameters θ = (w, b) is the Huber-White sandwich::

        cov(θ) = A⁻¹ B A⁻¹ / n
        A = d²J/dθ², penalty included
        B = mean of (g_i - ḡ)(g_i - ḡ)ᵀ with g_i = dl_i/dz · x̃_i, x̃ = (x, 1) and ḡ their mean

    It holds for large n whether or not σ(w·x + b) is the true probability, as the inverse of
    A alone does not: the variance of the labels is read off the residuals. There is no
    correction for small n.

    Parameters
    ----------
    neuron : LogisticNeuron
        Fitted; of a pipeline its last step, with X as that step gets it. Its class weights
        multiply the gradients of their rows, and count no rows; "balanced" ones are taken as
        if they had been given.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows it was trained on.
    y : array-like of shape (n_samples,) or (n_samples, n_classes)
        Their labels, or soft labels.
    sample_weight : array-like of shape (n_samples,), optional
        Their weights. As in `fit`, a weight of 2 is the row twice, so n is the sum of the
        weights. Weights that count nothing, such as inverse probabilities, are not for
        this table: their rows scatter by weight², not by weight.
    level : float, default=0.95
        Share of such intervals that hold the true value; between 0 and 1.

    Returns
    -------
    DataFrame
        A line for each coefficient, by name (x0, x1, ... where X had no names), the
        "intercept" last if there is one; for more than two classes, by class and name.
        Columns: coef, std_err, z = coef / std_err, p (two-sided, of coef = 0, from the
        normal distribution) and the ends `lower` and `upper` of the interval. A column of
        X that is 0 throughout has std_err 0, and no z and p.

    Raises
    ------
    ValueError
        If the neuron is not fitted, the rows are not those it was trained on, training
        ended away from the minimum, or J has no single minimum there (collinear columns
        without a penalty, a saddle).

    Notes
    -----
    The true value is where J, penalty included, is least over all the rows there could be:
    alpha > 0 draws it towards 0, and no interval here makes up for that. The penalty is also
    why ḡ is taken off: at the minimum it is -alpha w, the same for every sample, and what does
    not vary is no part of a variance.

    Time and memory grow with the square of n_features, also where X is sparse.

    References
    ----------
    Huber, "The behavior of maximum likelihood estimates under nonstandard conditions",
    Berkeley Symposium 1967; White, "Maximum likelihood estimation of misspecified models",
    Econometrica 1982.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import StandardScaler
    >>> from trainer import LogisticNeuron, coefficient_table
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> X = X[["mean radius", "mean texture"]]
    >>> X = StandardScaler().set_output(transform="pandas").fit_transform(X)
    >>> table = coefficient_table(LogisticNeuron().fit(X, y), X, y)
    >>> table.round(2).rename_axis(None)
                  coef  std_err      z    p  lower  upper
    mean radius  -2.96     0.21 -14.45  0.0  -3.37  -2.56
    mean texture -0.74     0.13  -5.76  0.0  -0.99  -0.49
    intercept     0.68     0.13   5.34  0.0   0.43   0.93
    """
    if not isinstance(level, int | float | np.number) or not 0 < level < 1:
        raise ValueError(f"level must be > 0 and < 1, such as 0.95, got {level!r}")
    objective, scores, n_rows, theta = _at_the_end(neuron, X, y, sample_weight)
    names = parameter_names(getattr(neuron, "feature_names_in_", None), neuron.n_features_in_)
    if not has_intercept(neuron):
        del names[-1]
    std_err = _standard_errors(objective, scores, n_rows, theta, names).T.ravel()
    coef = theta[: len(names)].T.ravel()
    z = np.divide(coef, std_err, out=np.full_like(coef, np.nan), where=std_err > 0)
    reach = ndtri((1 + level) / 2) * std_err
    index = pd.Index(names, name="coefficient")
    if theta.shape[1] > 1:
        index = pd.MultiIndex.from_product([neuron.classes_, names], names=["class", index.name])
    return pd.DataFrame(
        {
            "coef": coef,
            "std_err": std_err,
            "z": z,
            "p": 2 * ndtr(-np.abs(z)),
            "lower": coef - reach,
            "upper": coef + reach,
        },
        index=index,
    )


def _at_the_end(
    neuron: Any, X: Any, y: Any, sample_weight: Any
) -> tuple[Objective, Objective, float, Array]:
    """The objective, the objective of the rows' variances, how many rows count, θ (d + 1, K).

    A row with class weight c contributes c·g to the gradient, and so c² to its variance; the
    second objective has these squared weights.
    """
    check_is_fitted(neuron)
    data = prepare(neuron, X, y, sample_weight, classes=neuron.classes_)
    objective = scores = data.objective(neuron.alpha_, has_intercept(neuron))
    theta = pack(neuron)
    if data.targets is None:
        if neuron.class_weight is not None:
            raise ValueError(
                "X must be an array or a frame where class_weight is set, got a source of rows"
            )
        return objective, scores, float(objective.rows.weight_sum[0]), theta
    counts = np.ones(data.rows.n_rows, dtype=data.dtype) if data.weight is None else data.weight
    if neuron.class_weight is not None and data.targets.weight is not None:
        squared = data.targets.weight**2 / np.where(counts > 0, counts, 1)
        scores = in_arrays(
            data.X, data.targets._replace(weight=squared), None, data.dtype
        ).objective(neuron.alpha_, has_intercept(neuron))
    return objective, scores, float(counts.sum(dtype=np.float64)), theta


def _standard_errors(
    objective: Objective, scores: Objective, n_rows: float, theta: Array, names: list[str]
) -> Array:
    """Square roots of the sandwich's diagonal (len(names), K)."""
    size, n_neurons = len(names), theta.shape[1]
    _, slope, hessian = objective.value_gradient_hessian(theta)
    _, total = scores.value_and_gradient(theta)
    products = scores.score_products(theta)
    mean_score = total.copy()
    mean_score[:-1] -= objective.alpha * theta[:-1]
    n, spread = (float(of.rows.weight_sum[0]) for of in (objective, scores))
    rounding = 10 * size * float(np.finfo(objective.rows.dtype).eps)
    errors = np.empty((size, n_neurons))
    for k in range(n_neurons):
        inverse = _inverse(hessian[:size, :size, k], rounding, names)
        scatter = products[:size, :size, k] - np.outer(mean_score[:size, k], mean_score[:size, k])
        # the penalty is a part of each row's share: all rows weighing alike, these two cancel
        scatter += np.outer(total[:size, k], total[:size, k])
        scatter *= spread / n
        scatter -= n / n_rows * np.outer(slope[:size, k], slope[:size, k])
        moved = inverse @ scatter
        _refuse_another_minimum(slope[:size, k], inverse, float(np.einsum("ii", moved) / n))
        variance = np.einsum("ij,ji->i", moved, inverse) / n
        errors[:, k] = np.sqrt(np.maximum(variance, 0))  # rounding may leave a 0 below 0
    return errors


def _inverse(hessian: Array, rounding: float, names: list[str]) -> Array:
    """A⁻¹, or an error that names what stands in the way of a minimum.

    A is first brought to a diagonal of ones: whether it is singular must not hang on units.
    """
    diagonal = np.abs(np.diag(hessian))
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1))
    scaled = hessian / np.outer(scale, scale)
    lowest = np.linalg.eigvalsh(scaled)[0]
    if lowest <= rounding:
        share = np.abs(np.linalg.eigh(scaled)[1][:, 0])
        involved = [names[i] for i in np.argsort(-share) if share[i] > 0.1][:5]
        raise ValueError(
            "d²J/dθ² must be positive definite at the fitted coefficients, got a smallest "
            f"eigenvalue of {lowest:.2g} (of A with its diagonal brought to 1), along "
            f"{', '.join(involved)}; "
            + (
                "a saddle on these rows: if they are those of fit, train again from another init"
                if lowest < -rounding
                else "set alpha > 0, or drop columns that follow from others"
            )
        )
    return np.linalg.inv(scaled) / np.outer(scale, scale)


def _refuse_another_minimum(slope: Array, inverse: Array, chance: float) -> None:
    """Raise where θ is not the minimum of J on these rows.

    A Newton step would lower J by half of dJᵀA⁻¹dJ. The rows' being a sample is worth half of
    tr(A⁻¹B)/n: their ratio is the squared distance from the minimum in standard errors.
    """
    gain = float(slope @ inverse @ slope)
    distance = np.sqrt(max(gain, 0.0) / max(chance, np.finfo(np.float64).tiny))
    if distance > FARTHEST:
        raise ValueError(
            "the neuron must stand at the minimum of J on the rows given, within "
            f"{FARTHEST} standard errors, got {distance:.2g}; give X, y and sample_weight as in "
            "fit, and if they were, train on to a smaller tol, without early stopping, and on "
            "separable data with alpha > 0"
        )
