"""The lesson as a guided run: one neuron, its loss, the chain rule, training; a screen a step."""

import sys

from trainer.commands.explain import main

if __name__ == "__main__":
    sys.exit(main())
