"""How far people agree with each other and with the filters; shares with their numbers, never alone.

Cohen's kappa: Cohen 1960, Educational and Psychological Measurement 20; of more than two reviewers the mean over their
pairs: Light 1971, Psychological Bulletin 76.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from pipelines.clean.people import DROP, WORDS, Votes
from pipelines.clean.residual import with_interval

# Facts of the manifest begin so; a filter's reason ends their name.
PEOPLE, REVIEWED, ALSO_DROPPED, OVERRULED = "people", "reviewed", "reviewed and dropped", "people overruled by"
PASSED = "no filter"  # rows that every filter lets pass


@dataclass(frozen=True)
class Agreement:
    """Two reviewers over the rows that both decided on."""

    first: str
    second: str
    rows: int
    agreed: int
    kappa: float | None  # None where chance alone explains everything: both always say the same one word


def agreements(votes: Votes) -> list[Agreement]:
    """Every two reviewers that have a row in common."""
    words: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for own in votes.by_row.values():
        for first, second in combinations(sorted(own), 2):
            words.setdefault((first, second), []).append((own[first].word, own[second].word))
    return [
        Agreement(first, second, len(found), sum(a == b for a, b in found), cohen_kappa(found))
        for (first, second), found in sorted(words.items())
    ]


def cohen_kappa(words: Sequence[tuple[str, str]]) -> float | None:
    """Agreement beyond chance, at most 1; 0 is chance. None where chance would agree always."""
    observed = sum(a == b for a, b in words) / len(words)
    first, second = Counter(a for a, _ in words), Counter(b for _, b in words)
    by_chance = sum(first[word] * second[word] for word in first) / len(words) ** 2
    return None if by_chance == 1 else (observed - by_chance) / (1 - by_chance)


def review_facts(votes: Votes, reviewed: Mapping[str, str]) -> dict[str, float]:
    """What came of the votes. `reviewed`: the rows that were found, and which filter would drop each ("" for none)."""
    decisions = votes.decisions()
    applied = Counter(decisions[row].word for row in reviewed)
    facts: dict[str, float] = {f"{PEOPLE} {word}": applied[word] for word in WORDS}
    facts |= {f"{PEOPLE} unknown": len(decisions.keys() - reviewed.keys())}
    facts |= {f"{PEOPLE} tied": len(votes.tied()), f"{PEOPLE} changed": votes.changed}
    facts |= _counts(REVIEWED, list(reviewed.values()))
    facts |= _counts(ALSO_DROPPED, [reason for row, reason in reviewed.items() if decisions[row].word == DROP])
    if pairs := agreements(votes):
        facts |= {"reviewers both": sum(pair.rows for pair in pairs), "reviewers agree": sum(pair.agreed for pair in pairs)}
        facts |= {"reviewers pairs": len(pairs)}
        if kappas := [pair.kappa for pair in pairs if pair.kappa is not None]:
            facts["reviewers kappa"] = fmean(kappas)
    return facts


def _counts(name: str, reasons: list[str]) -> dict[str, float]:
    return {f"{name}: {reason or PASSED}": rows for reason, rows in sorted(Counter(reasons).items())}


def review_notes(facts: Mapping[str, float]) -> list[str]:
    """What a reader must know of the facts, in words."""
    if f"{PEOPLE} {DROP}" not in facts:
        return []
    notes = ["people decided: " + ", ".join(f"{word} {facts[f'{PEOPLE} {word}']:,.0f}" for word in WORDS)]
    if unknown := facts[f"{PEOPLE} unknown"]:
        notes.append(f"people decided on {unknown:,.0f} ids that no row has any more (or that were never an id)")
    if tied := facts[f"{PEOPLE} tied"]:
        notes.append(f"on {tied:,.0f} rows the reviewers' vote is a tie: the filters' word stands")
    if changed := facts[f"{PEOPLE} changed"]:
        notes.append(f"{changed:,.0f} decisions were changed by the same reviewer further down: the last one counts")
    if overruled := _by_reason(facts, OVERRULED):
        reasons = ", ".join(f"{reason} {rows:,.0f}" for reason, rows in overruled.items())
        notes.append(f"rows that people keep are out all the same: {reasons} (of two duplicates that people keep one stays)")
    return [*notes, *_agreement_notes(facts), *_precision_notes(facts)]


def _agreement_notes(facts: Mapping[str, float]) -> list[str]:
    if "reviewers both" not in facts:
        return []
    agreed, both, pairs = (int(facts[f"reviewers {name}"]) for name in ("agree", "both", "pairs"))
    kappa = f"{facts['reviewers kappa']:.2f}" if "reviewers kappa" in facts else "not defined: they say one word only"
    mean = f", the mean of {pairs} pairs of reviewers" if pairs > 1 else ""
    return [f"reviewers agree on {share_of(agreed, both)} of the rows that two of them decided on; Cohen's kappa {kappa}{mean}"]


def _precision_notes(facts: Mapping[str, float]) -> list[str]:
    dropped = _by_reason(facts, ALSO_DROPPED)
    found = {reason: (int(dropped.get(reason, 0)), int(rows)) for reason, rows in _by_reason(facts, REVIEWED).items()}
    also_dropped, passed = found.pop(PASSED, (0, 0))
    notes = []
    if found:
        shares = "; ".join(f"{reason} {share_of(*counts)}" for reason, counts in found.items())
        notes.append(f"precision of the filters (of the rows that each drops and people saw, those that people drop): {shares}")
    if passed:
        notes.append(
            f"of the rows that every filter lets pass and people saw, they keep {share_of(passed - also_dropped, passed)}"
        )
    return notes


def _by_reason(facts: Mapping[str, float], name: str) -> dict[str, float]:
    return {fact.removeprefix(f"{name}: "): number for fact, number in facts.items() if fact.startswith(f"{name}: ")}


def share_of(part: int, whole: int) -> str:
    """`34 of 40 (85%, 71 to 93%)`: with the Wilson interval of 95%."""
    share, low, high = with_interval(part, whole)
    return f"{part:,} of {whole:,} ({share:.0%}, {low:.0%} to {high:.0%})"
