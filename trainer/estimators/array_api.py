"""The bridge to scikit-learn's `array_api_dispatch`: rows of PyTorch, CuPy, ... and back again.

Training and prediction are computed by NumPy, on the CPU, whatever the rows are. What a fit
leaves and what a prediction returns is in the namespace and on the device of X; text, which
other libraries do not have, stays in NumPy.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import get_config
from sklearn.utils._array_api import get_namespace_and_device, move_to

Array = npt.NDArray[Any]


def _is_foreign(array: Any) -> bool:
    """Whether it is an array of another library than NumPy."""
    return not isinstance(array, np.ndarray) and hasattr(array, "__dlpack__")


def as_numpy(array: Any) -> Any:
    """An array of any library as NumPy's; anything else, such as a list or a frame, as it is."""
    return move_to(array, xp=np, device="cpu") if _is_foreign(array) else array


def dispatched(*arrays: Any) -> tuple[Any, ...]:
    """Arrays as NumPy's if `array_api_dispatch` is set; else as they are."""
    return tuple(map(as_numpy, arrays)) if get_config()["array_api_dispatch"] else arrays


def placed_like(X: Any) -> Callable[[Any], Any]:
    """The function that moves a NumPy array where X is, if `array_api_dispatch` is set."""
    if not (get_config()["array_api_dispatch"] and _is_foreign(X)):
        return lambda array: array
    xp, _, device = get_namespace_and_device(X)
    return lambda array: (
        array if array.dtype.kind in "OSU" else move_to(array, xp=xp, device=device)
    )
