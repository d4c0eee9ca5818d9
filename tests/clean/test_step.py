"""The clean step accounts for every row, keeps secrets in restricted tables and does not depend on how rows were sharded."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from cluster import dataflow
from cluster.errors import UserError
from cluster.storage import Storage, open_storage
from pipelines.artifact import Artifact, ArtifactFolder, UnitRecord
from pipelines.clean.decisions import REASONS, decide
from pipelines.clean.ranking import Ranking
from pipelines.clean.step import clean
from pipelines.progress import Progress
from pipelines.recipe import load_recipe
from pipelines.steps import StepRun
from pipelines.tables import ARTICLES, CONTAMINATED, CORPUS, DROPPED, LINEAGE, PAIRS, QA
from tests.tiny_models import SENTENCES

SECRETS = ("09121234567", "۰۲۱-۸۸۷۷۶۶۵۵", "ali.rezaei@example.ir", "https://forum.test/q", "https://mag.test/a")

ARTICLE = (
    "فشار خون بالا معمولاً علامتی ندارد و باید مرتب اندازه‌گیری شود. نوشیدن آب کافی، خواب منظم و ورزش روزانه به سلامت قلب کمک می‌کند.\n"
    "اگر تب کودک بیش از سه روز طول کشید یا بی‌حال شد، به پزشک مراجعه کنید. دیابت نوع دو با کاهش وزن، تغذیهٔ سالم و دارو قابل کنترل است.\n"
    "سردرد میگرنی اغلب یک‌طرفه و ضربان‌دار است و با نور و صدا بدتر می‌شود. کم‌خونی فقر آهن باعث خستگی و رنگ‌پریدگی هنگام فعالیت می‌شود."
)
ENGLISH = "High blood pressure usually has no symptoms and should be measured from time to time by a nurse. " * 5
HELD_OUT = "کدام یک از موارد زیر از عوارض شایع مصرف طولانی مدت داروهای ضد التهاب غیر استروئیدی در سالمندان به شمار می‌رود؟"


def answer(topic: str) -> str:
    parts = [
        f"دربارهٔ {topic} باید بگویم که مورد {topic} {word} در {topic} است"
        for word in ("نخست", "دوم", "سوم", "چهارم", "پنجم", "ششم")
    ]
    return "، ".join(parts) + "."


def article(number: int, text: str) -> dict[str, Any]:
    return {"url": f"https://mag.test/a{number}", "source": "mag", "title": "عنوان", "text": text, "published": ""}


def pair(number: int, question: str, reply: str, source: str = "forum") -> dict[str, Any]:
    return {"url": f"https://forum.test/q{number}", "source": source, "title": "", "question": question, "answer": reply}


ARTICLE_ROWS = [
    article(1, ARTICLE),
    article(2, ARTICLE + " پایان."),  # longer, so this one stays
    article(3, ENGLISH),
    article(4, "کوتاه است و به درد نمی‌خورد."),
    article(5, ARTICLE.replace("فشار خون", "قند خون").replace("سردرد", "دل‌درد") + " " + HELD_OUT),
]
PAIR_ROWS = [
    pair(1, "برای تب کودک چه کنم؟", answer("تب") + f" با {SECRETS[0]} تماس بگیرید."),
    pair(2, "معدهٔ من می‌سوزد، چرا؟ مطب " + SECRETS[1], answer("معده") + " به " + SECRETS[2] + " بنویسید."),
    pair(3, "سردرد دارم چه کار کنم؟", answer("سر") + " ممنون"),
    pair(4, "کمرم درد می‌کند چه کنم؟", answer("سر")),  # the same answer to another question
    pair(5, "سردرد دارم، چه کار کنم", answer("یک")),  # the same question with another, shorter answer
    pair(6, "چرا؟", answer("چشم")),
    pair(7, "پوستم خشک است چه کنم؟", "کرم بزنید."),
    pair(8, HELD_OUT, answer("کلیه")),
    pair(9, "ناخنم می‌شکند، چه بخورم؟", answer("ناخن"), source="exam"),
    {"url": "https://forum.test/q10", "source": "forum", "title": None, "question": None, "answer": None},
]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataflow, "map_tasks", lambda work, items, **options: map(work, items))


def extracted(folder: Path, articles: list[list[dict[str, Any]]], pairs: list[list[dict[str, Any]]]) -> Artifact:
    out = ArtifactFolder(open_storage(folder / "extract" / "0"))
    for table, shards in ((ARTICLES, articles), (QA, pairs)):
        for number, rows in enumerate(shards):
            out.seal(f"{table.name}{number}", {table: table.table(rows)}, rows_in=len(rows))
    return out.finish(step="extract", version=1, settings={}, inputs={}, tables=(ARTICLES, QA, DROPPED), started=0.0)


def run_clean(folder: Path, extract: Artifact, *overrides: str, out: Storage | None = None) -> Artifact:
    test_file = folder / "exam.csv"
    test_file.write_text(f"question\n{HELD_OUT}\n", encoding="utf-8")
    options = [f"clean.decontaminate=[{test_file}]", "evaluate.tasks=[held-out-answers]", *overrides]
    run = StepRun(
        recipe=load_recipe("demo", options),
        inputs={"extract": extract},
        out=ArtifactFolder(out or open_storage(folder / "clean" / "0")),
        progress=Progress(Console(file=io.StringIO())),
        cache=folder,
    )
    outcome = clean(run)
    return run.out.finish(
        step="clean", version=1, settings={}, inputs={}, tables=(CORPUS, PAIRS, LINEAGE, DROPPED, CONTAMINATED), started=0.0,
        units=outcome.units, notes=outcome.notes,
    )  # fmt: skip


@pytest.fixture
def cleaned(tmp_path: Path) -> Artifact:
    return run_clean(tmp_path, extracted(tmp_path, [ARTICLE_ROWS], [PAIR_ROWS[:4], PAIR_ROWS[4:]]))


def test_every_row_is_kept_or_dropped_for_a_reason(cleaned: Artifact) -> None:
    manifest = cleaned.manifest
    assert manifest.rows_in == len(ARTICLE_ROWS) + len(PAIR_ROWS)
    assert manifest.rows_in == cleaned.rows(CORPUS) + cleaned.rows(PAIRS) + sum(manifest.dropped.values())
    assert manifest.dropped == {
        "duplicate-answer": 1,
        "duplicate-article": 1,
        "duplicate-question": 1,
        "empty": 1,
        "language-en": 1,
        "short-answer": 1,
        "short-article": 1,
        "short-question": 1,
        "test-set exam": 2,
    }
    assert Counter(cleaned.read(DROPPED)["reason"].to_pylist()) == manifest.dropped


def test_what_was_dropped_for_a_test_set_stands_beside_its_item(cleaned: Artifact) -> None:
    rows = cleaned.read(CONTAMINATED).to_pylist()
    assert [(row["kind"], row["test_set"], row["item"], row["item_text"]) for row in rows] == [
        ("article", "exam", 1, HELD_OUT),
        ("qa", "exam", 1, HELD_OUT),
    ]
    assert all(HELD_OUT[:60] in row["text"] for row in rows)
    dropped = {row["id"] for row in cleaned.read(DROPPED).to_pylist() if row["reason"] == "test-set exam"}
    assert {row["id"] for row in rows} == dropped


def test_the_longest_of_a_cluster_stays(cleaned: Artifact) -> None:
    kept = set(cleaned.read(LINEAGE)["url"].to_pylist())
    assert "https://mag.test/a2" in kept
    assert not kept & {"https://mag.test/a1", "https://forum.test/q8"}


def test_every_kept_row_leads_to_its_page(cleaned: Artifact) -> None:
    kept = cleaned.read(CORPUS)["id"].to_pylist() + cleaned.read(PAIRS)["id"].to_pylist()
    assert sorted(cleaned.read(LINEAGE)["id"].to_pylist()) == sorted(kept)


def test_secrets_are_in_restricted_tables_only(cleaned: Artifact) -> None:
    public = str([cleaned.read(table).to_pylist() for table in (CORPUS, PAIRS)])
    restricted = str([cleaned.read(table).to_pylist() for table in (LINEAGE, DROPPED)])
    manifest = cleaned.manifest.model_dump_json()
    for secret in SECRETS:
        assert secret not in public
        assert secret not in manifest
    assert "https://forum.test/q1" in restricted
    assert {table: record.restricted for table, record in cleaned.manifest.tables.items()} == {
        "corpus": False, "pairs": False, "lineage": True, "dropped": True, "contaminated": True,
    }  # fmt: skip
    assert cleaned.manifest.facts["redacted mobile"] == 1


def test_no_file_but_the_restricted_tables_is_left_with_a_secret(cleaned: Artifact) -> None:
    assert {path.split("/")[0] for path in cleaned.folder.list()} == {
        "artifact.json",
        "corpus",
        "pairs",
        "lineage",
        "dropped",
        "contaminated",
        ".units",
    }


def test_sharding_changes_nothing(cleaned: Artifact, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    again = run_clean(other, extracted(other, [[row] for row in reversed(ARTICLE_ROWS)], [PAIR_ROWS[::-1]]))
    assert again.digest == cleaned.digest


@pytest.mark.parametrize("before_the_kill", [2, 5, 8])  # while it sifts, compares, keeps
def test_a_killed_run_redoes_only_what_was_not_sealed(
    before_the_kill: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = extracted(tmp_path, [ARTICLE_ROWS], [PAIR_ROWS[:5], PAIR_ROWS[5:]])
    (tmp_path / "whole").mkdir()
    whole = run_clean(tmp_path / "whole", extract)
    seal, sealed = ArtifactFolder.seal, []

    def seal_some(self: ArtifactFolder, unit: str, *arguments: Any, **options: Any) -> UnitRecord:
        if len(sealed) == before_the_kill:
            raise KeyboardInterrupt
        sealed.append(unit)
        return seal(self, unit, *arguments, **options)

    monkeypatch.setattr(ArtifactFolder, "seal", seal_some)
    with pytest.raises(KeyboardInterrupt):
        run_clean(tmp_path, extract)
    monkeypatch.setattr(ArtifactFolder, "seal", lambda self, unit, *a, **o: sealed.append(unit) or seal(self, unit, *a, **o))
    assert run_clean(tmp_path, extract).digest == whole.digest
    assert len(sealed) == len(set(sealed)) == len(list(whole.folder.list(".units")))


def test_sources_can_have_their_own_split(tmp_path: Path) -> None:
    cleaned = run_clean(
        tmp_path,
        extracted(tmp_path, [], [PAIR_ROWS]),
        "clean.split_by_source={exam: test, forum: train}",
        "clean.valid_fraction=0",
    )
    splits = {row["source"]: row["split"] for row in cleaned.read(PAIRS).to_pylist()}
    assert splits == {"exam": "test", "forum": "train"}


def test_many_pairs_are_compared_in_tasks_with_the_same_result(
    cleaned: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.clean.step.FEW_PAIRS", 0)
    monkeypatch.setattr("pipelines.clean.comparisons.BATCH_CHARACTERS", 10)  # a pair a batch
    (tmp_path / "tasks").mkdir()
    again = run_clean(tmp_path / "tasks", extracted(tmp_path / "tasks", [ARTICLE_ROWS], [PAIR_ROWS]))
    assert again.digest == cleaned.digest


def test_splits_stay_when_rows_are_added(tmp_path: Path) -> None:
    """New rows, and new duplicates of old ones: only rows in whose cluster something came may move."""

    def splits(folder: Path, rows: list[dict[str, Any]]) -> dict[str, str]:
        folder.mkdir()
        cleaned = run_clean(folder, extracted(folder, [], [rows]), "clean.valid_fraction=0.5")
        return {row["question"]: row["split"] for row in cleaned.read(PAIRS).to_pylist()}

    rows = [pair(n, sentence, answer(f"بیماری{n}")) for n, sentence in enumerate(SENTENCES[:15])]
    copies = [pair(20 + n, sentence + " ممنون", answer(f"بیماری{n}") + " پایان") for n, sentence in enumerate(SENTENCES[:3])]
    few, many = splits(tmp_path / "few", rows[:9]), splits(tmp_path / "many", [*copies, *rows[::-1]])
    assert set(many.values()) == {"train", "valid"}
    unmoved = [row["question"] for row in rows[3:9]]
    assert {question: many[question] for question in unmoved} == {question: few[question] for question in unmoved}


def test_rows_of_one_cluster_are_in_one_split() -> None:
    """A question's cluster and an answer's join families; the split is that of the smallest id, whoever stays."""
    ids = np.array([9, 4, 7, 2, 5], dtype=np.uint64)
    found = {"question": np.array([0, 0, 2, 3, 4]), "text": np.array([0, 1, 1, 3, 4])}
    decided = decide(
        "qa", Ranking(ids, np.zeros(5, dtype=np.uint64), np.array([10, 30, 20, 5, 5])), found, np.zeros(5, dtype=bool), found
    )
    assert decided.families.tolist() == [4, 4, 4, 2, 5]
    assert [REASONS[code] for code in decided.reasons] == ["duplicate-question", "", "duplicate-answer", "", ""]


def test_an_empty_result_names_the_biggest_reasons(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"kept none of 2 rows \(short-answer 2\)"):
        run_clean(tmp_path, extracted(tmp_path, [], [[pair(1, "سرم درد می‌کند؟", "بله."), pair(2, "پایم درد می‌کند؟", "خیر.")]]))
    with pytest.raises(UserError, match="extract left neither"):
        run_clean(tmp_path, extracted(tmp_path / "none", [], []))


def test_a_text_that_many_rows_repeat_is_noted(tmp_path: Path) -> None:
    rows = [
        pair(n, f"{topic} من درد می‌کند چه کنم؟", answer("همه"))
        for n, topic in enumerate("دست پا گردن زانو مچ آرنج ران کتف فک لگن ساق پشت".split())
    ]
    cleaned = run_clean(tmp_path, extracted(tmp_path, [], [rows]))
    assert cleaned.rows(PAIRS) == 1
    assert any("12 of 12 qa rows have nearly the same answer" in note for note in cleaned.manifest.notes)
