"""The benchmark's two pictures. Colours: Okabe and Ito's, told apart by all eyes."""

from pathlib import Path

import numpy as np
from benchmark_peers import OURS
from benchmark_problems import Problem
from benchmark_report import SUMMARY, amount, label, reach
from benchmark_solving import Curve
from benchmark_watch import Row
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

VERMILLION, BLUE, GREEN, PURPLE, GREY = "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#767676"
FLOOR = 1e-16
"""Below this J - J* is rounding, J itself being about 0.1."""


def panels(rows: list[Row]) -> list[list[Row]]:
    """The two problems that the first picture shows: the large ones, if they were run."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.case in SUMMARY and row.repeats:
            groups.setdefault(row.problem, []).append(row)
    order = ["large", "well", "ill", *SUMMARY]
    return sorted(groups.values(), key=lambda group: order.index(group[0].case))[:2]


def time_to_solution(rows: list[Row], path: Path, caption: str) -> bool:
    """Draw the seconds of each peer, a panel a problem; False when there are none to draw."""
    groups = panels(rows)
    if not groups:
        return False
    inches = 2.2 + 0.34 * max(len(group) for group in groups)
    figure = Figure(figsize=(7.4 * len(groups), inches))
    inner = (0, 0.65 / inches, 1, 1 - 1.1 / inches)
    figure.set_layout_engine("constrained", rect=inner, wspace=0.04)
    for ax, group in zip(np.atleast_1d(figure.subplots(1, len(groups))), groups, strict=True):
        draw_panel(ax, sorted(group, key=lambda row: (row.reached == "no", row.median)))
    title = "Time from zero to a gradient of 1e-8 (largest component)"
    figure.text(0.01, 1 - 0.12 / inches, title, va="top", fontsize=14, fontweight="bold")
    handles = [
        marker(VERMILLION, "o", True, "this trainer"),
        marker(BLUE, "o", True, "same cost, same gradient"),
        marker(GREY, "o", False, "another loss, to its own tolerance"),
        marker(GREY, ">", False, "did not get there"),
    ]
    corner = (0.005, 0.3 / inches)
    columns = 4 if len(groups) > 1 else 2
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=corner, ncols=columns, frameon=False,
        fontsize=9,
    )  # fmt: skip
    figure.text(0.01, 0.1 / inches, caption, fontsize=7.5, color=GREY)
    figure.savefig(path, dpi=160, facecolor="white")
    return True


def draw_panel(ax: Axes, group: list[Row]) -> None:
    """Draw one problem's rows from top to bottom, each with its median and range."""
    ax.set_xscale("log")
    for place, row in enumerate(group):
        other = row.reached == "other loss" or np.isnan(row.gradient_max)
        colour = VERMILLION if row.peer == OURS else GREY if other else BLUE
        ax.plot([row.low, row.high], [place, place], color=colour, lw=2.5, alpha=0.45)
        ax.plot(
            row.median, place, ">" if row.reached == "no" else "o", color=colour, ms=8,
            mfc=colour if row.reached == "yes" else "white", mew=1.6,
        )  # fmt: skip
        ax.annotate(
            label(row), (max(row.high, row.median), place), xytext=(9, 0), va="center",
            textcoords="offset points", fontsize=9, color=colour,
            fontweight="bold" if row.peer == OURS else "normal",
        )  # fmt: skip
    ax.set_yticks(range(len(group)), [row.peer for row in group])
    for tick, row in zip(ax.get_yticklabels(), group, strict=True):
        if row.peer == OURS:
            tick.set(color=VERMILLION, fontweight="bold")
    ax.set_ylim(len(group) - 0.4, -0.6)
    low, high = min(row.low for row in group), max(row.high for row in group)
    ax.set_xlim(low / 1.6, high * max((high / low) ** 0.7, 4))  # the labels need room
    ax.set_xlabel("seconds: median and range (in brackets: times this trainer's)")
    ax.set_title(f"{group[0].problem}, {reach(group[0].n, group[0].d)}", loc="left")
    ax.grid(axis="x", color="#E5E5E5")
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


def marker(colour: str, shape: str, filled: bool, text: str) -> Line2D:
    """An entry of the legend."""
    fill = colour if filled else "white"
    return Line2D([], [], color=colour, marker=shape, mfc=fill, mew=1.6, ls="", label=text)


def cost_against_time(curves: dict[str, Curve], problem: Problem, path: Path, caption: str) -> None:
    """Draw how far above the lowest cost each peer was, and when."""
    figure = Figure(figsize=(8, 5.4))
    figure.set_layout_engine("constrained", rect=(0, 0.07, 1, 0.93))
    ax = figure.subplots()
    colours = (VERMILLION, BLUE, PURPLE, GREEN)
    dashes = ("-", "--", (0, (1, 1.2)), "-.")
    for (name, curve), colour, dash in zip(curves.items(), colours, dashes, strict=False):
        excess = np.maximum(curve.excess, FLOOR)
        end = f"{amount(curve.seconds[-1])}"
        ax.plot(
            curve.seconds, excess, ls=dash, color=colour, lw=3 if name == OURS else 2,
            zorder=3 if name == OURS else 2,
            label=f"{name}: {'there in' if curve.in_time else 'not there in'} {end}",
        )  # fmt: skip
        ax.plot(
            curve.seconds[-1], excess[-1], "o" if curve.in_time else ">", color=colour, ms=8,
            mfc=colour if curve.in_time else "white", mew=1.6, zorder=4,
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="seconds", ylabel="J − J*, J* the lowest cost found")
    ax.set_ylim(bottom=FLOOR / 3)
    size = reach(*problem.X.shape)
    ax.set_title(f"Cost against time: {problem.name}, {size}", loc="left", fontweight="bold")
    ax.grid(color="#E5E5E5")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)
    figure.text(0.012, 0.015, caption.replace("; ", "\n", 1), fontsize=7.5, color=GREY)
    figure.savefig(path, dpi=160, facecolor="white")
