"""The plugin of llm: the models of the catalogue as embedding models.

    llm embed -m bge-small-en-v1.5 -c "some text"
    llm embed-multi notes -m bge-small-en-v1.5 notes.csv
    llm similar notes -c "a question"

Texts are embedded as passages, queries of `llm similar` too, since llm does not say which is which. llm
keeps vectors as this extension does: the blobs in its table `embeddings` are vectors for bge_cosine.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator

import click
import llm

from .catalog import models
from .connecting import open_database, sqlite_module
from .loading import LoadingFailed, LoadingUnavailable

BATCH = 256  # texts in one statement: enough for full batches, few enough to hear Ctrl-C


@llm.hookimpl
def register_embedding_models(register) -> None:
    for model in models():
        if model.get("kind", "embedding") == "embedding":  # a reranker makes no vectors
            register(BgeModel(model["name"]))


class BgeModel(llm.EmbeddingModel):
    """One model of the catalogue. Nothing is opened before the first text."""

    batch_size = BATCH

    def __init__(self, name: str) -> None:
        self.model_id = name
        self._lock = threading.Lock()
        self._connection = None

    def embed_batch(self, items: Iterable[str | bytes], *, key: str | None = None) -> Iterator[list[float]]:
        """The vectors of texts, in their order: as many floats each as the model has dimensions.

        Raises click's one-line exception, since llm's commands catch none around an embedding: no such
        model here, a Python that loads no extensions.
        """
        import struct

        texts = [item.decode("utf-8") if isinstance(item, bytes) else item for item in items]
        with self._lock:
            try:
                rows = self._vectors(json.dumps(texts))
            except (LoadingUnavailable, LoadingFailed, sqlite_module().Error) as error:
                raise click.ClickException(str(error)) from error
        for (blob,) in rows:
            yield list(struct.unpack(f"<{len(blob) // 4}f", blob))

    def _vectors(self, texts: str) -> list[tuple[bytes]]:
        if self._connection is None:
            self._connection = open_database(any_thread=True)
        return self._connection.execute(
            "SELECT embedding FROM bge_embed_each(?, ?) ORDER BY idx", (texts, self.model_id)).fetchall()
