-- Ranks a help desk's articles by meaning: no word of a question needs to be in its answer.
-- Run by `make demo`, or by hand in this folder: sqlite3 :memory: < demo.sql
.bail on
.load ../../dist/libbge

CREATE TABLE IF NOT EXISTS articles(id INTEGER PRIMARY KEY, title TEXT, body TEXT, area TEXT, embedding BLOB);
CREATE TEMP TABLE csv(id INTEGER, title TEXT, body TEXT, area TEXT);
CREATE TEMP TABLE questions(question TEXT, expected INTEGER);
.import --csv --skip 1 articles.csv csv
.import --csv --skip 1 questions.csv questions

-- An article that is new or was changed loses its vector, and only those are embedded.
INSERT INTO articles(id, title, body, area) SELECT id, title, body, area FROM csv WHERE true
ON CONFLICT(id) DO UPDATE SET title = excluded.title, body = excluded.body, area = excluded.area, embedding = NULL
WHERE title <> excluded.title OR body <> excluded.body;

SELECT 'Embedding ' || count(*) || ' articles with bge-small-en-v1.5 ...' FROM articles WHERE embedding IS NULL;
UPDATE articles SET embedding = b.embedding
FROM bge_batch('SELECT id, title || ''. '' || body FROM articles WHERE embedding IS NULL') AS b
WHERE articles.id = b.key;

-- Every question against every article; a query's vector is made once, not once a row.
CREATE TEMP TABLE ranked AS
WITH queries AS MATERIALIZED (
  SELECT rowid AS number, question, expected, bge_embed_query(question) AS query FROM questions
)
SELECT q.number, q.question, q.expected, a.id, a.title, a.body,
       bge_cosine(a.embedding, q.query) AS cosine,
       rank() OVER (PARTITION BY q.number ORDER BY bge_cosine(a.embedding, q.query) DESC) AS place
FROM queries AS q, articles AS a;

.print
.print Four questions, each with the two articles that come closest:
.mode box --wordwrap on --wrap 58
SELECT question, place, round(cosine, 3) AS cosine, title, body
FROM ranked WHERE place <= 2 AND expected IN (44, 122, 153, 228) ORDER BY number, place;

.print
.print All questions, with the place of the article that was written to answer them:
.mode box --wordwrap on --wrap 70
SELECT question, title AS "expected article", place FROM ranked WHERE id = expected ORDER BY place, number;

SELECT sum(place = 1) || ' of ' || count(*) AS "first", sum(place <= 3) || ' of ' || count(*) AS "in the first three"
FROM ranked WHERE id = expected;
