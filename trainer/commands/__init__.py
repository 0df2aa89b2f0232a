"""The programs of the command line: what they read, print and write, and no mathematics."""

COMMANDS = {
    "train": "train a neuron; leave its figures, pictures and model in a folder",
    "predict": "apply a saved model to tables of any size",
    "explain": "how a neuron learns: a guided tour in the terminal",
    "mark": "mark your own functions of the chain rule",
    "export": "write a model as ONNX, or as JSON",
}
"""A line about each, by name; each is a module here."""
