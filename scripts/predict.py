"""Apply a saved model to tables of any size, in pieces; write probabilities and labels."""

import sys

from trainer.commands.predict import main

if __name__ == "__main__":
    sys.exit(main())
