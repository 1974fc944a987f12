-- Hybrid search: what is meant and what is said, in one ranking. Names and codes are found by their words, questions by
-- their meaning. by_meaning and by_words say why a row stands where it does: its places in the two lists, NULL where
-- it was not found so.
--
--   :question   the text, as the user typed it; no character of it is syntax
--
-- It expects docs(id INTEGER PRIMARY KEY, title, body), and docs_bge over it with words of its own:
--
--   CREATE VIRTUAL TABLE docs_bge USING bge(title, body, content='docs', words=on);
--
-- Put your names in their place. An index that was made without `words`, beside an FTS5 table of yours, is asked with
-- hybrid-fts5.sql, or gets them as change-model.sql says. Other rankings: docs/SQL.md, "Ranking".
SELECT docs.id, docs.title, round(1 - rank, 5) AS score, by_meaning, by_words
FROM docs_bge JOIN docs ON docs.id = docs_bge.rowid
WHERE docs_bge MATCH :question AND rank MATCH 'hybrid'
ORDER BY rank
LIMIT 10;
