"""Writes a trained model as a folder ready to push: weights, tokenizer, template, adapter, and last of all the card.

Copies the weights once; quantized ones are made in the node's cache first. Killed, it is written again over what it had left.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from cluster.cache import cache_folder
from pipelines.artifact import file_digest
from pipelines.progress import Progress
from pipelines.publish.model_adapter import combine
from pipelines.publish.model_card import model_card
from pipelines.publish.model_origin import checked_files
from pipelines.publish.model_publication import ModelPublication
from pipelines.publish.model_quantize import check_package, quantize
from pipelines.publish.target import CARD

OF_THE_MODEL = ("config.json", "generation_config.json", ".safetensors", ".safetensors.index.json")


def publish(publication: ModelPublication, progress: Progress) -> bool:
    """Write it; False when it was finished before. Raises UserError for a folder that holds something else, StorageFull."""
    if publication.is_finished():
        return False
    if publication.form == "int8" or publication.form == "int4":
        check_package(publication.form)
    publication.claim()
    digests: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=cache_folder("publish")) as work:
        files = list(_files(publication, Path(work)))
        progress.total(len(files))
        for path, file in files:
            publication.folder.write_file(path, file)
            digests[path] = file_digest(file)
            progress.advance()
    publication.folder.write(CARD, model_card(publication, digests).encode())
    return True


def _files(publication: ModelPublication, work: Path) -> Iterator[tuple[str, Path]]:
    """Every file but the card, with its path in the published folder; what has to be made is made in `work`."""
    form, found = publication.form, publication.origin
    model = checked_files(found.instruct, "model")
    yield from ((file.name, file) for file in model if form == "merged" or not file.name.endswith(OF_THE_MODEL))
    if form == "int8" or form == "int4":
        yield from _below(quantize(model[0].parent, form, work / "model"))
        return
    adapters = [checked_files(stage, "adapter")[0].parent for stage in (found.finetune, found.instruct)]
    prefix = "" if form == "adapter" else "adapter/"
    for name, file in _below(combine(adapters, publication.base.repository or publication.base.name, work / "adapter")):
        yield prefix + name, file


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    return ((file.name, file) for file in sorted(folder.iterdir()))
