"""From scripts/ into the package, or a sentence if it is not there."""

import sys
from os.path import basename


def enter(file: str) -> int:
    """Run the program of the package that a script is named after; the exit status."""
    program = basename(file)
    try:
        from trainer.__main__ import run
    except ImportError as error:
        print(
            f"{program}: error: {error}; install the package (python -m pip install -e .), in an "
            "environment without another package named trainer",
            file=sys.stderr,
        )
        return 2
    return run(program.removesuffix(".py"), program, sys.argv[1:])
