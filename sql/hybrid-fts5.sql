-- Hybrid search where the index has no `words`: a bge index and an FTS5 table of your own over the same content table,
-- in one ranking. It is what `rank MATCH 'hybrid'` computes (hybrid.sql), as plain SQL.
--
-- The score of a row is its cosine, a share of words, and a share of names:
--
--   cosine + 0.1 * b / (b + 20) + 1.5 * sqrt(share) * max(0, n - fifth) / (n + 10)
--
-- b is bm25 with its sign turned; n is the same for those words of the question that name something: with a digit, an
-- underscore, a mark between letters, or alone. share is their part of the question, fifth the fifth best n. So words that
-- many rows have lift them a little, and a name that few rows have lifts those far. Reciprocal rank fusion, which adds
-- places, gives both lists the same weight whatever they are worth: where the words say little, it loses what the
-- meaning had found.
--
--   :question   the text, as the user typed it
--
-- It expects docs(id INTEGER PRIMARY KEY, title, body), docs_bge over it, and docs_fts:
--
--   CREATE VIRTUAL TABLE docs_bge USING bge(title, body, content='docs');
--   CREATE VIRTUAL TABLE docs_fts USING fts5(title, body, content='docs', content_rowid='id', tokenize='porter unicode61');
--
-- Put your names in their place. It is a query and not a view on purpose: a view that names a module which
-- another program has not loaded stops that program's ALTER TABLE.
WITH
  meaning AS MATERIALIZED (
    SELECT rowid AS id, score AS cosine, row_number() OVER (ORDER BY distance, rowid) AS place
    FROM docs_bge WHERE docs_bge MATCH :question AND k = 100
  ),
  runs AS MATERIALIZED (
    -- What stands between blanks, each once, up to the first NUL: the question is made a JSON array, which is read.
    -- A run without a letter or a digit says nothing.
    -- Of those that differ in what a sentence puts around a word, the first.
    SELECT value AS run, min(key)
    FROM json_each('[' || replace(json_quote(replace(replace(replace(replace(replace(printf('%s', :question),
                     char(9), ' '), char(10), ' '), char(13), ' '), char(160), ' '), char(12288), ' ')), ' ', '","') || ']')
    WHERE value GLOB '*[a-zA-Z0-9]*' OR value GLOB '*[^ -~]*'
    GROUP BY lower(trim(value, '.,;:!?()"''…“”‘’„«»'))
  ),
  phrases AS MATERIALIZED (
    -- In quotes nothing is FTS5 syntax. Amounts ($10, 5%, 10,000, one digit or two) name nothing.
    SELECT length(run) AS size, '"' || replace(run, '"', '""') || '"' AS phrase,
           (SELECT count(*) FROM runs) = 1
           OR (run GLOB '*[0-9_]*' OR run GLOB '*[a-zA-Z0-9][./:+@#\]*[a-zA-Z0-9]*')
              AND NOT (run GLOB '*[$€£¥%]*' OR run GLOB '*[0-9],[0-9][0-9][0-9]*'
                       OR trim(run, '.,;:!?()"''') GLOB '[0-9]' OR trim(run, '.,;:!?()"''') GLOB '[0-9][0-9]') AS is_name
    FROM runs
  ),
  counted AS MATERIALIZED (
    SELECT phrase, is_name, (SELECT count(*) FROM docs_fts WHERE docs_fts MATCH phrase) AS found FROM phrases
  ),
  asked AS MATERIALIZED (
    -- Runs that very many rows have are left out, but for the rarest one: they say next to nothing, and FTS5 computes bm25
    -- for each row that it finds, which takes a hundred times as long as counting it.
    SELECT phrase, is_name FROM counted
    WHERE found BETWEEN 1 AND max(1000, min(5000, (SELECT count(*) FROM docs_fts) / 5),
                                  (SELECT min(found) FROM counted WHERE found > 0))
    ORDER BY found LIMIT 256
  ),
  words AS MATERIALIZED (
    SELECT rowid AS id, -rank AS b, row_number() OVER (ORDER BY rank, rowid) AS place
    FROM docs_fts WHERE docs_fts MATCH (SELECT coalesce(group_concat(phrase, ' OR '), '""') FROM asked)
  ),
  names AS MATERIALIZED (
    SELECT rowid AS id, -rank AS n, row_number() OVER (ORDER BY rank, rowid) AS place
    FROM docs_fts WHERE docs_fts MATCH (SELECT coalesce(group_concat(phrase, ' OR '), '""') FROM asked WHERE is_name)
  ),
  candidates AS MATERIALIZED (
    SELECT id FROM meaning
    UNION SELECT id FROM words WHERE place <= 100
    UNION SELECT id FROM names WHERE place <= 10
  ),
  cosines AS MATERIALIZED (
    SELECT rowid AS id, score AS cosine
    FROM docs_bge WHERE docs_bge MATCH :question AND rowid IN (SELECT id FROM candidates)
  ),
  weights AS MATERIALIZED (
    -- Not every SQLite has square roots: 3x / (1 + 2x) is near enough to one between 0 and 1.
    SELECT 1.5 * 3 * share / (1 + 2 * share) AS of_names, coalesce((SELECT n FROM names WHERE place = 5), 0) AS fifth,
           -- A row that is not embedded yet is as far as the farthest candidate of the meaning.
           coalesce((SELECT min(cosine) FROM meaning), 0) AS farthest
    FROM (SELECT coalesce(1.0 * sum(size * is_name) / sum(size), 0) AS share FROM phrases)
  ),
  fused AS (
    SELECT candidates.id, meaning.place AS by_meaning, CASE WHEN words.place <= 100 THEN words.place END AS by_words,
           coalesce(cosines.cosine, farthest) + coalesce(0.1 * b / (b + 20), 0)
           + coalesce(of_names * max(0, n - fifth) / (n + 10), 0) AS relevance
    FROM candidates
    JOIN weights
    LEFT JOIN cosines ON cosines.id = candidates.id
    LEFT JOIN words ON words.id = candidates.id
    LEFT JOIN names ON names.id = candidates.id
    LEFT JOIN meaning ON meaning.id = candidates.id
  )
SELECT docs.id, docs.title, round(relevance, 5) AS score, by_meaning, by_words
FROM fused JOIN docs ON docs.id = fused.id
ORDER BY relevance DESC, docs.id
LIMIT 10;
