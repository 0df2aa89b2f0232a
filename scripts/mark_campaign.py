"""Try `trainer.mark` on generated answers: right ones of many styles, and all slips it knows.

python scripts/mark_campaign.py                          10 000 right ones, all slips, all pairs
python scripts/mark_campaign.py --right 500 --pairs 100  a sample

The answers are source code, written here without use of the marker's formulas. A right one must get
full marks; of a wrong one the verdict must name the slips that were put in.
"""

import argparse
import itertools
import math
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import trainer
from trainer.commands.options import Parser, number

# A style of code: how each piece is written, and what can go wrong in it. `u` is dl/dz.
PIECES = {
    "rows": {
        "z": "x @ w + b",
        "w": "x.T @ u",
        "b": "u.sum()",
        "n": "len(y)",
        "d": "x.shape[1]",
    },
    "weighted rows": {
        "z": "np.dot(x, w) + b",
        "w": "(x * u[:, None]).sum(axis=0)",
        "b": "np.sum(u)",
        "n": "x.shape[0]",
        "d": "x.shape[1]",
    },
    "einsum": {
        "z": "np.einsum('ij,j->i', x, w) + b",
        "w": "np.einsum('i,ij->j', u, x)",
        "b": "np.einsum('i->', u)",
        "n": "y.size",
        "d": "w.size",
    },
    "columns": {
        "z": "x @ w.reshape(-1, 1) + b",
        "w": "x.T @ u",
        "b": "u.sum(axis=0)",
        "n": "y.shape[0]",
        "d": "w.shape[0]",
    },
    "numbers": {
        "z": "w * x + b",
        "w": "np.sum(u * x)",
        "b": "np.sum(u)",
        "n": "len(x)",
    },
    "lists": {
        "z": "[sum(w[j] * row[j] for j in range(len(w))) + b for row in x]",
        "w": "[sum(u[i] * x[i][j] for i in range(len(x))) for j in range(len(w))]",
        "b": "sum(u)",
        "n": "len(x)",
        "d": "len(w)",
    },
    "scalars": {"z": "w * x + b", "w": "u * x", "b": "u"},
}
ROWS = ("rows", "weighted rows", "einsum", "columns", "lists")
BY_SAMPLE = ("scalars", "lists")

SIGMOIDS = {
    "np": [
        "1 / (1 + np.exp(-z))",
        "np.where(z < 0, np.exp(-abs(z)), 1) / (1 + np.exp(-abs(z)))",
        "0.5 + 0.5 * np.tanh(z / 2)",
        "np.exp(-np.logaddexp(0, -z))",
    ],
    "math": [
        "1 / (1 + math.exp(-z)) if z > 0 else math.exp(z) / (1 + math.exp(z))",
        "(1 if z > 0 else math.exp(-abs(z))) / (1 + math.exp(-abs(z)))",
        "(1 + math.tanh(z / 2)) / 2",
    ],
}
OVERFLOWS = {"np": "np.exp(z) / (1 + np.exp(z))", "math": "1 / (1 + math.exp(-z))"}
RESIDUALS = ["{two}(s - y)", "-{two}(y - s)", "{two}s - {two}y", "((s - y) * {half}) / 0.5"]
SLOPES = ["s * (1 - s)", "s - s ** 2", "(1 - s) * s", "s * s0(-z)"]

# What a slip does to the code: piece, and its text there; sites as in trainer's catalogue.
EDITS = {
    "two": ("two", ""),
    "sign": ("residual", "{two}(y - s)"),
    "no slope": ("slope", "1"),
    "slope at z": ("slope", "z * (1 - z)"),
    "tanh": ("slope", "1 - s ** 2"),
    "cross-entropy": ("upstream", "s - y"),
    "twice": ("s", "s0(s0(z))"),
    "slope twice": ("slope", "s0(s) * (1 - s0(s))"),
    "x for b": ("z", "w * b + x"),
    "w for b": ("z", "x * b + w"),
    "no x": ("w", "{b}"),
    "transposed": ("w", "x @ u"),
    "bias times x": ("b", "{w}"),
    "sum": ("n", "1"),
    "mean twice": ("n", "{n} ** 2"),
    "n - 1": ("n", "({n} - 1)"),
    "d for n": ("n", "{d}"),
    "n times d": ("n", "({n} * {d})"),
    "no penalty": ("penalty", ""),
    "half penalty": ("penalty", " + alpha / 2 * w"),
    "penalty over n": ("penalty", " + alpha * w / {n}"),
    "penalty on b": ("penalty_b", " + alpha * b"),
    "overflow": ("sigmoid", ""),
}


class Answer(NamedTuple):
    """An answer: its source, the slips in it, and what it is an answer to."""

    source: str
    slips: frozenset[str]
    of: str
    style: str


def possible(slips: frozenset[str], of: str, style: str, penalised: bool) -> bool:
    """Whether the slips can be made in code of this style, and together."""
    sites = [EDITS[slip][0] for slip in slips]
    together = {frozenset(pair) for pair in itertools.combinations(sites, 2)}
    exclusive = [{"upstream", "two"}, {"upstream", "slope"}, {"upstream", "residual"}]
    exclusive += [{"s", "slope"}] if "slope twice" in slips else []
    exclusive += [{"z", "s"}, {"z", "slope"}] if slips >= {"slope twice"} else []
    if len(set(sites)) < len(sites) or any(pair in together for pair in map(frozenset, exclusive)):
        return False
    needs = {
        "no x": "w", "transposed": "w", "no penalty": "w", "half penalty": "w",
        "penalty over n": "w", "bias times x": "b", "penalty on b": "b",
    }  # fmt: skip
    if any(needs.get(slip, "") not in parts_of(of) for slip in slips):
        return False
    if any(EDITS[slip][0].startswith("penalty") for slip in slips) and not penalised:
        return False
    if style == "scalars" and ({"n", "penalty over n"} & {*sites, *slips}):
        return False
    if style not in ROWS and slips & {"transposed", "d for n", "n times d"}:
        return False
    if style not in ("numbers", "scalars") and slips & {"x for b", "w for b"}:
        return False
    return not (style in ("lists", "columns") and slips & {"transposed", "bias times x"})


def parts_of(of: str) -> str:
    """What the function returns: dJ/dw, dJ/db, or both."""
    return {"dJ_dw": "w", "dJ_db": "b"}.get(of, "wb")


def write(rng: Any, slips: frozenset[str] = frozenset(), **fixed: Any) -> Answer | None:
    """An answer of random style with these slips, or None where they cannot be made."""

    def choose(name: str, values: Any) -> Any:
        return fixed[name] if name in fixed else values[int(rng.integers(len(values)))]

    style = choose("style", list(PIECES))
    of = choose("of", ["dJ_dw", "dJ_db", "backpropagation"])
    penalised = choose("penalised", [False, True])
    if not possible(slips, of, style, penalised):
        return None
    library = "math" if style in BY_SAMPLE else "np"
    pieces = PIECES[style] | {
        "sigmoid": choose("sigmoid", SIGMOIDS[library]),
        "s": "s0(z)",
        "two": "2 * ",
        "residual": choose("residual", RESIDUALS),
        # with σ applied twice, σ(-z) is not 1 - σ
        "slope": choose("slope", SLOPES[:3] if "twice" in slips else SLOPES),
        "upstream": choose("upstream", ["({residual}) * ({slope})", "({slope}) * ({residual})"]),
        "penalty": " + alpha * w" if penalised else "",
        "penalty_b": "",
    }
    for slip in slips:
        site, text = EDITS[slip]
        if slip == "overflow":
            text = OVERFLOWS[library]
        for name in ("n", "d", "w", "b"):
            text = text.replace(f"{{{name}}}", PIECES[style].get(name, ""))
        pieces[site] = text
    half = "1" if pieces["two"] else "0.5"
    residual = pieces["residual"].replace("{two}", pieces["two"]).replace("{half}", half)
    pieces["upstream"] = (
        pieces["upstream"].replace("{residual}", residual).replace("{slope}", pieces["slope"])
    )
    return Answer(assemble(rng, pieces, of, style, penalised), slips, of, style)


def assemble(rng: Any, pieces: dict[str, str], of: str, style: str, penalised: bool) -> str:
    """Source code of the pieces, with names and order of arguments, and what is returned."""
    names = {"x": "x", "y": "y", "w": "w", "b": "b", "alpha": "alpha"}
    if rng.random() < 0.5:
        names |= {"x": "X", "y": "t", "w": "weights", "b": "bias"}
    order = ["x", "y", "w", "b"]
    if rng.random() < 0.5:
        rng.shuffle(order)
    order += ["alpha"] if penalised else []
    single = style not in BY_SAMPLE and rng.random() < 0.3
    lines = [f"def s0(z):\n    return {pieces['sigmoid']}\n"]
    lines.append(f"def {of}({', '.join(names[name] for name in order)}):")
    for name in ("x", "y", "w", "b"):
        value = names[name]
        if single:
            value = f"np.asarray({value}, dtype=np.float32)"
        elif style == "lists" and name != "b":
            value = f"np.asarray({value}).tolist()"
        elif style == "columns" and name == "y":
            value = f"{value}.reshape(-1, 1)"
        if style == "columns" and single and name == "y":
            value += ".reshape(-1, 1)"
        lines.append(f"    {name} = {value}")
    if style != "scalars" and "x @ u" not in pieces["w"] and rng.random() < 0.3:
        lines.append("    x, y = x[::-1], y[::-1]")  # another order of the sum
    lines.append(f"    z = {pieces['z']}")
    if style == "lists":
        lines += [
            "    u = []",
            "    for z, y in zip(z, y):",
            f"        s = {pieces['s']}",
            f"        u.append({pieces['upstream']})",
        ]
    else:
        lines += [f"    s = {pieces['s']}", f"    u = {pieces['upstream']}"]
    over = f" / {pieces['n']}" if "n" in pieces else ""
    if style == "lists":
        lines.append(f"    dw = np.array({pieces['w']}){over}")
        pieces["penalty"] = pieces["penalty"].replace("* w", "* np.array(w)")
    else:
        lines.append(f"    dw = ({pieces['w']}){over}")
    if style == "columns":
        pieces["penalty"] = pieces["penalty"].replace("* w", "* w.reshape(-1, 1)")
        if rng.random() < 0.5:
            pieces["penalty"] += "\n    dw = dw.ravel()"
    lines.append(f"    dw = dw{pieces['penalty']}")
    lines.append(f"    db = ({pieces['b']}){over}{pieces['penalty_b']}")
    both = ["dw, db", "[dw, db]"]
    if style not in ("columns",):
        both.append("np.append(dw, db)")
    returned = {"dJ_dw": "dw", "dJ_db": "db"}.get(of) or both[int(rng.integers(len(both)))]
    if of == "dJ_dw" and style != "scalars" and rng.random() < 0.2:
        returned = "np.asarray(dw).tolist()"
    return "\n".join([*lines, f"    return {returned}"])


def mark(answer: Answer) -> Any:
    """The mark of an answer."""
    names: dict[str, Any] = {"np": np, "math": math}
    exec(answer.source, names)
    return trainer.mark(names[answer.of], answer.of)


def right_answers(rng: Any, count: int) -> Iterator[Answer]:
    """Right answers of random styles."""
    for _ in range(count):
        answer = write(rng)
        assert answer is not None
        yield answer


def wrong_answers(rng: Any, size: int, limit: int | None = None) -> Iterator[Answer]:
    """Each slip, or each pair, in every style and for each gradient where it can be made."""
    sets = [frozenset(slips) for slips in itertools.combinations(EDITS, size)]
    written = [
        answer
        for slips in sets
        for style in PIECES
        for of in ("dJ_dw", "dJ_db", "backpropagation")
        for penalised in (False, True)
        if (answer := write(rng, slips, style=style, of=of, penalised=penalised))
    ]
    if limit is not None and limit < len(written):
        written = [written[k] for k in rng.choice(len(written), limit, replace=False)]
    return iter(written)


# The same code, two names: without the factor 2 and dσ/dz it is the gradient of cross-entropy.
SAME = {frozenset(["two", "no slope"]): frozenset(["cross-entropy"])}


def named(answer: Answer, found: Any) -> bool:
    """Whether the verdict names the slips that were put in, and no other."""
    return set(found.slips) in (answer.slips, SAME.get(answer.slips))


def run(options: argparse.Namespace) -> int:
    """The campaign; the exit status, 1 if it shows a fault of the marker."""
    rng = np.random.default_rng(options.seed)
    accused = [a for a in right_answers(rng, options.right) if not mark(a).right]
    print(
        f"right answers          {options.right - len(accused):>6} of {options.right:>6} accepted"
    )
    shares = []
    for size, what in ((1, "single slips"), (2, "pairs of slips")):
        answers = list(wrong_answers(rng, size, options.pairs if size == 2 else options.singles))
        missed = [(answer, found) for answer in answers if not named(answer, found := mark(answer))]
        hits = len(answers) - len(missed)
        shares.append(hits / max(len(answers), 1))
        print(f"{what:<22} {hits:>6} of {len(answers):>6} named ({shares[-1]:.1%})")
        for answer, found in missed[: options.show]:
            made = ", ".join(sorted(answer.slips))
            print(f"\n{answer.source}\n# {made} ({answer.style}): {found}\n")
    for answer in accused[: options.show]:
        print(f"\n{answer.source}\n# right ({answer.style}), but: {mark(answer)}\n")
    return int(bool(accused) or shares[0] < 1 or shares[1] < 0.95)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = Parser(__doc__, prog="mark_campaign.py")
    count = number(int, "an integer >= 0", lambda v: v >= 0)
    for name, default, what in (
        ("right", 10_000, "right answers"),
        ("singles", 10**9, "answers with one slip, drawn from all"),
        ("pairs", 10**9, "answers with two slips, drawn from all"),
        ("show", 3, "answers of each kind that are printed if the marker is wrong"),
        ("seed", 0, "random seed"),
    ):
        parser.add_argument(
            f"--{name}", type=count, default=default, help=f"{what} (default: %(default)s)"
        )
    try:
        options = parser.parse_args(argv)
    except ValueError as error:
        print(f"mark_campaign.py: error: {error}", file=sys.stderr)
        return 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run(options)


if __name__ == "__main__":
    sys.exit(main())
