"""Data to train on: scikit-learn's toy data sets by name, tables by path, their preprocessing."""
