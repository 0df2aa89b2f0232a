"""Write a saved model as ONNX, for programs without Python, or a neuron as JSON, to read.

python scripts/export.py runs/breast_cancer/model.skops                leaves model.onnx beside it
python scripts/export.py neuron.skops --output neuron.json             a neuron without a pipeline
"""

import argparse
import sys
from pathlib import Path

import trainer
from trainer.commands.options import Parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    try:
        options = make_parser().parse_args(argv)
        written = export(options.model, options.output or options.model.with_suffix(".onnx"))
        print(f"Written to {written}")
    except (ValueError, OSError, ImportError) as error:
        print(f"export.py: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("export.py: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


def make_parser() -> Parser:
    """The command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = Parser(
        prog="export.py", description=__doc__, formatter_class=formatter, allow_abbrev=False
    )
    parser.add_argument("model", type=Path, help="a file that save_model wrote")
    what = "the file to write, ending in .onnx or .json (default: the model's name with .onnx)"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=what)
    return parser


def export(model: Path, output: Path) -> Path:
    """Load, and write in the format that the ending names."""
    if output.suffix.lower() not in (".onnx", ".json"):
        raise ValueError(f"--output must end in .onnx or .json, got {output.name!r}")
    if output.suffix.lower() == ".json":
        trainer.save_model(trainer.load_model(model), output)
    else:
        trainer.to_onnx(trainer.load_model(model), output)
    return output


if __name__ == "__main__":
    sys.exit(main())
