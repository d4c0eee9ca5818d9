"""The report: one file that opens offline, the same numbers for the same work, nothing restricted in it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from pipelines.artifact import Artifact
from pipelines.report.step import report
from pipelines.report.summary import summary
from pipelines.steps import StepRun
from tests.report.conftest import QUESTION, SECRET_NUMBER, SECRET_URL, expected_perplexity

MakeRun = Callable[..., StepRun]


def finished(run: StepRun) -> Artifact:
    outcome = report(run)
    return run.out.finish(
        step="report", version=1, settings={}, inputs={}, tables=(), started=time.time(), files=outcome.files,
        volatile_files=outcome.volatile_files,
    )  # fmt: skip


def page_of(run: StepRun) -> str:
    return finished(run).folder.read("index.html").decode()


class Links(HTMLParser):
    """Everything that a page would load, and the elements that stay open."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loaded += [
            value or "" for name, value in attributes if name == "src" or (name == "href" and not (value or "").startswith("#"))
        ]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> does not close what was opened last"


def test_the_page_is_well_formed_and_loads_nothing_from_elsewhere(make_run: MakeRun) -> None:
    page = page_of(make_run())
    links = Links()
    links.feed(page)
    assert links.open == []
    assert len(links.loaded) == 6  # the pictures
    assert all(link.startswith("data:image/svg+xml;base64,") for link in links.loaded)
    assert "url(data:font/woff2;base64,"[:10] in page
    assert not re.search(r"https?://", page)


def test_perplexity_before_and_after_comes_first(make_run: MakeRun) -> None:
    page = page_of(make_run())
    headline = f"<b>{expected_perplexity(3.2):.1f} → {expected_perplexity(2.9):.1f}</b>"
    assert headline in page
    assert page.index(headline) < page.index('id="steps"')


def test_held_out_perplexity_of_each_source_before_and_after_a_stage(make_run: MakeRun) -> None:
    page = page_of(make_run())
    assert re.search(r'<td class="left">demo-forum</td><td>900</td><td>41\.2 → 33\.8</td>', page)
    assert '<td class="left">all</td>' not in page


def test_energy_by_the_formula_stands_beside_what_was_measured(make_run: MakeRun) -> None:
    run = make_run()
    page = page_of(run)
    assert re.search(
        r"<td>19\.00</td><td>4\.7500</td><td>2\.6600</td><td>6\.5000</td><td>3\.6400</td><td class=\"left\">CPU estimated", page
    )
    assert "at 0.56 kg CO2 a kWh" in page
    assert "kwh" not in run.out.folder.read("report.json").decode()  # a measurement is never the same twice


def test_nothing_restricted_gets_into_the_report(make_run: MakeRun) -> None:
    artifact = finished(make_run())
    for path in artifact.manifest.files:
        text = artifact.folder.read(path).decode()
        assert SECRET_URL not in text
        assert SECRET_NUMBER not in text


def test_dropped_rows_are_shown_by_reason_without_what_identifies_somebody(make_run: MakeRun) -> None:
    page = page_of(make_run())
    assert '<p class="label">question-answer pairs, short-answer, forum</p>' in page
    assert "تلفن من [تلفن همراه] است" in page


def test_what_a_test_item_removed_stands_beside_the_item(make_run: MakeRun) -> None:
    page = page_of(make_run())
    assert '<p class="label">exam, item 7; qa c1, forum</p>' in page
    assert page.index("شایع‌ترین علت؟") < page.index("علت‌ها")


def test_text_of_models_and_people_is_escaped_and_runs_right_to_left(make_run: MakeRun) -> None:
    page = page_of(make_run())
    assert "<script>" not in page
    assert "<b>سردرد" not in page
    assert '<h3 dir="rtl" lang="fa">برای &lt;b&gt;سردرد' in page


def test_a_judge_that_contradicts_itself_is_called_mechanics_only(make_run: MakeRun) -> None:
    assert "Mechanics only" in page_of(make_run(consistent=False))
    assert "Mechanics only" not in page_of(make_run(consistent=True, name="other"))


def test_caps_and_notes_are_named(make_run: MakeRun) -> None:
    page = page_of(make_run())
    assert "train.max_tokens caps finetune" in page
    assert "capped at 16,000 tokens" in page


def test_the_same_work_has_the_same_content_digest_whenever_it_was_reported(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = finished(make_run(name="first"))
    monkeypatch.setattr("pipelines.report.page.time.strftime", lambda *_: "another day")
    second = finished(make_run(name="second"))
    assert first.folder.read("index.html") != second.folder.read("index.html")
    assert first.digest == second.digest


def test_report_json_has_the_numbers_and_no_text(make_run: MakeRun) -> None:
    text = finished(make_run()).folder.read("report.json").decode()
    numbers = json.loads(text)
    assert numbers["funnel"]["question-answer pairs"] == {"kept": 3, "short-answer": 2}
    assert numbers["crawl"]["failures"] == {"404": 1}
    row = next(row for row in numbers["scores"] if row["metric"] == "perplexity" and row["model"] == "base")
    assert row["value"] == pytest.approx(expected_perplexity(3.2), rel=1e-6)
    assert QUESTION not in text
    assert "seconds" not in text


def test_a_run_without_a_judge_or_free_form_answers_has_a_report(make_run: MakeRun) -> None:
    run = make_run()
    evaluate = run.recipe.evaluate.model_copy(update={"judge": None})
    plain = StepRun(run.recipe.model_copy(update={"evaluate": evaluate}), run.inputs, run.out, run.progress, run.cache)
    assert "No judge was asked." in page_of(plain)


def test_the_summary_of_the_terminal_has_steps_and_scores(make_run: MakeRun) -> None:
    from rich.console import Console

    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary(make_run().inputs))
    text = console.export_text()
    assert re.search(r"clean +6 +", text)
    assert re.search(r"held-out-answers +perplexity +4 +24\.5", text)  # exp(3.2) = 24.53
    assert "1 invalid" in text
