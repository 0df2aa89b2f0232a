"""Write a saved model as ONNX, for programs without Python, or a neuron as JSON, to read."""

import sys

from door import enter

if __name__ == "__main__":
    sys.exit(enter(__file__))
