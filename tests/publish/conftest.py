"""A run with its clean step really done on planted rows: what identifies somebody is in kept rows and in dropped ones."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster import dataflow
from cluster.storage import Storage, open_storage
from pipelines.artifact import Artifact, ArtifactFolder, Input
from pipelines.clean.step import clean
from pipelines.progress import Progress
from pipelines.publish.data import publish
from pipelines.publish.publication import Publication
from pipelines.recipe import Recipe, load_recipe
from pipelines.steps import StepRun, step_named
from pipelines.tables import ARTICLES, DROPPED, QA

PHONE, EMAIL, HOST = "09121234567", "ali.rezaei@example.ir", "clinic.example"
SPELLINGS = ("۰۹۱۲۱۲۳۴۵۶۷", "۰۹۱۲ ۱۲۳ ۴۵۶۷", PHONE)
PLANTED = (*SPELLINGS, EMAIL, HOST)
HELD_OUT = "کدام یک از موارد زیر از عوارض شایع مصرف طولانی مدت داروهای ضد التهاب غیر استروئیدی در سالمندان به شمار می‌رود؟"
ARTICLE = (
    "فشار خون بالا معمولاً علامتی ندارد و باید مرتب اندازه‌گیری شود. نوشیدن آب کافی، خواب منظم و ورزش روزانه به سلامت قلب کمک می‌کند.\n"
    "اگر تب کودک بیش از سه روز طول کشید یا بی‌حال شد، به پزشک مراجعه کنید. دیابت نوع دو با کاهش وزن، تغذیهٔ سالم و دارو قابل کنترل است.\n"
    "سردرد میگرنی اغلب یک‌طرفه و ضربان‌دار است و با نور و صدا بدتر می‌شود. کم‌خونی فقر آهن باعث خستگی و رنگ‌پریدگی هنگام فعالیت می‌شود."
)
TOPICS = "دیابت میگرن آسم رماتیسم کم‌خونی پسوریازیس نقرس زونا برونشیت سینوزیت".split()


def answer(topic: str) -> str:
    words = ("نخست", "دوم", "سوم", "چهارم", "پنجم", "ششم")
    return "، ".join(f"دربارهٔ {topic} باید بگویم که مورد {topic} {word} در {topic} است" for word in words) + "."


def pair(number: int, question: str, reply: str, source: str = "forum") -> dict[str, Any]:
    return {"url": f"https://{HOST}/q{number}", "source": source, "title": "", "question": question, "answer": reply}


PAIRS_IN = [
    *(pair(n, f"برای درمان {topic} چه کار باید بکنم؟", answer(topic)) for n, topic in enumerate(TOPICS[:6])),
    *(pair(10 + n, f"علت {topic} چیست و چه کار کنم؟", answer(topic), "exam") for n, topic in enumerate(TOPICS[6:])),
    pair(
        20,
        f"شمارهٔ من {SPELLINGS[0]} است، برای تب چه کنم؟",
        f"{answer('تب')} با {SPELLINGS[1]} یا {EMAIL} تماس بگیرید. https://{HOST}/a",
    ),
    pair(21, "سرم درد می‌کند چه کنم؟", f"با {PHONE} تماس بگیرید یا به {EMAIL} بنویسید، https://{HOST}/b را ببینید."),  # dropped
    pair(22, HELD_OUT, answer("کلیه")),  # dropped
]
ARTICLES_IN = [
    {
        "url": f"https://{HOST}/m1",
        "source": "magazine",
        "title": f"فشار خون {PHONE}",
        "text": f"{ARTICLE} تلفن {PHONE}.",
        "published": "",
    },
    {"url": f"https://{HOST}/m2", "source": "magazine", "title": "کوتاه", "text": f"کوتاه است. {EMAIL}", "published": ""},
]


@dataclass
class Run:
    """A run whose clean step is finished."""

    recipe: Recipe
    root: Storage
    clean: Artifact

    def publish(self, to: Path | str = "", **settings: Any) -> Storage:
        """The folder of a publication with these settings."""
        publication = Publication.of(self.with_settings(**settings), self.root, str(to))
        publish(publication, Progress(Console(file=io.StringIO())))
        return publication.folder

    def with_settings(self, **settings: Any) -> Recipe:
        publish = type(self.recipe.publish).model_validate({"token_texts": 0, **settings})
        return self.recipe.model_copy(update={"publish": publish})


def clean_run(
    folder: Path, name: str = "run", articles: list[dict[str, Any]] = ARTICLES_IN, pairs: list[dict[str, Any]] = PAIRS_IN
) -> Run:
    """A run below a folder; its clean step is done in this process."""
    root = open_storage(folder / name)
    test_file = folder / "folder of mine" / "exam-2023.csv"
    test_file.parent.mkdir(exist_ok=True)
    test_file.write_text(f"question\n{HELD_OUT}\n", encoding="utf-8")
    recipe = load_recipe(
        "demo",
        [f"clean.decontaminate=['{test_file}']", "evaluate.tasks=[held-out-answers]", "clean.valid_fraction=0",
         "clean.split_by_source={exam: test}"],
    )  # fmt: skip
    extract = extracted(root, articles, [pairs[:5], pairs[5:]])
    out, step = ArtifactFolder(root.sub("clean", "0")), step_named("clean")
    outcome = clean(StepRun(recipe, {"extract": extract}, out, Progress(Console(file=io.StringIO())), folder))
    inputs = {"extract": Input(digest=extract.digest), **step.external_inputs(recipe)}
    artifact = out.finish(
        step="clean", version=step.version, settings=step.identity(recipe), inputs=inputs, tables=step.tables, started=0.0,
        units=outcome.units, notes=outcome.notes,
    )  # fmt: skip
    root.point("clean/latest", "0")
    return Run(recipe, root, artifact)


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    monkeypatch.setattr(dataflow, "map_tasks", in_this_process)
    return partial(clean_run, tmp_path)


def in_this_process(work: Callable[..., Any], items: Any, **options: Any) -> Any:
    """Instead of tasks."""
    return map(work, items)


def extracted(root: Storage, articles: list[dict[str, Any]], pairs: list[list[dict[str, Any]]]) -> Artifact:
    out = ArtifactFolder(root.sub("extract", "0"))
    for table, shards in ((ARTICLES, [articles]), (QA, pairs)):
        for number, rows in enumerate(shards):
            out.seal(f"{table.name}{number}", {table: table.table(rows)}, rows_in=len(rows))
    return out.finish(step="extract", version=1, settings={}, inputs={}, tables=(ARTICLES, QA, DROPPED), started=0.0)


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    return make_run()
