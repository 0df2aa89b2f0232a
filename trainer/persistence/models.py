"""Save and load models without pickle: a file from elsewhere can build estimators, not run code.

The files are skops files. Types that skops does not know to be safe are loaded only if
they are the trainer's own.
"""

import os
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

# What a fitted neuron, alone or in a pipeline with a preprocessor, holds beyond skops' own list.
# The splitters are what a LogisticNeuronCV is commonly told to use: numbers and a seed, no code.
TRUSTED = [
    "numpy.dtype",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.RepeatedStratifiedKFold",
    "sklearn.model_selection._split.ShuffleSplit",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.StratifiedShuffleSplit",
    "trainer.estimators.neuron_cv.LogisticNeuronCV",
    "trainer.estimators.neuron.LogisticNeuron",
    "trainer.core.termination.Termination",
]


def save_model(model: BaseEstimator, path: str | os.PathLike[str]) -> None:
    """Save a fitted model, replacing a file that is there only once the new one is complete.

    Parameters
    ----------
    model : estimator
        A LogisticNeuron, a LogisticNeuronCV, or a Pipeline with one.
    path : path
        The file to write, by convention "….skops".

    Raises
    ------
    ValueError
        If the model holds types that `load_model` would refuse.
    """
    import skops.io

    data = skops.io.dumps(model)
    _refuse_untrusted(skops.io.get_untrusted_types(data=data), "the model")
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def load_model(path: str | os.PathLike[str]) -> Any:
    """Load a model that `save_model` wrote.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    estimator
        Predicts as the model saved did.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a model's, or holds types that are not trusted.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from trainer import LogisticNeuron
    >>> neuron = LogisticNeuron().fit([[0.0], [1.0]], ["no", "yes"])
    >>> with TemporaryDirectory() as folder:
    ...     save_model(neuron, f"{folder}/model.skops")
    ...     again = load_model(f"{folder}/model.skops")
    >>> again.predict([[0.9]]).tolist()
    ['yes']
    """
    import skops.io

    data = Path(path).read_bytes()
    try:
        untrusted = skops.io.get_untrusted_types(data=data)
    except Exception as error:  # a file from elsewhere can be wrong in any way
        raise ValueError(
            f"{path} is not a model file, or is damaged; save_model writes one"
        ) from error
    _refuse_untrusted(untrusted, str(path))
    try:
        model = skops.io.loads(data, trusted=TRUSTED)
    except Exception as error:
        raise ValueError(
            f"{path} is not a model file, or is damaged; save_model writes one"
        ) from error
    if not isinstance(model, BaseEstimator):
        raise ValueError(f"{path} must hold an estimator, got {type(model).__name__}")
    return model


def _refuse_untrusted(found: list[str], where: str) -> None:
    unknown = sorted(set(found) - set(TRUSTED))
    if unknown:
        raise ValueError(
            f"{where} holds types that are not trusted: {', '.join(unknown)}; "
            "if you know them to be safe, use skops.io yourself"
        )
