"""The lesson's functions, bodies left out. Fill them in and have them marked.

python scripts/mark.py docs/exercises.py

Work from top to bottom. Write for plain numbers; with NumPy's functions (np.exp, not math.exp)
most of them take batches, too (a batch is an array of several samples). Try each on the lesson's
point, x = 1, y = 1, w = 0.3, b = 0.3, before you have it marked: `python scripts/explain.py` prints
the values.
"""

import numpy as np  # noqa: F401


def sigmoid(z):
    """Logistic function of z, a number between 0 and 1; sigmoid(0) is 0.5.

    Also consider z = -1000: exp(1000) is larger than any number that a computer stores.
    """
    ...


def z(x, w, b):
    """Weighted sum of the input x, with weight w and bias b."""
    ...


def h(x, w, b):
    """Output of the neuron: use sigmoid and z."""
    ...


def l(y, sigma):  # noqa: E743
    """Squared error of the output sigma for the target y."""
    ...


def dl_dsig(y, sigma):
    """Derivative of l with respect to sigma."""
    ...


def dsig_dz(z):
    """Derivative of sigmoid with respect to z; write it with sigmoid(z)."""
    ...


def dz_dw(x):
    """Derivative of z with respect to w."""
    ...


def dz_db():
    """Derivative of z with respect to b."""
    ...


def dJ_dw(x, y, w, b):
    """Derivative of the cost with respect to w: by the chain rule, a product of three factors.

    For one sample J is l. For a batch J is the mean of l: take np.mean of the products.
    (Optional, for several inputs a sample: x.T @ ... / len(y).)
    """
    ...


def dJ_db(x, y, w, b):
    """Derivative of the cost with respect to b."""
    ...
