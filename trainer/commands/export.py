"""Write a saved model as ONNX, for programs without Python, or a neuron as JSON.

logistic-neuron export model.skops                        leaves model.onnx
logistic-neuron export neuron.skops --output neuron.json  without a pipeline
"""

from pathlib import Path

import trainer
from trainer.commands.console import Signals, run_program, say
from trainer.commands.options import Parser, check_model


def main(argv: list[str] | None = None, program: str = "export.py") -> int:
    """Run the command line; the exit status."""
    return run_program(program, work, argv)


def work(arguments: list[str], signals: Signals) -> int:
    """Load, write, say where."""
    options = make_parser().parse_args(arguments)
    check_model(options.model)
    written = export(options.model, options.output or options.model.with_suffix(".onnx"))
    signals.finishing = True
    say(f"Written to {written}")
    return 0


def make_parser() -> Parser:
    """The command line."""
    parser = Parser(__doc__)
    parser.add_argument("model", type=Path, help="a file that save_model wrote")
    what = "the file to write, ending in .onnx or .json (default: the model's name with .onnx)"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=what)
    return parser


def export(model: Path, output: Path) -> Path:
    """Load, and write in the format that the ending names."""
    if output.suffix.lower() not in (".onnx", ".json"):
        raise ValueError(f"--output must end in .onnx or .json, got {output.name!r}")
    if not output.parent.is_dir():
        raise ValueError(
            f"--output: there is no folder {output.parent}; make it, or choose another"
        )
    found = trainer.load_model(model)
    if output.suffix.lower() == ".onnx":
        trainer.to_onnx(found, output)
    elif isinstance(found, trainer.LogisticNeuron):
        trainer.save_model(found, output)
    else:
        raise ValueError(
            f"a JSON file holds a neuron alone, and {model} a {type(found).__name__}; choose .onnx"
        )
    return output
