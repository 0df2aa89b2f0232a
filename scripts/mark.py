"""Mark a file of the lesson's functions: one line each, what is right, and what is wrong."""

import sys

from trainer.commands.mark import main

if __name__ == "__main__":
    sys.exit(main())
