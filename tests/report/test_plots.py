"""Pictures: real SVG with the same bytes for the same numbers, Persian joined and in its order."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from pipelines.report import plots

DESCRIBED = {
    "words": 30,
    "sources": [{"source": "مجله", "words": 20}, {"source": "forum", "words": 10}],
    "lengths": {"text": [(1, 2), (2, 0), (4, 7)]},
}


def width(text: str) -> float:
    """Of a text drawn with the report's font, in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    font_manager.fontManager.addfont(plots.FONT)
    figure = Figure()
    canvas = FigureCanvasAgg(figure)
    return figure.text(0, 0, text, family="Vazirmatn", size=40).get_window_extent(canvas.get_renderer()).width


def test_persian_letters_are_joined_without_our_help() -> None:
    """matplotlib shapes text since 3.11; a letter alone is wider than the same letter within a word."""
    assert width("سسسسسسسسسسسسسسسس") < 0.8 * sum(width("س") for _ in range(16))


def test_every_picture_is_svg_and_stable() -> None:
    score = {"value": 0.4, "low": 0.3, "high": 0.5}
    log = [{"tokens": n * 100, "loss": 3 - n / 10, "valid_loss": None} for n in range(1, 5)]
    kinds = {"articles": DESCRIBED, "pairs": {**DESCRIBED, "sources": [], "words": 0, "lengths": {"question": []}}}
    pictures = {
        "funnel": lambda: plots.funnel({"pairs": {"kept": 10, "short": 3}, "articles": {"kept": 0}}),
        "sources": lambda: plots.sources(kinds),
        "lengths": lambda: plots.lengths(kinds),
        "training": lambda: plots.training_curves({"fine-tuning": log, "instruction tuning": []}),
        "answers": lambda: plots.before_and_after([("برای سردرد چه کنم؟", 40.0, 20.0), ("تب کودک", 9.0, 11.0)]),
        "accuracies": lambda: plots.accuracies([("demo-mcq", score, score)], 0.25),
    }
    for name, draw in pictures.items():
        first = draw()
        assert ElementTree.fromstring(first).tag.endswith("svg"), name
        assert first == draw(), name


def test_a_curve_is_over_the_tokens_learned_so_far() -> None:
    log = [{"tokens": 10, "loss": 3.0, "valid_loss": None}, {"tokens": 7, "loss": 2.0, "valid_loss": 2.5}]
    assert plots.over_tokens(log, "loss") == ([10, 17], [3.0, 2.0])
    assert plots.over_tokens(log, "valid_loss") == ([17], [2.5])


def test_a_picture_for_the_hub_is_png_with_the_same_bytes() -> None:
    first = plots.sources({"articles": DESCRIBED}, "png")
    assert first.startswith(b"\x89PNG") and first == plots.sources({"articles": DESCRIBED}, "png")


def test_the_smallest_sources_are_drawn_together() -> None:
    rows = [{"source": f"s{n}", "words": 5} for n in range(20)]
    shares = plots._largest(rows, 100)
    assert len(shares) == plots.SOURCES_SHOWN
    assert shares[-1] == ("5 others", pytest.approx(0.25)) and sum(share for _, share in shares) == pytest.approx(1)
