"""A LangChain vector store in a SQLite file: `pip install 'sqlite-bge[langchain]'`.

    from sqlite_bge.langchain import BgeVectorStore

    store = BgeVectorStore("notes.db")
    store.add_texts(["The router is reset with the small button."], metadatas=[{"lang": "en"}])
    store.similarity_search("how do I reset my device?", k=1)

Documents are rows of an ordinary table, (number, id, content, metadata), with a semantic index over
`content`. Without `embedding` the extension embeds them itself; with a LangChain `Embeddings` the vectors
are that one's. A filter is applied before ranking, so k documents come if there are so many that pass.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from .connecting import sqlite_module
from .indexes import quoted, read_index
from .loading import load
from .making import Wanted, refuse_another
from .syncing import sync
from .vectors import deserialize, serialize_float32

COMPARISONS = {"$eq": "IS", "$ne": "IS NOT", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


class BgeEmbeddings(Embeddings):
    """The extension's own embedding as a LangChain `Embeddings`: passages and queries of one model."""

    def __init__(self, model: str | None = None) -> None:
        self.model = model
        self._store_lock = threading.Lock()
        self._db = _connect(":memory:")

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of passages, in order."""
        with self._store_lock:
            rows = self._db.execute("SELECT embedding FROM bge_embed_each(?, ?) ORDER BY idx",
                                    (json.dumps(list(texts)), self.model)).fetchall()
        return [deserialize(blob).tolist() for (blob,) in rows]

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query."""
        arguments = (text,) if self.model is None else (text, self.model)
        with self._store_lock:
            sql = f"SELECT bge_embed_query({', '.join('?' * len(arguments))})"
            return deserialize(self._db.execute(sql, arguments).fetchone()[0]).tolist()


class BgeVectorStore(VectorStore):
    """Documents of one table of a SQLite file, searched by meaning.

    `database` is a path, or `:memory:`. `table` is made if it is not there, and its index
    `TABLE_bge` too. `embedding` is a LangChain `Embeddings`; None leaves embedding to the extension, with
    `model` (a model's name) or the default model. One store may be used from many threads.

    Raises indexes.IndexProblem where the index is there and is of another model, or not over the documents.
    """

    def __init__(self, database: str | os.PathLike = ":memory:", *, table: str = "documents",
                 embedding: Embeddings | None = None, model: str | None = None) -> None:
        self._lock = threading.RLock()
        self._db = _connect(database)
        self._embedding = embedding
        self._table, self._index = quoted(table), quoted(f"{table}_bge")
        self._name = table
        with self._transaction():
            self._db.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table}(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
                "content TEXT NOT NULL, metadata TEXT NOT NULL DEFAULT '{}')")
        index = read_index(self._db, f"{table}_bge")
        if index:  # a column that somebody filters by does not disturb the store
            refuse_another(self._db, index, table, Wanted(["content"], index.filters, model=model))
        else:
            options = [("content", table), ("model", model)]
            said = ", ".join(f"{option}='{value.replace(chr(39), chr(39) * 2)}'" for option, value in options if value)
            self._db.execute(f"CREATE VIRTUAL TABLE {self._index} USING bge(content, {said})")
        # Scores are cosines whatever ranking is the index's default; one with a column called rank has no ranking but that.
        self._ranked = "AND s.rank MATCH 'meaning'" if not index or "rank" in index.hidden else ""

    @property
    def embeddings(self) -> Embeddings | None:
        return self._embedding

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._db.close()

    # --- writing ---

    def add_texts(self, texts: Iterable[str], metadatas: list[dict] | None = None, *,
                  ids: list[str] | None = None, **_: Any) -> list[str]:
        """Adds texts and embeds them; an id that is there already gets the new text. Returns the ids.

        Raises ValueError where there are not as many metadatas or ids as texts.
        """
        texts = list(texts)
        for what, given in (("metadatas", metadatas), ("ids", ids)):
            if given is not None and len(given) != len(texts):
                raise ValueError(f"there are {len(given)} {what} for {len(texts)} texts, expected one for each")
        ids = [id or str(uuid.uuid4()) for id in ids or [None] * len(texts)]
        metadatas = metadatas or [{}] * len(texts)
        vectors = self._embedding.embed_documents(texts) if self._embedding and texts else None
        with self._lock:
            with self._transaction():
                for place, row in enumerate(zip(ids, texts, map(json.dumps, metadatas))):
                    number = self._db.execute(
                        f"INSERT INTO {self._table}(id, content, metadata) VALUES (?, ?, ?) ON CONFLICT(id) DO UPDATE "
                        "SET content = excluded.content, metadata = excluded.metadata RETURNING number", row).fetchall()[0][0]
                    if vectors:
                        self._db.execute(f"INSERT OR REPLACE INTO {self._index}(rowid, embedding) VALUES (?, ?)",
                                         (number, serialize_float32(vectors[place])))
            if not vectors:
                sync(self._db, self._index, progress=False)
        return ids

    def delete(self, ids: list[str] | None = None, **_: Any) -> bool:
        """Removes documents; all of them where `ids` is None. Ids that are not there are passed over."""
        with self._lock, self._transaction():
            if ids is None:
                self._db.execute(f"DELETE FROM {self._table}")
            else:
                self._db.execute(f"DELETE FROM {self._table} WHERE id IN (SELECT value FROM json_each(?))",
                                 (json.dumps(list(ids)),))
        with self._lock:
            self._db.execute(f"SELECT bge_sync({_literal(self._index)})").fetchall()
        return True

    @classmethod
    def from_texts(cls, texts: list[str], embedding: Embeddings | None = None, metadatas: list[dict] | None = None,
                   *, ids: list[str] | None = None, **options: Any) -> BgeVectorStore:
        """A store of these texts; `options` are those of the constructor."""
        store = cls(embedding=embedding, **options)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    # --- reading ---

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of these ids that are there, in the order of `ids`."""
        with self._lock:
            rows = self._db.execute(
                f"SELECT d.id, d.content, d.metadata FROM json_each(?) AS wanted JOIN {self._table} AS d "
                "ON d.id = wanted.value ORDER BY wanted.key", (json.dumps(list(ids)),)).fetchall()
        return [_document(*row) for row in rows]

    def similarity_search(self, query: str, k: int = 4, filter: dict | None = None, **_: Any) -> list[Document]:
        """The k documents nearest to a query, the nearest first."""
        return [document for document, _ in self.similarity_search_with_score(query, k, filter)]

    def similarity_search_with_score(self, query: str, k: int = 4, filter: dict | None = None,
                                     **_: Any) -> list[tuple[Document, float]]:
        """The same with their cosines to the query, in [-1, 1]: larger is nearer."""
        return [(document, score) for document, score, _ in self._nearest(self._query(query), k, filter)]

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, filter: dict | None = None,
                                    **_: Any) -> list[Document]:
        """The k documents nearest to a vector."""
        return [document for document, _, _ in self._nearest(serialize_float32(embedding), k, filter)]

    def max_marginal_relevance_search(self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5,
                                      filter: dict | None = None, **_: Any) -> list[Document]:
        """k of the `fetch_k` nearest documents, chosen near to the query and far from one another."""
        return self._diverse(self._query_vector(query), k, fetch_k, lambda_mult, filter)

    def max_marginal_relevance_search_by_vector(self, embedding: list[float], k: int = 4, fetch_k: int = 20,
                                                lambda_mult: float = 0.5, filter: dict | None = None,
                                                **_: Any) -> list[Document]:
        """The same for a vector."""
        return self._diverse(serialize_float32(embedding), k, fetch_k, lambda_mult, filter)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda cosine: max(0.0, min(1.0, cosine))

    def _query(self, text: str) -> str | bytes:
        """What MATCH takes: the text where the extension embeds, else the vector."""
        return serialize_float32(self._embedding.embed_query(text)) if self._embedding else text

    def _query_vector(self, text: str) -> bytes:
        if self._embedding:
            return self._query(text)
        with self._lock:
            model = json.loads(self._value(f"SELECT bge_status({_literal(self._index)})"))["model"]["name"]
            return self._value("SELECT bge_embed_query(?, ?)", text, model)

    def _value(self, sql: str, *arguments: Any) -> Any:
        return self._db.execute(sql, arguments).fetchall()[0][0]

    def _nearest(self, query: str | bytes, k: int, filter: dict | None) -> list[tuple[Document, float, bytes]]:
        condition, arguments = _condition(filter)
        within = f"AND s.rowid IN (SELECT number FROM {self._table} WHERE {condition})" if filter else ""
        sql = (f"SELECT d.id, d.content, d.metadata, s.score, s.embedding FROM (SELECT rowid, score, embedding, distance "
               f"FROM {self._index} AS s WHERE {self._index} MATCH ? AND k = ? {self._ranked} {within}) AS s "
               f"JOIN {self._table} AS d ON d.number = s.rowid ORDER BY s.distance")
        with self._lock:
            rows = self._db.execute(sql, (query, k, *arguments)).fetchall() if k > 0 else []
        return [(_document(*row[:3]), row[3], row[4]) for row in rows]

    def _diverse(self, query: bytes, k: int, fetch_k: int, lambda_mult: float, filter: dict | None) -> list[Document]:
        found = self._nearest(query, fetch_k, filter)
        if not found:
            return []
        chosen = maximal_marginal_relevance(
            deserialize(query), [deserialize(vector) for _, _, vector in found], lambda_mult, min(k, len(found)))
        return [found[place][0] for place in chosen]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _connect(database: str | os.PathLike) -> Any:
    # Retrievers run on threads of LangChain's pool; a lock keeps them apart.
    db = sqlite_module().connect(os.fspath(database), isolation_level=None, check_same_thread=False)
    load(db)
    return db


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _document(id: str, content: str, metadata: str) -> Document:
    return Document(id=id, page_content=content, metadata=json.loads(metadata))


def _condition(filter: dict | None) -> tuple[str, list]:
    """A filter as SQL over the column `metadata`, and its arguments.

    {"lang": "en"} compares; {"year": {"$gte": 2000, "$lt": 2010}} with $eq $ne $gt $gte $lt $lte $in $nin.
    Raises ValueError for anything else.
    """
    terms, arguments = [], []
    for key, wanted in (filter or {}).items():
        comparisons = wanted if isinstance(wanted, dict) else {"$eq": wanted}
        for name, value in comparisons.items():
            # A path that holds any key; json_extract has no way to write a double quote in one.
            if not isinstance(key, str) or '"' in key:
                raise ValueError(f"the filter has the key {key!r}, expected a text without double quotes")
            column, path = "json_extract(metadata, ?)", f'$."{key}"'
            if name in COMPARISONS:
                terms.append(f"{column} {COMPARISONS[name]} ?")
                arguments += [path, _scalar(key, value)]
            elif name in ("$in", "$nin"):
                if not isinstance(value, (list, tuple, set)):
                    raise ValueError(f"{name} of {key} is {value!r}, expected a list")
                terms.append(f"{column} {'NOT IN' if name == '$nin' else 'IN'} (SELECT value FROM json_each(?))")
                arguments += [path, json.dumps([_scalar(key, one) for one in value])]
            else:
                raise ValueError(f"the filter of {key} has {name}, expected one of {', '.join([*COMPARISONS, '$in', '$nin'])}")
    return " AND ".join(terms) or "1", arguments


def _scalar(key: str, value: Any) -> Any:
    if isinstance(value, numpy.generic):
        value = value.item()
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise ValueError(f"the filter of {key} compares with {value!r}, expected text, a number, true, false or None")
    return value
