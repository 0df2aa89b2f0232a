"""scikit-learn's scorers for rows that may lack some of the classes."""

from inspect import signature
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import get_scorer, make_scorer


def scorer_for(scoring: Any, classes: npt.NDArray[Any]) -> Any:
    """A scorer whose metric knows the classes, as `labels` and `pos_label`, where it takes them.

    Parameters
    ----------
    scoring : str or callable
        A scorer, or its name.
    classes : array of shape (n_classes,)
        The classes of the estimator to score; of two, the second is the positive one.

    Returns
    -------
    callable
        ``scorer(estimator, X, y)``.

    Examples
    --------
    >>> from trainer import LogisticNeuron
    >>> neuron = LogisticNeuron().fit([[0.0], [1.0]], ["no", "yes"])
    >>> score = scorer_for("neg_brier_score", neuron.classes_)(neuron, [[1.0]], ["yes"])
    >>> bool(-0.25 < score < 0)
    True
    """
    scorer = get_scorer(scoring)
    if not hasattr(scorer, "_score_func"):
        return scorer
    takes, given = signature(scorer._score_func).parameters, dict(scorer._kwargs)
    if "labels" not in takes:
        return scorer
    if len(classes) == 2 and "pos_label" in takes:
        given.setdefault("pos_label", classes[-1])
    return make_scorer(
        scorer._score_func,
        response_method=scorer._response_method,
        greater_is_better=scorer._sign == 1,
        **{"labels": np.asarray(classes)} | given,
    )
