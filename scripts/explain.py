"""The lesson as a guided run: one neuron, its loss, the chain rule, training; a screen a step."""

import sys

from door import enter

if __name__ == "__main__":
    sys.exit(enter(__file__))
