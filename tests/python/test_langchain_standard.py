"""LangChain's own tests of a vector store, synchronous and asynchronous. tests/python/requirements-slow.txt brings them."""

import pytest

standard = pytest.importorskip("langchain_tests.integration_tests.vectorstores", reason="langchain-tests is not installed")
from sqlite_bge.langchain import BgeVectorStore  # noqa: E402

pytestmark = pytest.mark.slow


class TestStore(standard.VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self):
        store = BgeVectorStore(embedding=self.get_embeddings())
        yield store
        store.close()
