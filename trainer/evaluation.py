"""How good a classifier's probabilities and labels are, beside models that anyone can have."""

import warnings
from collections.abc import Mapping
from typing import Any

import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score


def reference_models(X: Any, y: Any) -> dict[str, Any]:
    """Fit the models to beat: the constant probability, and scikit-learn's logistic regression.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training rows, as the neuron gets them.
    y : array-like of shape (n_samples,)
        Labels.

    Returns
    -------
    dict
        "constant" and "LogisticRegression", fitted.

    Warns
    -----
    ConvergenceWarning
        If LogisticRegression did not converge in 1000 iterations.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        regression = LogisticRegression(max_iter=1000).fit(X, y)
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        message = "LogisticRegression did not converge in 1000 iterations; scale the features"
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    constant = DummyClassifier(strategy="prior").fit(X, y)
    return {"constant": constant, "LogisticRegression": regression}


def compare_models(
    models: Mapping[str, Any], rows: Mapping[str, tuple[Any, Any]], pos_label: Any
) -> pd.DataFrame:
    """Table the figures of several models on several sets of rows.

    Parameters
    ----------
    models : mapping of str to classifier
        Fitted classifiers of two classes, by name.
    rows : mapping of str to (X, y)
        Sets of rows, by name, with both classes in each.
    pos_label : object
        The class whose probability is judged.

    Returns
    -------
    DataFrame
        A line for each set and model; columns Brier (mean squared error of the
        probability, 0 to 1, the less the better), accuracy, ROC AUC and log loss.

    Examples
    --------
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"]
    >>> table = compare_models(reference_models(X, y), {"train": (X, y)}, pos_label="yes")
    >>> table.loc[("train", "constant")].round(4).to_dict()
    {'Brier': 0.25, 'accuracy': 0.5, 'ROC AUC': 0.5, 'log loss': 0.6931}
    """
    lines = {}
    for part, (X, y) in rows.items():
        positive = pd.Series(y).eq(pos_label).to_numpy()
        for name, model in models.items():
            p = model.predict_proba(X)[:, list(model.classes_).index(pos_label)]
            lines[part, name] = {
                "Brier": brier_score_loss(positive, p),
                "accuracy": accuracy_score(y, model.predict(X)),
                "ROC AUC": roc_auc_score(positive, p),
                "log loss": log_loss(positive, p),
            }
    return pd.DataFrame.from_dict(lines, orient="index", dtype=float)
