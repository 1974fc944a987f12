-- Hybrid search: what is meant (a bge index) and what is said (FTS5), over the same content table, in one
-- ranking. Reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009): a row's score is the sum of
-- 1 / (60 + its place) over the lists it is in. Places, and not scores, are added, since a cosine and a
-- bm25 have no common measure.
--
--   :question   the text, as the user typed it
--
-- It expects docs(id INTEGER PRIMARY KEY, title, body), docs_bge over it, and docs_fts:
--
--   CREATE VIRTUAL TABLE docs_bge USING bge(title, body, content='docs');
--   CREATE VIRTUAL TABLE docs_fts USING fts5(title, body, content='docs', content_rowid='id');
--
-- Put your names in their place. It is a query and not a view on purpose: a view that names a module which
-- another program has not loaded stops that program's ALTER TABLE.
WITH
  meaning AS (
    SELECT rowid AS id, row_number() OVER (ORDER BY distance, rowid) AS place
    FROM docs_bge WHERE docs_bge MATCH :question AND k = 50
  ),
  said AS (
    -- A text, whatever was given, up to its first NUL character: FTS5 takes neither NULL nor a NUL.
    SELECT printf('%s', :question) AS question
  ),
  words AS (
    -- The words of the question, each in quotes, so that no character of it is FTS5 syntax; a row that
    -- has more of the rarer ones comes first.
    SELECT rowid AS id, row_number() OVER (ORDER BY rank, rowid) AS place
    FROM docs_fts
    WHERE docs_fts MATCH
      (SELECT '"' || replace(replace(question, '"', ' '), ' ', '" OR "') || '"' FROM said)
    ORDER BY rank LIMIT 50
  ),
  lists AS (
    SELECT id, place, 'meaning' AS list FROM meaning
    UNION ALL
    SELECT id, place, 'words' FROM words
  )
SELECT docs.id, docs.title, round(sum(1.0 / (60 + place)), 5) AS score,
       max(CASE list WHEN 'meaning' THEN place END) AS by_meaning,
       max(CASE list WHEN 'words' THEN place END) AS by_words
FROM lists JOIN docs ON docs.id = lists.id
GROUP BY docs.id
ORDER BY score DESC, docs.id
LIMIT 10;
