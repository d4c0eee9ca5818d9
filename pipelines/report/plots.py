"""The report's pictures as SVG: about 0.3 s each. Text becomes outlines, so a picture looks the same everywhere.

matplotlib 3.11 shapes and orders right-to-left text itself; shaping it before would order it twice.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Format = Literal["svg", "png"]

FONT = Path(__file__).parent / "fonts" / "Vazirmatn-Regular.ttf"
INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BASE_COLOUR, TRAINED_COLOUR, KEPT_COLOUR, DROPPED_COLOUR = "#9aa5b1", "#0b7285", "#2b8a3e", "#e8590c"
STYLE: Any = {  # matplotlib types its keys as literals
    "font.family": "Vazirmatn",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": MUTED,
    "ytick.color": INK,
    "grid.color": GRID,
    "legend.frameon": False,
    "svg.hashsalt": "gaokerena",  # the same picture has the same bytes
}
SOURCES_SHOWN = 16
PIXELS = 150  # an inch of a PNG


def funnel(counts: Mapping[str, Mapping[str, int]], form: Format = "svg") -> bytes:
    """How many rows of each kind were kept, and how many were dropped for which reason."""
    height = sum(len(reasons) for reasons in counts.values()) * 0.24 + len(counts) * 0.55
    with _figure(7.2, max(1.2, height), rows=len(counts), ratios=[max(1, len(r)) for r in counts.values()]) as (figure, axes):
        for axis, (kind, reasons) in zip(axes, counts.items(), strict=True):
            names = list(reasons)[::-1]
            values = [reasons[name] for name in names]
            colours = [KEPT_COLOUR if name == "kept" else DROPPED_COLOUR for name in names]
            axis.barh(names, values, color=colours, height=0.7)
            for place, value in enumerate(values):
                axis.annotate(f"{value:,}", (value, place), (3, 0), textcoords="offset points", va="center", color=MUTED)
            axis.set_title(f"{kind}: {sum(values):,} extracted, {reasons['kept']:,} kept")
            axis.margins(x=0.12)
            _bare(axis)
        return _drawn(figure, form)


def sources(kinds: Mapping[str, Mapping[str, Any]], form: Format = "svg") -> bytes:
    """Which source has which share of the words of each kind (Figures 1 and 2 of the paper)."""
    shares = {kind: _largest(numbers["sources"], numbers["words"]) for kind, numbers in kinds.items()}
    height = sum(map(len, shares.values())) * 0.24 + len(shares) * 0.55
    ratios = [max(1, len(rows)) for rows in shares.values()]
    with _figure(7.2, max(1.2, height), rows=len(shares), ratios=ratios) as (figure, axes):
        for axis, (kind, rows) in zip(axes, shares.items(), strict=True):
            axis.barh([name for name, _ in rows][::-1], [share for _, share in rows][::-1], color=TRAINED_COLOUR, height=0.7)
            for place, (_, share) in enumerate(reversed(rows)):
                axis.annotate(f"{share:.1%}", (share, place), (3, 0), textcoords="offset points", va="center", color=MUTED)
            axis.set_title(f"{kind}: {kinds[kind]['words']:,} words and marks")
            axis.margins(x=0.12)
            _bare(axis)
        return _drawn(figure, form)


def _largest(rows: Sequence[Mapping[str, Any]], words: int) -> list[tuple[str, float]]:
    """Name and share of the sources with the most words; the others together."""
    shares = [(row["source"], row["words"] / max(1, words)) for row in rows]
    if len(shares) <= SOURCES_SHOWN:
        return shares
    rest = shares[SOURCES_SHOWN - 1 :]
    return [*shares[: SOURCES_SHOWN - 1], (f"{len(rest)} others", sum(share for _, share in rest))]


def lengths(kinds: Mapping[str, Mapping[str, Any]], form: Format = "svg") -> bytes:
    """How many texts have how many words; the bins double."""
    fields = [(kind, name, bins) for kind, numbers in kinds.items() for name, bins in numbers["lengths"].items()]
    with _figure(7.2, 2.2, columns=len(fields)) as (figure, axes):
        for axis, (kind, name, bins) in zip(axes, fields, strict=True):
            axis.bar([f"{least:,}" for least, _ in bins], [texts for _, texts in bins], color=TRAINED_COLOUR, width=0.9)
            axis.set(title=kind if name == "text" else f"{name}s", xlabel="words and marks, from")
            axis.locator_params(axis="y", integer=True)
            axis.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axis.tick_params(axis="x", labelrotation=60)
            axis.grid(axis="y")
            axis.set_axisbelow(True)
        return _drawn(figure, form)


def training_curves(stages: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    """Loss over tokens for each stage; validation loss where it was measured."""
    with _figure(7.2, 2.6, columns=len(stages)) as (figure, axes):
        for axis, (stage, log) in zip(axes, stages.items(), strict=True):
            axis.plot(*over_tokens(log, "loss"), color=TRAINED_COLOUR, marker=".", label="train")
            seen, losses = over_tokens(log, "valid_loss")
            if losses:
                axis.plot(seen, losses, color=DROPPED_COLOUR, marker="o", ms=4, label="validation")
                axis.legend()
            axis.set(title=stage, xlabel="tokens seen", ylabel="loss (nats a token)")
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axis.grid(axis="y")
            axis.locator_params(axis="x", nbins=4)
        return _drawn(figure)


def over_tokens(log: Sequence[Mapping[str, Any]], figure: str) -> tuple[list[int], list[float]]:
    """A figure of the steps in which it was measured, and how many tokens had been learned by then."""
    seen = accumulate(row["tokens"] for row in log)
    points = [(tokens, row[figure]) for tokens, row in zip(seen, log, strict=True) if row[figure] is not None]
    return [tokens for tokens, _ in points], [value for _, value in points]


def before_and_after(rows: Sequence[tuple[str, float, float]]) -> bytes:
    """Perplexity of single answers before and after training; each row is named by the beginning of its question."""
    with _figure(7.2, 0.28 * len(rows) + 0.8) as (figure, (axis,)):
        for place, (_, before, after) in enumerate(reversed(rows)):
            axis.plot([before, after], [place, place], color=GRID, lw=3, zorder=1)
            axis.scatter([before], [place], color=BASE_COLOUR, s=28, zorder=2, label="base" if place == 0 else None)
            axis.scatter([after], [place], color=TRAINED_COLOUR, s=28, zorder=3, label="trained" if place == 0 else None)
        axis.set_yticks(range(len(rows)), [name for name, _, _ in reversed(rows)])
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axis.xaxis.set_minor_formatter(lambda value, _: f"{value:,.0f}" if str(value)[:1] in "125" else "")
        axis.set_xlabel("perplexity of the answer (logarithmic)")
        axis.grid(axis="x", which="both")
        axis.tick_params(axis="both", which="both", length=0)
        axis.spines["left"].set_visible(False)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        return _drawn(figure)


def accuracies(rows: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]], chance: float) -> bytes:
    """Accuracy of the base and the trained model with their intervals, one pair of points a test and method."""
    with _figure(7.2, 0.42 * len(rows) + 0.9) as (figure, (axis,)):
        for place, (_, base, trained) in enumerate(reversed(rows)):
            for score, offset, colour, label in ((base, 0.13, BASE_COLOUR, "base"), (trained, -0.13, TRAINED_COLOUR, "trained")):
                error = [[score["value"] - score["low"]], [score["high"] - score["value"]]]
                axis.errorbar(
                    score["value"],
                    place + offset,
                    xerr=error,
                    fmt="o",
                    ms=5,
                    color=colour,
                    capsize=2,
                    label=label if place == 0 else None,
                )
        axis.axvline(chance, color=MUTED, lw=1, ls=":", label="chance")
        axis.set_yticks(range(len(rows)), [name for name, _, _ in reversed(rows)])
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axis.set(xlim=(0, 1), xlabel="accuracy with its 95% interval")
        axis.grid(axis="x")
        axis.tick_params(length=0)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        return _drawn(figure)


@contextmanager
def _figure(
    width: float, height: float, *, rows: int = 1, columns: int = 1, ratios: Sequence[float] | None = None
) -> Iterator[tuple[Figure, list[Axes]]]:
    font_manager.fontManager.addfont(FONT)
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, height_ratios=ratios)
        yield figure, list(grid.flat)


def _bare(axis: Axes) -> None:
    axis.xaxis.set_visible(False)
    axis.spines["bottom"].set_visible(False)
    axis.spines["left"].set_visible(False)
    axis.tick_params(length=0)


def _drawn(figure: Figure, form: Format = "svg") -> bytes:
    sink = io.BytesIO()
    figure.savefig(sink, format=form, dpi=PIXELS, metadata={"Date": None} if form == "svg" else {"Software": None})
    return sink.getvalue()
