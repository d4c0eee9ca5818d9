"""The `forget` command."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.errors import UserError
from pipelines.options import OutOption, RecipeOption, SetOption, console, open_run


def forget(
    what: Annotated[str, typer.Argument(metavar="URL|HOST", help="A page's address, or a host (its subdomains go with it).")],
    recipe: RecipeOption = "demo",
    out: OutOption = "",
    changes: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and do nothing.")] = False,
) -> None:
    """Remove a page or a host from every result of a run, keep it out, and list the models that were trained on it."""
    from pipelines.crawl.source import load_sources
    from pipelines.forget.artifacts import folders
    from pipelines.forget.request import WITH_ROWS
    from pipelines.forget.request import forget as work_off
    from pipelines.forget.tombstones import Target

    chosen, root = open_run(recipe, out, changes)
    if not any(folders(root, step) for step in WITH_ROWS):
        raise UserError(f"there is no run in {root.url}; name its folder with --out")
    sources = {source.name: source for source in load_sources(chosen.crawl.sources)}
    removal = work_off(root, Target.parse(what), sources, dry_run=dry_run)
    would = "would be " if dry_run else ""
    for name, tables in removal.rows.items():
        console.print(f"{name}: {', '.join(f'{table} {number:,}' for table, number in sorted(tables.items()))} {would}removed")
    for name in removal.thrown_away:
        console.print(f"{name}: {would}thrown away, to be made again")
    if not removal.rows:
        console.print(f"nothing of it was found in {root.url}")
    for name in removal.models:
        console.print(f"[yellow]{name} was trained on it[/]: train again, and delete that folder and what was made from it")
    if not dry_run:
        console.print("it is refused from now on; `gaokerena status` shows what `gaokerena run` would do again")
