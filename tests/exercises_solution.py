"""A solution of docs/exercises.py that gets full marks."""

import numpy as np


def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(np.asarray(z) < 0, e, 1) / (1 + e)


def z(x, w, b):
    return np.dot(x, w) + b


def h(x, w, b):
    return sigmoid(z(x, w, b))


def l(y, sigma):  # noqa: E743
    return (y - sigma) ** 2


def dl_dsig(y, sigma):
    return 2 * (sigma - y)


def dsig_dz(z):
    return sigmoid(z) * (1 - sigmoid(z))


def dz_dw(x):
    return x


def dz_db():
    return 1


def dJ_dw(x, y, w, b):
    dl_dz = dl_dsig(y, h(x, w, b)) * dsig_dz(z(x, w, b))
    return np.dot(np.transpose(dz_dw(x)), dl_dz) / np.size(y)


def dJ_db(x, y, w, b):
    return np.mean(dl_dsig(y, h(x, w, b)) * dsig_dz(z(x, w, b)) * dz_db())
