"""Train a logistic neuron; leave its pictures, figures and the model in a folder."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback while the rest is imported

import sys

from trainer.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
