-- Ranks a help desk's articles by meaning: no word of a question needs to be in its answer.
-- Run by `make demo`, or by hand in this folder: sqlite3 helpdesk.db < demo.sql
.bail on
.load ../../dist/libbge

CREATE TABLE IF NOT EXISTS articles(id INTEGER PRIMARY KEY, title TEXT, body TEXT, area TEXT);
CREATE TEMP TABLE csv(id INTEGER, title TEXT, body TEXT, area TEXT);
CREATE TEMP TABLE questions(question TEXT, expected INTEGER);
.import --csv --skip 1 articles.csv csv
.import --csv --skip 1 questions.csv questions

-- Two indexes over the same table: one for meaning, one for words.
CREATE VIRTUAL TABLE IF NOT EXISTS articles_bge USING bge(title, body, area UNINDEXED, content='articles');
CREATE VIRTUAL TABLE IF NOT EXISTS articles_fts USING fts5(title, body, content='articles', content_rowid='id');

-- Triggers of the index note what is new or was changed; only that is embedded.
INSERT INTO articles(id, title, body, area) SELECT id, title, body, area FROM csv WHERE true
ON CONFLICT(id) DO UPDATE SET title = excluded.title, body = excluded.body, area = excluded.area
WHERE title <> excluded.title OR body <> excluded.body OR area <> excluded.area;
INSERT INTO articles_fts(articles_fts) VALUES ('rebuild');

SELECT 'Embedding ' || json_extract(bge_status('articles_bge'), '$.pending') || ' articles with bge-small-en-v1.5 ...';
SELECT bge_sync('articles_bge') || ' done';

.print
.print Four questions, each with the two articles that come closest:
.mode box --wordwrap on --wrap 58
SELECT question, round(s.score, 3) AS cosine, a.title, a.body
FROM questions AS q, articles_bge(q.question, 2) AS s JOIN articles AS a ON a.id = s.rowid
WHERE expected IN (44, 122, 153, 228) ORDER BY q.rowid, s.distance;

.print
.print The same index with a filter, applied before ranking: only articles of the area 'travel'
.mode box --wordwrap on --wrap 90
SELECT round(score, 3) AS cosine, area, title
FROM articles_bge WHERE articles_bge MATCH 'I lost my money' AND area = 'travel' AND k = 3;

.print
.print Hybrid search, by meaning and by words in one ranking: the recipe is sql/hybrid.sql
.parameter init
.parameter set :question "'the machine only shows E-17'"
WITH
  meaning AS (
    SELECT rowid AS id, row_number() OVER (ORDER BY distance, rowid) AS place
    FROM articles_bge WHERE articles_bge MATCH :question AND k = 50
  ),
  words AS (
    SELECT rowid AS id, row_number() OVER (ORDER BY rank, rowid) AS place
    FROM articles_fts
    WHERE articles_fts MATCH '"' || replace(replace(:question, '"', ' '), ' ', '" OR "') || '"'
    ORDER BY rank LIMIT 50
  ),
  lists AS (
    SELECT id, place, 'meaning' AS list FROM meaning
    UNION ALL
    SELECT id, place, 'words' FROM words
  )
SELECT round(sum(1.0 / (60 + place)), 5) AS score, a.title,
       max(CASE list WHEN 'meaning' THEN place END) AS by_meaning,
       max(CASE list WHEN 'words' THEN place END) AS by_words
FROM lists JOIN articles AS a ON a.id = lists.id GROUP BY a.id ORDER BY score DESC, a.id LIMIT 3;

-- The place of each question's article, by meaning and by words (the questions avoid the articles' words).
CREATE TEMP TABLE places AS
WITH
  meaning AS (
    SELECT q.rowid AS number, s.rowid AS id, row_number() OVER (PARTITION BY q.rowid ORDER BY s.distance) AS place
    FROM questions AS q, articles_bge(q.question) AS s
  ),
  words AS (
    SELECT q.rowid AS number, f.rowid AS id, row_number() OVER (PARTITION BY q.rowid ORDER BY f.rank) AS place
    FROM questions AS q, articles_fts AS f
    WHERE articles_fts MATCH '"' || replace(replace(q.question, '"', ' '), ' ', '" OR "') || '"'
  )
SELECT q.rowid AS number, question, a.title, meaning.place AS by_meaning, words.place AS by_words
FROM questions AS q JOIN articles AS a ON a.id = q.expected
LEFT JOIN meaning ON meaning.number = q.rowid AND meaning.id = q.expected
LEFT JOIN words ON words.number = q.rowid AND words.id = q.expected;

.print
.print All questions, with the place of the article that was written to answer them:
.mode box --wordwrap on --wrap 60
SELECT question, title AS "expected article", by_meaning, by_words FROM places ORDER BY by_meaning, number;

SELECT sum(by_meaning = 1) || ' of ' || count(*) AS "first by meaning", sum(by_words = 1) AS "by words",
       sum(by_meaning <= 3) AS "in the first three by meaning", sum(by_words <= 3) AS "by words"
FROM places;
