"""What people decide counts: by content id, in every later run, and with an account of how far they agree."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from cluster.errors import UserError
from pipelines.artifact import Artifact
from pipelines.clean.agreement import agreements, cohen_kappa
from pipelines.clean.people import CUT, EDITED, Votes, read_votes
from pipelines.clean.step import external
from pipelines.recipe import load_recipe
from pipelines.tables import CORPUS, DROPPED, LINEAGE, PAIRS
from tests.clean.test_step import ARTICLE_ROWS, ENGLISH, HELD_OUT, PAIR_ROWS, answer, extracted, in_this_process, pair, run_clean

__all__ = ["in_this_process"]  # used by every test here, as there

QUESTION, TEXT = EDITED["question"], EDITED["text"]
FORUM, MAG = "https://forum.test/q", "https://mag.test/a"
SHORT = f"{FORUM}60"  # dropped as short-answer
BEST, DUPLICATE = f"{FORUM}3", f"{FORUM}4"  # of one cluster of answers the first is longer

BRIEF = "روزی دو بار پوست را با کرم مرطوب‌کننده نرم کنید"
ROWS = [*PAIR_ROWS, pair(60, "پوست دستم خشک است چه کنم؟", BRIEF)]

Rows = list[dict[str, Any]]


def cleaned(folder: Path, *decisions: Path, pairs: Rows = ROWS, articles: Rows = ARTICLE_ROWS) -> Artifact:
    folder.mkdir(exist_ok=True)
    named = [f"clean.decisions=[{', '.join(map(str, decisions))}]"] if decisions else []
    return run_clean(folder, extracted(folder, [articles], [pairs]), *named)


@pytest.fixture
def ids() -> dict[str, str]:
    """The content id of every row, kept or dropped, by its URL."""
    return _automatic_ids()


@cache
def _automatic_ids() -> dict[str, str]:
    with TemporaryDirectory() as folder:
        return ids_of(cleaned(Path(folder)))


def ids_of(artifact: Artifact) -> dict[str, str]:
    return {row["url"]: row["id"] for table in (LINEAGE, DROPPED) for row in artifact.read(table).to_pylist()}


def outcomes(artifact: Artifact) -> dict[str, str]:
    """By URL `kept`, or the reason."""
    kept = dict.fromkeys(artifact.read(LINEAGE)["url"].to_pylist(), "kept")
    return kept | {row["url"]: row["reason"] for row in artifact.read(DROPPED).to_pylist()}


def sheet(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def vote(row: str, decision: str, **others: str) -> dict[str, str]:
    return {"id": row, "decision": decision, **others}


def test_every_row_has_an_id_and_no_raw_text_can_be_guessed_from_it(tmp_path: Path) -> None:
    """Rows that differ in their telephone number alone have one id, kept or dropped."""
    rows = [
        pair(n, "سردرد شدید دارم چه کنم؟", f"{BRIEF} و با {number} تماس بگیرید.")
        for n, number in ((71, "09121234567"), (72, "09351234567"))
    ]
    found = cleaned(tmp_path / "run", pairs=[*ROWS, *rows])
    assert all(found.read(DROPPED)["id"].to_pylist())
    assert outcomes(found)[f"{FORUM}71"] == "short-answer"
    assert ids_of(found)[f"{FORUM}71"] == ids_of(found)[f"{FORUM}72"]


def test_people_keep_drop_and_edit(tmp_path: Path, ids: dict[str, str]) -> None:
    edited = answer("تب") + " با 09121112233 تماس بگيريد."  # Arabic yeh, and a number that must not stay
    decisions = sheet(
        tmp_path / "decisions.jsonl",
        vote(ids[SHORT], "keep"),
        vote(ids[f"{FORUM}2"], "Drop "),
        vote(ids[f"{FORUM}1"], "edit", **{TEXT: edited}),
        vote(ids[f"{MAG}3"], "keep"),
    )
    found = cleaned(tmp_path / "run", decisions)
    assert outcomes(found)[SHORT] == outcomes(found)[f"{MAG}3"] == "kept"
    assert outcomes(found)[f"{FORUM}2"] == "human"
    assert found.manifest.dropped["human"] == 1
    assert found.manifest.rows_in == found.rows(CORPUS) + found.rows(PAIRS) + sum(found.manifest.dropped.values())
    pairs = {row["id"]: row for row in found.read(PAIRS).to_pylist()}
    changed = pairs[ids[f"{FORUM}1"]]
    assert changed["question"] == "برای تب کودک چه کنم؟"
    assert changed["answer"] == answer("تب") + " با [تلفن همراه] تماس بگیرید."
    assert changed["words"] == len(f"{changed['question']} {changed['answer']}".split())
    assert ENGLISH.strip() in found.read(CORPUS)["text"].to_pylist()
    assert {name: found.manifest.facts[f"people {name}"] for name in ("keep", "drop", "edit", "unknown", "tied")} == {
        "keep": 2, "drop": 1, "edit": 1, "unknown": 0, "tied": 0,
    }  # fmt: skip


def test_what_people_keep_stays_of_its_duplicates(tmp_path: Path, ids: dict[str, str]) -> None:
    before = outcomes(cleaned(tmp_path / "before"))
    after = outcomes(cleaned(tmp_path / "after", sheet(tmp_path / "d.jsonl", vote(ids[DUPLICATE], "keep"))))
    assert (before[BEST], before[DUPLICATE]) == ("kept", "duplicate-answer")
    assert (after[BEST], after[DUPLICATE]) == ("duplicate-answer", "kept")


def test_of_two_duplicates_that_people_keep_one_stays_and_it_is_said(tmp_path: Path, ids: dict[str, str]) -> None:
    decisions = sheet(tmp_path / "d.jsonl", vote(ids[DUPLICATE], "keep"), vote(ids[BEST], "keep"))
    found = cleaned(tmp_path / "run", decisions)
    assert outcomes(found)[BEST] == "kept"
    assert any("out all the same: duplicate-answer 1" in note for note in found.manifest.notes)


def test_another_of_the_cluster_takes_the_place_of_what_people_drop(tmp_path: Path, ids: dict[str, str]) -> None:
    after = outcomes(cleaned(tmp_path / "run", sheet(tmp_path / "d.jsonl", vote(ids[BEST], "drop"))))
    assert after[DUPLICATE] == "kept"
    assert after[BEST] != "kept"


def test_nobody_keeps_a_row_of_a_test_set(tmp_path: Path, ids: dict[str, str]) -> None:
    found = cleaned(tmp_path / "run", sheet(tmp_path / "d.jsonl", vote(ids[f"{FORUM}8"], "keep")))
    assert outcomes(found)[f"{FORUM}8"] == "test-set exam"
    assert any("out all the same: test-set exam 1" in note for note in found.manifest.notes)
    assert HELD_OUT not in str(found.read(PAIRS).to_pylist())


def test_an_edit_can_not_bring_a_test_set_in(tmp_path: Path, ids: dict[str, str]) -> None:
    decisions = sheet(tmp_path / "d.jsonl", vote(ids[f"{FORUM}1"], "edit", **{QUESTION: HELD_OUT}))
    assert outcomes(cleaned(tmp_path / "run", decisions))[f"{FORUM}1"] == "test-set exam"


def test_decisions_survive_a_recrawl(tmp_path: Path, ids: dict[str, str]) -> None:
    """Other addresses, another order, more rows, another spelling of the same text."""
    decisions = sheet(tmp_path / "d.jsonl", vote(ids[SHORT], "keep"), vote(ids[f"{FORUM}2"], "drop"))
    again = [{**row, "url": row["url"].replace("/q", "/new")} for row in reversed(ROWS)]
    for row in again:
        row["answer"] = row["answer"] and row["answer"].replace("ی", "ي") + "\u200f "
    more = [pair(50, "چشمم می‌سوزد، چه کنم؟", answer("چشم"))]
    found = outcomes(cleaned(tmp_path / "run", decisions, pairs=[*more, *again]))
    assert found["https://forum.test/new60"] == "kept"
    assert found["https://forum.test/new2"] == "human"


def test_boilerplate_that_people_keep_stays(tmp_path: Path) -> None:
    common = "این پاسخ را برای همهٔ پرسش‌ها می‌نویسیم و شما باید با پزشک خود گفت‌وگو کنید تا علت روشن شود. "
    common += "ما نمی‌توانیم بدون دیدن بیمار و آزمایش او چیزی بگوییم و هر کس باید زیر نظر پزشک خودش باشد. "
    rows = [pair(n, f"پرسش دربارهٔ {word} دارم، چه کنم؟", common + answer(word)[:60]) for n, word in enumerate(WORDS)]
    found = cleaned(tmp_path / "before", pairs=[*rows, *ROWS])
    assert found.manifest.dropped["boilerplate"] == len(rows) - 1  # one of them stays
    own = ids_of(found)
    decisions = sheet(tmp_path / "d.jsonl", vote(own[f"{FORUM}11"], "keep"), vote(own[f"{FORUM}12"], "drop"))
    after = cleaned(tmp_path / "after", decisions, pairs=[*rows, *ROWS])
    assert outcomes(after)[f"{FORUM}11"] == "kept"
    assert outcomes(after)[f"{FORUM}12"] == "boilerplate"
    assert after.manifest.facts["reviewed: boilerplate"] == 2
    assert any("boilerplate 1 of 2 (50%, 9% to 91%)" in note for note in after.manifest.notes)


WORDS = (
    """دست پا گردن زانو مچ آرنج ران کتف فک لگن ساق پشت گوش بینی لب دندان زبان گلو سینه شکم کمر کلیه کبد طحال روده معده""".split()
)


def test_precision_of_the_filters_is_what_people_also_drop(tmp_path: Path, ids: dict[str, str]) -> None:
    decisions = sheet(
        tmp_path / "d.jsonl",
        vote(ids[SHORT], "drop"),  # the filter was right: the reason stays the filter's
        vote(ids[f"{FORUM}6"], "keep"),
        vote(ids[f"{FORUM}1"], "keep"),
        vote(ids[f"{FORUM}2"], "drop"),
    )
    found = cleaned(tmp_path / "run", decisions)
    assert outcomes(found)[SHORT] == "short-answer"
    facts = found.manifest.facts
    assert (facts["reviewed: short-answer"], facts["reviewed and dropped: short-answer"]) == (1, 1)
    assert (facts["reviewed: short-question"], facts.get("reviewed and dropped: short-question", 0)) == (1, 0)
    notes = "\n".join(found.manifest.notes)
    assert "short-answer 1 of 1 (100%, 21% to 100%)" in notes  # Wilson: 1 / (1 + 1.96²)
    assert "every filter lets pass and people saw, they keep 1 of 2 (50%, 9% to 91%)" in notes


def test_unknown_ids_are_counted(tmp_path: Path, ids: dict[str, str]) -> None:
    decisions = sheet(tmp_path / "d.jsonl", vote("0123456789abcdef", "drop"), vote("no id", "keep"), vote(ids[SHORT], "keep"))
    found = cleaned(tmp_path / "run", decisions)
    assert found.manifest.facts["people unknown"] == 2
    assert any("2 ids that no row has" in note for note in found.manifest.notes)
    assert outcomes(found)[SHORT] == "kept"


def test_a_tie_leaves_the_filters_word(tmp_path: Path, ids: dict[str, str]) -> None:
    ali = sheet(tmp_path / "ali.jsonl", vote(ids[SHORT], "keep"), vote(ids[f"{FORUM}1"], "drop"))
    sara = sheet(tmp_path / "sara.jsonl", vote(ids[SHORT], "drop"), vote(ids[f"{FORUM}1"], "drop"))
    found = cleaned(tmp_path / "run", ali, sara)
    assert outcomes(found)[SHORT] == "short-answer"
    assert outcomes(found)[f"{FORUM}1"] == "human"
    notes = "\n".join(found.manifest.notes)
    assert "on 1 rows the reviewers' vote is a tie" in notes
    assert "reviewers agree on 1 of 2 (50%, 9% to 91%)" in notes


def test_a_run_that_was_killed_at_its_end_says_the_same(tmp_path: Path, ids: dict[str, str]) -> None:
    """The working rows are swept away before the manifest is written: what they said is kept."""
    decisions = sheet(tmp_path / "d.jsonl", vote(ids[SHORT], "keep"), vote("0123456789abcdef", "drop"))
    first = cleaned(tmp_path / "run", decisions)
    (tmp_path / "run" / "clean" / "0" / "artifact.json").unlink()
    again = cleaned(tmp_path / "run", decisions)
    assert again.manifest.notes == first.manifest.notes
    assert again.manifest.facts == first.manifest.facts


def test_the_most_votes_count_and_a_reviewers_last_word(tmp_path: Path) -> None:
    one = [vote("1", word, reviewer=name) for name, word in (("a", "keep"), ("b", "drop"), ("c", "drop"))]
    two = [vote("2", word, reviewer=name) for name, word in (("a", "keep"), ("b", "drop"), ("a", "drop"))]
    edits = [vote("3", "edit", reviewer=name, **{TEXT: text}) for name, text in (("a", "یک"), ("b", "دو"))]
    votes = read_votes([sheet(tmp_path / "d.jsonl", *one, *two, *edits)])
    assert {row: decision.word for row, decision in votes.decisions().items()} == {"1": "drop", "2": "drop"}
    assert votes.tied() == ["3"]
    assert votes.changed == 1


def test_rows_without_a_decision_are_not_yet_reviewed(tmp_path: Path) -> None:
    assert not read_votes([sheet(tmp_path / "d.jsonl", vote("1", ""), {"id": "2", "decision": None})]).by_row


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"id": "1"}], "has no column decision; begin with a sheet"),
        ([{"decision": "keep"}], "has no column id"),
        ([vote("1", "keep"), vote("2", "kep"), vote("3", "x")], r"row 2: unknown decision 'kep'; .* \(and 1 more"),
        ([vote("1", "edit")], "row 1: edit, but edited question and edited text are empty"),
        ([vote("1", "edit", **{TEXT: " \u200f "})], "row 1: edit, but"),
        ([vote("1", "keep", **{TEXT: "نو"})], "row 1: edited text is filled in, but the decision is keep"),
        ([vote("1", "", **{QUESTION: "نو"})], "the decision is empty"),
        ([vote("", "drop")], "a decision without an id"),
        ([vote("1", "edit", text="الف" + CUT, **{TEXT: "الف"})], "row 1: its text was cut"),
    ],
)
def test_a_mistake_in_a_sheet_is_one_clear_line(rows: Rows, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says) as raised:
        read_votes([sheet(tmp_path / "d.jsonl", *rows)])
    assert "الف" not in str(raised.value) and "\n" not in str(raised.value)


def test_the_files_are_inputs_by_content(tmp_path: Path) -> None:
    path = sheet(tmp_path / "d.jsonl", vote("1", "keep"))
    recipe = load_recipe("demo", [f"clean.decisions={path}"])  # one file needs no list
    before = external(recipe)[f"decisions:{path}"]
    sheet(path, vote("1", "drop"))
    assert external(recipe)[f"decisions:{path}"].digest != before.digest
    with pytest.raises(UserError, match="clean.decisions: .*none.xlsx does not exist"):
        external(load_recipe("demo", [f"clean.decisions={tmp_path / 'none.xlsx'}"]))


def test_cohens_kappa() -> None:
    """Of 50 rows both say yes to 20 and no to 15: 0.7 observed; 0.5 * 0.6 + 0.5 * 0.4 = 0.5 by chance."""
    words = [("keep", "keep")] * 20 + [("keep", "drop")] * 5 + [("drop", "keep")] * 10 + [("drop", "drop")] * 15
    assert cohen_kappa(words) == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert cohen_kappa([("keep", "drop"), ("drop", "keep")]) == -1
    assert cohen_kappa([("keep", "keep")] * 3) is None


def test_agreement_is_of_the_rows_that_two_have_in_common(tmp_path: Path) -> None:
    votes: Votes = read_votes(
        [
            sheet(tmp_path / "a.jsonl", vote("1", "keep"), vote("2", "drop"), vote("3", "drop")),
            sheet(tmp_path / "b.jsonl", vote("1", "keep"), vote("2", "drop"), vote("4", "drop")),
            sheet(tmp_path / "c.jsonl", vote("4", "keep")),
        ]
    )
    found = {(pair.first, pair.second): (pair.rows, pair.agreed, pair.kappa) for pair in agreements(votes)}
    assert found == {("a", "b"): (2, 2, 1.0), ("b", "c"): (1, 0, 0.0)}
