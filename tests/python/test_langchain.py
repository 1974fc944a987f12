"""The LangChain vector store: what LangChain's interface promises, over the extension's own embedding and over another."""

import contextlib
import sqlite3
import threading

import numpy
import pytest
import sqlite_bge
import support
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from sqlite_bge.indexes import IndexProblem
from sqlite_bge.langchain import BgeEmbeddings, BgeVectorStore

TEXTS = [body for _, body in support.ROWS]
METADATA = [{"title": "Router", "year": 2001, "tags": ["a"]}, {"title": "Invoice", "year": 2010}, {"title": "Holidays", "year": None}]


@pytest.fixture(params=["ours", "another"])
def store(request, tmp_path):
    embedding = DeterministicFakeEmbedding(size=12) if request.param == "another" else None
    made = BgeVectorStore(tmp_path / "store.db", embedding=embedding)
    yield made
    made.close()


@pytest.fixture
def desk(tmp_path):
    made = BgeVectorStore(tmp_path / "desk.db")
    made.add_texts(TEXTS, METADATA, ids=["r", "i", "h"])
    yield made
    made.close()


def test_what_is_added_is_found_by_meaning(desk):
    documents = desk.similarity_search("how do I reset my device?", k=1)
    assert documents == [Document(id="r", page_content=TEXTS[0], metadata=METADATA[0])]


def test_scores_are_cosines_of_query_and_passage(desk):
    embeddings = BgeEmbeddings()
    query = numpy.array(embeddings.embed_query("vacation"))
    found = desk.similarity_search_with_score("vacation", k=3)
    passages = embeddings.embed_documents([document.page_content for document, _ in found])
    assert [score for _, score in found] == pytest.approx([query @ numpy.array(p) for p in passages], abs=1e-5)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert desk.similarity_search_with_relevance_scores("vacation", k=1)[0][1] == pytest.approx(found[0][1])


@pytest.mark.parametrize("ranking", ["hybrid", "words", "hybrid, mmr(0.3)"])
@pytest.mark.parametrize("embedding", [None, DeterministicFakeEmbedding(size=384)], ids=["ours", "another"])
def test_scores_are_cosines_whatever_the_index_ranks_by(tmp_path, ranking, embedding):
    """An index with words that another program has made, and a row that only words find."""
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    sqlite_bge.load(other)
    other.execute("CREATE TABLE documents(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, content TEXT NOT NULL, "
                  "metadata TEXT NOT NULL DEFAULT '{}')")
    other.execute("CREATE VIRTUAL TABLE documents_bge USING bge(content, content='documents', words=on, catchup=0)")
    other.execute("INSERT INTO documents_bge(documents_bge, rank) VALUES ('rank', ?)", (ranking,))
    store = BgeVectorStore(tmp_path / "a.db", embedding=embedding)
    store.add_texts(TEXTS, METADATA, ids=["r", "i", "h"])
    before = [(document.id, score) for document, score in store.similarity_search_with_score("payments and vacation", k=4)]
    assert len(before) == 3 and [score for _, score in before] == sorted((score for _, score in before), reverse=True)
    other.execute("INSERT INTO documents(id, content) VALUES ('new', 'payments and vacation')")
    assert [(d.id, score) for d, score in store.similarity_search_with_score("payments and vacation", k=4)] == before
    assert store.similarity_search_with_relevance_scores("payments and vacation", k=4)
    store.close()
    other.close()


def test_a_column_that_queries_filter_by_does_not_disturb_the_store(tmp_path):
    BgeVectorStore(tmp_path / "a.db").close()
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
        sqlite_bge.load(other)
        other.execute("DROP TABLE documents_bge")
        other.execute("CREATE VIRTUAL TABLE documents_bge USING bge(content, metadata UNINDEXED, content='documents')")
    for embedding in (None, DeterministicFakeEmbedding(size=384)):
        store = BgeVectorStore(tmp_path / "a.db", embedding=embedding)
        store.add_texts(TEXTS, METADATA, ids=["r", "i", "h"])
        assert store.similarity_search(TEXTS[1], k=1)[0].id == "i"
        store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
        sqlite_bge.load(other)
        other.execute("DROP TABLE documents_bge")
        other.execute("CREATE VIRTUAL TABLE documents_bge USING bge(metadata, content='documents')")
    with pytest.raises(IndexProblem, match="over metadata of documents; wanted: content of documents"):
        BgeVectorStore(tmp_path / "a.db")


@pytest.mark.parametrize("filter, ids", [
    ({"title": "Invoice"}, "i"), ({"year": {"$gte": 2001, "$lt": 2010}}, "r"), ({"year": None}, "h"),
    ({"year": {"$ne": 2001}}, "hi"), ({"title": {"$in": ["Router", "Holidays"]}}, "hr"),
    ({"title": {"$nin": ["Router"]}}, "hi"), ({"title": "Router", "year": 1}, ""), ({"it's": "x"}, ""), ({}, "hir")])
def test_filters_are_applied_before_ranking(desk, filter, ids):
    """k = 1 takes the one nearest row that passes: were it cut before, there would be none."""
    found = desk.similarity_search("how do I reset my device?", k=3, filter=filter)
    assert "".join(sorted(document.id for document in found)) == ids
    assert len(desk.similarity_search("how do I reset my device?", k=1, filter=filter)) == min(1, len(ids))


@pytest.mark.parametrize("filter", [{"year": {"$like": 1}}, {"year": {"$in": 3}}, {"year": [1]}, {'"': 1}])
def test_a_filter_that_is_none_is_said(desk, filter):
    with pytest.raises(ValueError, match="filter|expected a list"):
        desk.similarity_search("x", filter=filter)


def test_add_get_replace_and_delete(store):
    ids = store.add_texts(["one", "two"])
    assert len(set(ids)) == 2 and store.add_texts([]) == []
    assert store.add_documents([Document(id="x", page_content="three"), Document(page_content="four")])[0] == "x"
    store.add_texts(["another three"], [{"new": True}], ids=["x"])
    assert store.get_by_ids(["x", "nope", ids[0]]) == [
        Document(id="x", page_content="another three", metadata={"new": True}), Document(id=ids[0], page_content="one")]
    assert store.similarity_search("another three", k=1)[0].id == "x"
    assert len(store.similarity_search("one", k=10)) == 4
    assert store.delete([ids[0], "nope"]) is True
    assert len(store.similarity_search("one", k=10)) == 3 and store.get_by_ids([ids[0]]) == []
    store.delete()
    assert store.similarity_search("one") == []


def test_it_is_all_there_when_opened_again(store, tmp_path):
    store.add_texts(["one", "two"], ids=["1", "2"])
    again = BgeVectorStore(tmp_path / "store.db", embedding=store.embeddings)
    assert again.similarity_search("two", k=1)[0].id == "2"
    again.close()


def test_as_many_ids_and_metadatas_as_texts(store):
    for given in ({"ids": ["1"]}, {"metadatas": [{}]}):
        with pytest.raises(ValueError, match="1 (ids|metadatas) for 2 texts"):
            store.add_texts(["one", "two"], **given)
    assert store.similarity_search("one") == []


def test_an_addition_that_fails_leaves_nothing(store):
    with pytest.raises(TypeError):
        store.add_texts(["one", "two"], [{}, {"bad": object()}])
    assert store.similarity_search("one") == []


def test_marginal_relevance_prefers_what_is_different(tmp_path):
    store = BgeVectorStore.from_texts(
        ["Reset the router with the small button.", "Reset the router with the little button.", "Bills can be downloaded."],
        database=tmp_path / "a.db")
    assert {d.page_content[:5] for d in store.similarity_search("reset the router", k=2)} == {"Reset"}
    for chosen in (store.max_marginal_relevance_search("reset the router", k=2, lambda_mult=0.1),
                   store.max_marginal_relevance_search_by_vector(BgeEmbeddings().embed_query("reset the router"), k=2, lambda_mult=0.1)):
        assert [d.page_content[:5] for d in chosen] == ["Reset", "Bills"]
    assert store.max_marginal_relevance_search("x", filter={"no": "such"}) == []
    store.close()


def test_a_retriever_and_many_threads(desk):
    retriever = desk.as_retriever(search_kwargs={"k": 1})
    assert retriever.invoke("where are my bills?")[0].id == "i"
    found, errors = [], []

    def work(n):
        try:
            desk.add_texts([f"text {n}"], ids=[str(n)])
            found.append(desk.similarity_search(f"text {n}", k=1)[0].id)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert errors == [] and len(found) == 8


def test_the_file_is_an_ordinary_index(desk, tmp_path):
    """Another program writes the table, and the store finds it."""
    other = sqlite3.connect(tmp_path / "desk.db")
    other.execute("INSERT INTO documents(id, content) VALUES ('p', 'Cars can be parked in the garage behind the house.')")
    other.commit()
    assert desk.similarity_search("where can I park?", k=1)[0].id == "p"
