"""The card's pictures, as PNG: what the Hub shows everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TITLES = {"corpus": "articles", "qa": "question-answer pairs"}


def pictures(numbers: Mapping[str, Mapping[str, Any]], funnel: Mapping[str, Mapping[str, int]]) -> dict[str, bytes]:
    """By path in the dataset folder."""
    from pipelines.report import plots  # matplotlib takes a second to import

    titled = {TITLES[config]: found for config, found in numbers.items()}
    return {
        "pictures/funnel.png": plots.funnel(funnel, "png"),
        "pictures/sources.png": plots.sources(titled, "png"),
        "pictures/lengths.png": plots.lengths(titled, "png"),
    }
