"""The dataset card: where the rows are from, what was done to them, what is known to be wrong with them. Numbers only, no row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.artifact import Manifest, fingerprint
from pipelines.clean.privacy import PLACEHOLDERS
from pipelines.clean.residual import NUMBERS_AND_EMAIL, Residual, labelled_samples, residual, with_interval
from pipelines.publish.pictures import TITLES
from pipelines.publish.publication import Publication
from pipelines.settings import Settings
from pipelines.statistics import paper
from pipelines.statistics.funnel import KINDS, TEST_SET

TEMPLATES = Path(__file__).parent / "templates"
REDACTED = "redacted "  # a fact of the clean step that begins so counts placeholders of a kind
TAGS = ["medical", "health", "persian", "farsi"]
TASKS = ["question-answering", "text-generation"]
# What the second sample said of the rules before it was known to their author: 9 of 76 missed. Today's rules have seen both.
UNSEEN_MISSED, UNSEEN_LABELLED = 9, 76

Numbers = Mapping[str, Mapping[str, Any]]
Funnel = Mapping[str, Mapping[str, int]]


def card(publication: Publication, numbers: Numbers, splits: Mapping[str, list[str]], funnel: Funnel) -> str:
    """The text of README.md. `numbers` and `splits` by config, `funnel` by kind."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": "{:,}".format, "share": "{:.1%}".format, "bounds": _bounds}
    manifest, recipe = publication.clean.manifest, publication.recipe
    return environment.get_template("card.md.j2").render(
        metadata=yaml.safe_dump(metadata(publication, numbers, splits), sort_keys=False, allow_unicode=True),
        title=publication.title,
        recipe=recipe,
        settings=publication.settings,
        numbers=numbers,
        titles=TITLES,
        tokenizer=model_name(publication.settings.tokenizer or recipe.model),
        funnel=funnel,
        rows_in=manifest.rows_in,
        kept=sum(found["rows"] for found in numbers.values()),
        dropped=sum(manifest.dropped.values()),
        filters=list(thresholds(recipe.clean)),
        placeholders=[(kind, PLACEHOLDERS[kind], number) for kind, number in placeholders(manifest)],
        residuals=list(residuals()),
        unseen=(UNSEEN_MISSED, UNSEEN_LABELLED, with_interval(UNSEEN_MISSED, UNSEEN_LABELLED)),
        test_sets=decontaminated(manifest, funnel),
        duplicates={reason: number for reason, number in manifest.dropped.items() if reason.startswith("duplicate-")},
        published=paper,
        notes=manifest.notes,
        made=how_made(publication),
    )


def metadata(publication: Publication, numbers: Numbers, splits: Mapping[str, list[str]]) -> dict[str, Any]:
    """The card's front matter, by the keys of the Hub."""
    return {
        "language": ["fa"],
        "license": publication.settings.license,
        "pretty_name": publication.title,
        "size_categories": [size_category(sum(found["rows"] for found in numbers.values()))],
        "task_categories": TASKS,
        "tags": TAGS,
        "configs": [
            {
                "config_name": config,
                "data_files": [{"split": split, "path": f"{config}/{split}-*.parquet"} for split in names],
            }
            for config, names in splits.items()
        ],
    }


def size_category(rows: int) -> str:
    """As the Hub names them: `n<1K`, `1K<n<10K`, ..."""
    if rows < 1_000:
        return "n<1K"
    names = ("1K", "10K", "100K", "1M", "10M", "100M", "1B")
    power = min(len(str(rows)) - 4, len(names) - 2)
    return f"{names[power]}<n<{names[power + 1]}"


def thresholds(settings: Settings, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every setting of the clean step; of a file the name without its folder, which is nobody's business."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Settings):
            yield from thresholds(value, f"{prefix}{name}.")
        else:
            yield prefix + name, _plain(value)


def placeholders(manifest: Manifest) -> list[tuple[str, int]]:
    """How many identifiers of each kind were replaced, the most frequent first."""
    counts = {name.removeprefix(REDACTED): int(number) for name, number in manifest.facts.items() if name.startswith(REDACTED)}
    return sorted(((kind, number) for kind, number in counts.items() if kind in PLACEHOLDERS), key=lambda pair: -pair[1])


def residuals() -> Iterator[dict[str, Any]]:
    """What today's rules miss on each labelled sample of our own."""
    for name, sentences in labelled_samples().items():
        found = residual(sentences)
        for kinds, wanted in (("numbers and e-mail", NUMBERS_AND_EMAIL), ("everything", ())):
            yield {"sample": name, "sentences": len(sentences), "kinds": kinds, **_rates(found, wanted)}


def decontaminated(manifest: Manifest, dropped: Funnel) -> list[tuple[str, list[int]]]:
    """Every test set that was looked for, and how many articles and pairs were removed because of it."""
    names = {Path(name.partition(":")[2]).stem for name in manifest.inputs if name.startswith(("decontaminate:", "task:"))}
    names |= {reason.removeprefix(TEST_SET) for reasons in dropped.values() for reason in reasons if reason.startswith(TEST_SET)}
    return [(name, [dropped[kind].get(TEST_SET + name, 0) for kind in KINDS.values()]) for name in sorted(names)]


def how_made(publication: Publication) -> dict[str, str]:
    """What somebody needs to make the same again, by content."""
    manifest = publication.clean.manifest
    digests = {"clean": manifest.digest} | {name: found.digest for name, found in manifest.inputs.items() if name == "extract"}
    return {
        "recipe": f"{publication.recipe.name} ({fingerprint(publication.recipe.identity())})",
        "code": f"gaokerena {version('gaokerena')}, clean step version {manifest.version}",
        **{f"{step} artifact": digest for step, digest in digests.items()},
        "software": ", ".join(f"{name} {number}" for name, number in manifest.versions.items()),
    }


def _rates(found: Residual, kinds: tuple[str, ...]) -> dict[str, Any]:
    labelled, missed = (sum(counts[kind] for kind in kinds or counts) for counts in (found.labelled, found.missed))
    return {"labelled": labelled, "missed": missed, "rate": found.rate(*kinds), "precision": found.precision(*kinds)}


def _bounds(rate: tuple[float, float, float]) -> str:
    value, low, high = rate
    return f"{value:.1%} ({low:.1%} to {high:.1%})"


def _plain(value: Any) -> str:
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_plain(part)}" for key, part in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "none"
    return "none" if value is None else str(value)


def model_name(model: str) -> str:
    return Path(model).name if Path(model).expanduser().is_dir() else model
