"""The mathematics: sums over rows, the objective, the training loop. NumPy and SciPy alone."""
