"""Mark a file of the lesson's functions: one line each, what is right, and what is wrong."""

import sys

from door import enter

if __name__ == "__main__":
    sys.exit(enter(__file__))
