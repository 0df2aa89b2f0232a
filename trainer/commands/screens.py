"""The screens of `explain`: each a title and a text of at most 80 columns, 20 lines."""

import argparse
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import trainer
from trainer import chain_rule as lesson
from trainer.commands.console import as_typed

WIDTH = 80
MOVE = 0.2  # of w on the second screen: from the lesson's 0.3 to its 0.5
NUDGE = 0.001
SHOWN_STEPS, SHOWN_FEATURES, SHOWN_ITERATIONS = 9, 4, 6

Step = tuple[float, float, float, float, float]  # w, b, J, dJ/dw, dJ/db


def screens(options: argparse.Namespace, data: Any) -> Iterator[tuple[str, str]]:
    """All screens in order, a title and a text each."""
    if options.row >= len(data.y):
        raise ValueError(
            f"--row must be below {len(data.y)}, the number of rows of {data.name}, got "
            f"{options.row}; rows are counted from 0"
        )
    point = (options.x, options.y, options.w, options.b)
    yield "The forward pass", forward_pass(*point)
    yield "Move the weight", move(*point)
    yield "Functions of functions", composition()
    yield "First factor: dl/dσ", first_factor(*point)
    yield "Second factor: dσ/dz", second_factor(*point)
    yield "Third factor, and the product", product(*point)
    yield "Backpropagation", backpropagation(*point)
    yield "The nudge test", nudge(*point)
    taken = descend(*point, options.steps, options.learning_rate)
    yield "Gradient descent by hand", descent(taken, options.learning_rate)
    yield "The same steps by the trainer", by_trainer(*point[:2], taken, options.learning_rate)
    yield from real_data(data, options.row)


# ------------------------------------------------------------------- one neuron, one point


def forward_pass(x: float, y: int, w: float, b: float) -> str:
    """From x to z, to σ, to the loss."""
    z, sigma = lesson.z(x, w, b), lesson.h(x, w, b)
    loss = lesson.l(y, sigma)
    ending = "Training changes w and b so that the loss becomes smaller"
    ending += ". " if loss else "; here it is 0 in every digit. "
    if z < 0:
        ending += (
            "For z < 0 the code computes exp(z) / (1 + exp(z)), which is the same and cannot "
            "overflow; last digits may differ."
        )
    else:
        ending += "x and y are given and stay as they are."
    return page(
        "A neuron turns a number x into an output between 0 and 1. The output is compared with "
        "the target y, which is 0 or 1.",
        """\
    z = w·x + b              weighted sum: w is the weight, b the bias
    σ = 1 / (1 + exp(-z))    output: the logistic function, or sigmoid, of z
    l = (y - σ)²             loss: the squared difference of target and output""",
        f"For x = {n(x)}, y = {y}, w = {n(w)} and b = {n(b)}:",
        f"""\
    z = {n(w)}·{p(x)} + {p(b)}
      = {z}
    σ = 1 / (1 + exp({0 - z}))
      = {sigma}
    l = ({y} - {sigma})²
      = {loss}""",
        f"The target is {y}, the output is {sigma:.2f}. {ending}",
    )


def move(x: float, y: int, w: float, b: float) -> str:
    """The same with another w."""
    moved = round(w + MOVE, 12)
    sigmas = [lesson.h(x, at, b) for at in (w, moved)]
    losses = [lesson.l(y, sigma) for sigma in sigmas]
    rows = {
        "": [f"w = {n(w)}", f"w = {n(moved)}"],
        "z": [lesson.z(x, at, b) for at in (w, moved)],
        "σ": sigmas,
        "l": losses,
    }
    change = losses[1] - losses[0]
    verb = "falls by" if change < 0 else "rises by" if change > 0 else "changes by"
    return page(
        f"Change w from {n(w)} to {n(moved)}, and nothing else:",
        "\n".join(f"    {name:<4}{left!s:<25}{right}" for name, (left, right) in rows.items()),
        f"The loss {verb} {n(abs(change))}.",
        "So one could train by trying values. That works for one weight. For thirty weights, or "
        "a million, one has to know beforehand, for each of them, which way the loss moves and "
        "how fast. The derivative dl/dw says so: change w by a very small amount, and l changes "
        "by dl/dw times that amount.",
    )


def composition() -> str:
    """The chain rule itself."""
    return page(
        "The weight does not act on the loss directly. It changes z, z changes σ, and σ changes l:",
        """\
    w  ──>  z = w·x + b  ──>  σ = 1 / (1 + exp(-z))  ──>  l = (y - σ)²
       dz/dw           dσ/dz                     dl/dσ""",
        "Each arrow has a derivative of its own. It says how fast the right side changes with the "
        "left side:",
        """\
    w changes by a small amount t
    z changes by                            dz/dw · t
    σ changes by                    dσ/dz · dz/dw · t
    l changes by            dl/dσ · dσ/dz · dz/dw · t""",
        "The factors multiply. This is the chain rule:",
        "    dl/dw = dl/dσ · dσ/dz · dz/dw",
        "The next screens compute the factors one by one, starting at the loss.",
    )


def first_factor(x: float, y: int, w: float, b: float) -> str:
    """dl/dσ."""
    sigma = lesson.h(x, w, b)
    value = lesson.dl_dsig(y, sigma)
    if value == 0:
        meaning = "The output equals the target in every digit: there is nothing left to improve."
    elif value < 0:
        meaning = "It is negative: if the output rises, the loss falls. The output is too low."
    else:
        meaning = "It is positive: if the output rises, the loss rises. The output is too high."
    return page(
        "The last arrow leads from σ to l = (y - σ)².",
        "The derivative of u² is 2u. Here u = y - σ, and u falls by 1 when σ rises by 1, so there "
        "is one more factor, -1:",
        """\
    dl/dσ = 2·(y - σ)·(-1)
          = 2·(σ - y)""",
        f"For σ = {n(sigma)} and y = {y} (six digits are shown, all are used):",
        f"""\
    dl/dσ = 2·({n(sigma)} - {y})
          = {n(value)}""",
        meaning,
        "In code: dl_dsig(y, sigma) of trainer.chain_rule. That module has a function for each "
        "formula of these screens.",
    )


def second_factor(x: float, y: int, w: float, b: float) -> str:
    """dσ/dz, and saturation."""
    z, sigma = lesson.z(x, w, b), lesson.h(x, w, b)
    points = (-10, -5, -2, 0, 2, 5, 10)
    rows = {"z": points, "dσ/dz": [lesson.dsig_dz(point) for point in points]}
    least = lesson.dsig_dz(points[0])
    return page(
        "The arrow before leads from z to σ = 1 / (1 + exp(-z)).",
        "Its derivative is exp(-z) / (1 + exp(-z))². One part of it, 1 / (1 + exp(-z)), is σ. The "
        "rest, exp(-z) / (1 + exp(-z)), is 1 - σ. So",
        "    dσ/dz = σ·(1 - σ)",
        f"For z = {n(z)}, with σ = {n(sigma)}:",
        f"""\
    dσ/dz = {n(sigma)}·(1 - {n(sigma)})
          = {n(lesson.dsig_dz(z))}""",
        f"It is largest at z = 0, and almost 0 far from there, whatever the target ({least:.3g} is "
        f"{least:.7f}):",
        columns({name: [f"{value:.3g}" for value in values] for name, values in rows.items()}, 9),
        "A neuron out there is saturated. Its loss hardly changes with w, even if its output is "
        "wrong.",
    )


def product(x: float, y: int, w: float, b: float) -> str:
    """dz/dw and dz/db, and all factors multiplied."""
    factors = f"{n(lesson.dl_dsig(y, lesson.h(x, w, b)))} · {n(lesson.dsig_dz(lesson.z(x, w, b)))}"
    slope = lesson.dJ_dw(x, y, w, b)
    meaning = "It is 0: a small change of w does not change the loss."
    if slope:
        sign, way = ("negative", "rises") if slope < 0 else ("positive", "falls")
        meaning = f"dl/dw is {sign}: the loss falls if w {way}."
    return page(
        "The first arrow leads from w to z = w·x + b. If w rises by 1, z rises by x:",
        f"    dz/dw = x = {n(x)}",
        "If the bias b rises by 1, z rises by 1, whatever x is:",
        "    dz/db = 1",
        "Now the products, for w and for b:",
        f"""\
    dl/dw = dl/dσ · dσ/dz · dz/dw
          = {factors} · {p(x)}
          = {n(slope)}""",
        f"""\
    dl/db = dl/dσ · dσ/dz · dz/db
          = {factors} · 1
          = {n(lesson.dJ_db(x, y, w, b))}""",
        meaning,
    )


def backpropagation(x: float, y: int, w: float, b: float) -> str:
    """The products in order from the loss back, and the cost of many samples."""
    dl_dz = lesson.dl_dz(y, lesson.z(x, w, b))
    lines = {
        "dl/dσ = 2·(σ - y)": lesson.dl_dsig(y, lesson.h(x, w, b)),
        "dl/dz = dl/dσ · dσ/dz": dl_dz,
        "dl/dw = dl/dz · dz/dw": dl_dz * lesson.dz_dw(x),
        "dl/db = dl/dz · dz/db": dl_dz * lesson.dz_db(),
    }
    return page(
        "Both products begin with dl/dσ · dσ/dz. Computed once, it serves w and b:",
        "\n".join(f"    {formula:<21} = {n(value)}" for formula, value in lines.items()),
        "Each line multiplies a derivative found before by the derivative of one arrow, from the "
        "loss back to the parameters w and b. This order is backpropagation: the chain rule "
        "without repeated work.",
        "A data set has many samples: pairs of an x and a y. Its cost J is the mean of their "
        "losses, and the derivative of a mean is the mean of the derivatives:",
        "    J = mean of l        dJ/dw = mean of dl/dw        dJ/db = mean of dl/db",
        "So far there is one sample, and J = l. Together, dJ/dw and dJ/db are the gradient.",
    )


def nudge(x: float, y: int, w: float, b: float) -> str:
    """dJ/dw against what J does."""
    J, slope = lesson.J(x, y, w, b), lesson.dJ_dw(x, y, w, b)
    above, below = lesson.J(x, y, w + NUDGE, b), lesson.J(x, y, w - NUDGE, b)
    differ = "The two differ a little: the" if above - J != slope * NUDGE else "In general, the"
    return page(
        f"Is the derivative right? Change w by a little, {NUDGE}, and look at J:",
        f"""\
    J(w)                   = {J:.12f}
    J(w + {NUDGE})           = {above:.12f}

    J(w + {NUDGE}) - J(w)    = {above - J:z.6e}
    dJ/dw · {NUDGE}          = {slope * NUDGE:z.6e}""",
        f"{differ} slope of J changes on the way. Moving w both ways cancels most of that:",
        f"""\
    (J(w + {NUDGE}) - J(w - {NUDGE})) / {2 * NUDGE}    = {(above - below) / (2 * NUDGE):z.9f}
    dJ/dw                                    = {slope:z.9f}""",
        "Such a quotient of differences checks any gradient, because it needs no formula "
        "for the derivative. trainer.check_gradient(X, y, w, b) does it for w and b, and "
        "says whether the two agree.",
    )


def descend(x: float, y: int, w: float, b: float, steps: int, rate: float) -> list[Step]:
    """Gradient descent by the lesson's functions: the values before each step, and at the end."""
    taken: list[Step] = []
    for _ in range(steps + 1):
        dJ_dw, dJ_db = lesson.backpropagation(x, y, w, b)
        taken.append((w, b, lesson.J(x, y, w, b), dJ_dw, dJ_db))
        w, b = lesson.update(w, b, dJ_dw, dJ_db, rate)
    return taken


def descent(taken: list[Step], rate: float) -> str:
    """The update, and a table of steps."""
    lines = [
        f"{k:>8}" + "".join(f"{cell(value):>13}" for value in step) for k, step in enumerate(taken)
    ]
    if len(lines) > SHOWN_STEPS:
        lines = [*lines[: SHOWN_STEPS - 2], f"{'...':>8}", lines[-1]]
    heading = "".join(f"{name:>13}" for name in ("w", "b", "J", "dJ/dw", "dJ/db"))
    first, last = taken[0][2], taken[-1][2]
    verb = "fell" if last < first else "rose"
    return page(
        "dJ/dw and dJ/db say which way J rises. So step the other way:",
        """\
    w  becomes  w - η · dJ/dw
    b  becomes  b - η · dJ/db""",
        f"The learning rate η sets the length of a step; here η = {n(rate)}. In code: update(w, b, "
        "dJ_dw, dJ_db, learning_rate). Repeated, this is gradient descent:",
        "\n".join([f"{'step':>8}{heading}", *lines]),
        "J did not change." if last == first else f"J {verb} from {n(first)} to {n(last)}.",
    )


def by_trainer(x: float, y: int, taken: list[Step], rate: float) -> str:
    """LogisticNeuron takes the same steps."""
    steps, (w, b, *_) = len(taken) - 1, taken[0]
    neuron = trainer.LogisticNeuron(
        optimizer="gradient_descent",
        learning_rate=rate,
        max_iter=steps,
        init=[w, b],
        alpha=0,
        tol=0,
        n_starts=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few steps are all that is wanted
        neuron.fit([[x]], [[1 - y, y]])
    found = (float(neuron.coef_[0, 0]), float(neuron.intercept_[0]))
    apart = max(abs(a - c) for a, c in zip(found, taken[-1], strict=False))
    reason = ": the rounding of numbers of 16 digits" if apart else ""
    return page(
        "LogisticNeuron is the class that trains. It can take the same steps:",
        f"""\
    neuron = trainer.LogisticNeuron(
        optimizer="gradient_descent", learning_rate={n(rate)}, max_iter={steps},
        init=[{n(w)}, {n(b)}], alpha=0, tol=0, n_starts=1,
    )
    neuron.fit([[{n(x)}]], [[{1 - y}, {y}]])""",
        "init is w and b at the start; max_iter is the number of steps. alpha is explained on "
        "screen 12; 0 switches it off. Training stops early when every component of the gradient "
        "is at most tol in size; with tol=0, when no step lowers J any more. n_starts is how many "
        "starting points are tried, keeping the best. The target is given as two numbers, 1 - y "
        "and y: how probable 0 is, and 1. The trainer ends where the steps by hand ended:",
        f"""\
         by hand                  by the trainer
    w    {taken[-1][0]!s:<25}{found[0]}
    b    {taken[-1][1]!s:<25}{found[1]}""",
        f"The largest difference is {apart:.1g}{reason}.",
    )


# ------------------------------------------------------------------------- a real data set


def real_data(data: Any, row: int) -> Iterator[tuple[str, str]]:
    """The last screens: the gradient of a data set, its training, and where to go from there."""
    X = trainer.make_preprocessor(data.X).set_output(transform="pandas").fit_transform(data.X)
    y = (data.y == data.positive).astype(int)
    neuron = trainer.LogisticNeuron(n_starts=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the message is on the screen
        neuron.fit(X, y)
    start = trainer.explain((np.zeros(X.shape[1]), 0.0), X, y)
    yield "Many inputs, many samples", first_gradient(data, X, y, start, row)
    yield "Trained to the end", to_the_end(neuron, X, y, start, row)
    yield "Where to go from here", as_typed(WHERE_TO_GO)


def first_gradient(data: Any, X: Any, y: Any, start: Any, row: int) -> str:
    """The gradient of the data set at 0, and a sample's part of it."""
    (n_samples, d), sample, mean = X.shape, start.iloc[row], start.loc["mean"]
    steepest = mean["dl/dw"].abs().sort_values(ascending=False, kind="stable").index
    steepest = steepest[:SHOWN_FEATURES]
    rows: list[tuple[str, ...]] = [("input", "x = dz/dw", "dl/dw", "dJ/dw")]
    for name in steepest:
        values = (X[name].iloc[row], sample["dl/dw"][name], mean["dl/dw"][name])
        rows.append((shorten(name), *(f"{value:z.4f}" for value in values)))
    which = f"These are all {d} inputs"
    if len(steepest) < d:
        which = f"These are the {len(steepest)} of {d} inputs with the largest dJ/dw, signs aside"
    bias = (sample["dl/db"].item(), mean["dl/db"].item())
    rows.append(("bias", "1", *(f"{value:z.4f}" for value in bias)))
    return page(
        f"{shorten(data.name)}: {n_samples} samples of {d} inputs. y = 1 stands for "
        f"{shorten(data.positive)}. Each input has a weight: z = w1·x1 + ... + w{d}·x{d} + b. "
        "Inputs are shifted and scaled to mean 0 and standard deviation 1 (typical distance from "
        "the mean), so that all count alike.",
        f"All w and b start at 0, so σ = 0.5. Sample {row} (the first is 0) has y = {y[row]}:",
        f"    dl/dz = dl/dσ · dσ/dz = 2·(0.5 - {y[row]}) · 0.25 = {n(sample['dl/dz'].item())}",
        "Times x this is the sample's dl/dw. The mean over all samples is dJ/dw:",
        "\n".join(f"    {name:<30}" + "".join(f"{v:>12}" for v in rest) for name, *rest in rows),
        f"{which}, and the bias. trainer.explain((w, b), X, y) shows all; X holds the inputs, a "
        "row a sample.",
    )


def to_the_end(neuron: Any, X: Any, y: Any, start: Any, row: int) -> str:
    """J by iteration, why training stopped, and the sample before and after."""
    curve = neuron.loss_curve_
    shown = sorted({round(k) for k in np.linspace(0, len(curve) - 1, SHOWN_ITERATIONS)})
    rows = {
        "iteration": [str(k) for k in shown],
        "J + penalty": [f"{curve[k]:.6f}" for k in shown],
    }
    end = trainer.explain(neuron, X, y)
    of_sample = {"": ["z", "σ", "σ - y", "l", "dl/dz"]}
    for when, table in (("at 0", start), ("trained", end)):
        z, sigma, loss, slope = (table.iloc[row][k].item() for k in ("z", "σ", "l", "dl/dz"))
        small = [f"{value:z.4g}" for value in (sigma - y[row], loss, slope)]
        of_sample[when] = [f"{z:.4g}", f"{sigma:.6f}", *small]
    right = np.mean(neuron.predict(X) == y)
    return page(
        "By default the trainer takes better steps than gradient descent: it also uses the second "
        "derivative, how the slope changes. An iteration is one step. It minimizes J plus a "
        "penalty that keeps the weights small, α/2 times the sum of all w², with α = "
        f"{neuron.alpha_:.3g}; so the gradient is dJ/dw + α·w.",
        columns(rows, 10),
        f"It stopped after {neuron.n_iter_} iterations, with tol = {neuron.tol:g}: "
        f"{neuron.termination_.message}. At the end J alone is "
        f"{end.loc['mean']['l'].item():.6f}.",
        f"    Sample {row}, with y = {y[row]}:\n{columns(of_sample, 11)}",
        f"For {right:.1%} of the samples, σ is on the right side of 0.5. The neuron was trained on "
        "these samples; "
        + as_typed("logistic-neuron train")
        + " keeps some apart and tests on them.",
    )


WHERE_TO_GO = """\
Read
    trainer/chain_rule.py             the formulas of these screens in code
    docs/lesson.ipynb                 the lesson as a notebook, with pictures

Do
    docs/exercises.py                 the same functions, bodies left out
    logistic-neuron mark docs/exercises.py
                                      says which are right, and what is wrong

Look
    docs/playground.html              the neuron in the browser, step by step
    logistic-neuron explain --w -10
                                      a saturated start: the output is wrong,
                                      and the gradient is almost 0
    trainer.explain(neuron, X, y)     the factors of your own samples
    trainer.trace(neuron, X, y)       the parameters, iteration by iteration

Train
    logistic-neuron train             train and test on real data, with plots"""


# -------------------------------------------------------------------------------- writing


def page(*blocks: str) -> str:
    """Blocks with a blank line between: indented ones as they are, others filled to the width."""
    return "\n\n".join(
        block if block.startswith(" ") else textwrap.fill(block, WIDTH, break_on_hyphens=False)
        for block in blocks
    )


def columns(rows: Mapping[str, Sequence[str]], width: int) -> str:
    """A table of short texts, a name before each row."""
    return "\n".join(f"    {k:<12}" + "".join(f"{v:>{width}}" for v in r) for k, r in rows.items())


def n(value: float) -> str:
    """A number with six digits."""
    return f"{value:z.6g}"


def cell(value: float) -> str:
    """A number with six decimals, or six digits if it is too wide for its column."""
    text = f"{value:z.6f}"
    return text if len(text) <= 12 else n(value)


def p(value: float) -> str:
    """The same, to stand after an operator."""
    return f"({n(value)})" if value < 0 else n(value)


def shorten(name: Any) -> str:
    """A name that fits its column."""
    return str(name) if len(str(name)) < 30 else f"{str(name)[:26]}..."
