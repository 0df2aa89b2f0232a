"""Apply a saved model to tables of any size, in pieces; write probabilities and labels."""

import sys

from door import enter

if __name__ == "__main__":
    sys.exit(enter(__file__))
