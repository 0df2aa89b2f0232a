"""Write a saved model as ONNX, for programs without Python, or a neuron as JSON, to read."""

import sys

from trainer.commands.export import main

if __name__ == "__main__":
    sys.exit(main())
