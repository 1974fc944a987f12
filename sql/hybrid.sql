-- Hybrid search: what is meant (a bge index) and what is said (FTS5), over the same content table, in one
-- ranking. The score of a row is its cosine, a share of its bm25 that never exceeds a tenth, and a share of what
-- its bm25 is above that of the fifth best row:
-- cosine + 0.1 * bm25 / (bm25 + 10) + 0.3 * max(0, bm25 - fifth) / (bm25 + 10). Reciprocal rank fusion, which
-- adds places, gives both lists the same weight whatever they are worth: where the words say little, it loses what
-- the meaning had found. Here words that many rows have lift them all a little, and a name or a number that few
-- have lifts those far.
--
-- Either list names candidates, and each candidate gets both measures, whichever list it is from.
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
  meaning AS MATERIALIZED (
    SELECT rowid AS id, row_number() OVER (ORDER BY distance, rowid) AS place
    FROM docs_bge WHERE docs_bge MATCH :question AND k = 100
  ),
  said AS MATERIALIZED (
    -- A text, whatever was given, up to its first NUL character: FTS5 takes neither NULL nor a NUL. Its
    -- words, each in quotes, so that no character of it is FTS5 syntax; a row that has more of the rarer
    -- ones comes first.
    SELECT '"' || replace(replace(printf('%s', :question), '"', ' '), ' ', '" OR "') || '"' AS words
  ),
  words AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY bm25, id) AS place, -bm25 AS bm25
    FROM (
      SELECT rowid AS id, rank AS bm25
      FROM docs_fts WHERE docs_fts MATCH (SELECT words FROM said) ORDER BY rank LIMIT 100
    )
  ),
  fifth AS MATERIALIZED (
    SELECT coalesce((SELECT bm25 FROM words WHERE place = 5), 0) AS bm25
  ),
  candidates AS MATERIALIZED (
    SELECT id FROM meaning UNION SELECT id FROM words
  ),
  cosines AS MATERIALIZED (
    SELECT rowid AS id, score AS cosine
    FROM docs_bge WHERE docs_bge MATCH :question AND rowid IN (SELECT id FROM candidates)
  ),
  bm25s AS MATERIALIZED (
    -- FTS5's bm25 is the lower the better. The + has FTS5 go through its matches once, and not once for
    -- each candidate.
    SELECT rowid AS id, -rank AS bm25
    FROM docs_fts
    WHERE docs_fts MATCH (SELECT words FROM said) AND +rowid IN (SELECT id FROM candidates)
  )
SELECT docs.id, docs.title,
       -- A row that is not embedded yet counts as the least similar of the candidates.
       round(coalesce(cosine, (SELECT min(cosine) FROM cosines), 0)
             + coalesce(0.1 * bm25s.bm25 / (bm25s.bm25 + 10), 0)
             + coalesce(0.3 * max(0, bm25s.bm25 - (SELECT bm25 FROM fifth)) / (bm25s.bm25 + 10), 0), 5) AS score,
       meaning.place AS by_meaning,
       words.place AS by_words
FROM candidates
JOIN docs ON docs.id = candidates.id
LEFT JOIN cosines ON cosines.id = candidates.id
LEFT JOIN bm25s ON bm25s.id = candidates.id
LEFT JOIN meaning ON meaning.id = candidates.id
LEFT JOIN words ON words.id = candidates.id
ORDER BY score DESC, docs.id
LIMIT 10;
