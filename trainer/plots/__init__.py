"""Displays of a neuron: its training, its cost, its probabilities, its decision boundary.

A display follows scikit-learn's convention: `from_estimator` draws at once, `plot(ax=None)`
draws again, `ax_` and `figure_` are what was drawn on. A plot is one file here, a subclass of
`trainer.plots.display.Display`, and one line in `trainer/__init__.py`. Matplotlib is imported
on first use.
"""
