"""The estimators: everything that knows scikit-learn's interface."""
