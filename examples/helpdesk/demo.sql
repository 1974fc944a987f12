-- Searches a help desk's articles by what is meant and by what is said: no word of a question needs to be in its answer,
-- and a code is found as it is written. Run by `make demo`, or by hand in this folder: sqlite3 helpdesk.db < demo.sql
.bail on
.load ../../dist/libbge

CREATE TABLE IF NOT EXISTS articles(id INTEGER PRIMARY KEY, title TEXT, body TEXT, area TEXT);
CREATE TEMP TABLE csv(id INTEGER, title TEXT, body TEXT, area TEXT);
CREATE TEMP TABLE questions(question TEXT, expected INTEGER);
.import --csv --skip 1 articles.csv csv
.import --csv --skip 1 questions.csv questions

-- One index: vectors for what is meant, and, by words=on, an FTS5 table for what is said.
CREATE VIRTUAL TABLE IF NOT EXISTS articles_bge USING bge(title, body, area UNINDEXED, content='articles', words=on);

-- Triggers of the index note what is new or was changed; only that is embedded.
INSERT INTO articles(id, title, body, area) SELECT id, title, body, area FROM csv WHERE true
ON CONFLICT(id) DO UPDATE SET title = excluded.title, body = excluded.body, area = excluded.area
WHERE title <> excluded.title OR body <> excluded.body OR area <> excluded.area;

SELECT 'Embedding ' || json_extract(bge_status('articles_bge'), '$.pending') || ' articles with bge-small-en-v1.5 ...';
SELECT bge_sync('articles_bge') || ' done';

.print
.print By meaning: four questions, each with the two articles that come closest:
.mode box --wordwrap on --wrap 58
SELECT question, round(s.score, 3) AS cosine, a.title, a.body
FROM questions AS q, articles_bge(q.question, 2) AS s JOIN articles AS a ON a.id = s.rowid
WHERE expected IN (44, 122, 153, 228) ORDER BY q.rowid, s.distance;

.print
.print With a filter, applied before ranking: only articles of the area 'travel'
.mode box --wordwrap on --wrap 90
SELECT round(score, 3) AS cosine, area, title
FROM articles_bge WHERE articles_bge MATCH 'I lost my money' AND area = 'travel' AND k = 3;

-- Closed tickets: their numbers tell them apart, and numbers mean next to nothing to a model.
CREATE TABLE IF NOT EXISTS tickets(id INTEGER PRIMARY KEY, note TEXT);
CREATE VIRTUAL TABLE IF NOT EXISTS tickets_bge USING bge(note, content='tickets', words=on);
WITH RECURSIVE numbers(n) AS (SELECT 20401 UNION ALL SELECT n + 7 FROM numbers WHERE n < 20900)
INSERT OR IGNORE INTO tickets(id, note) SELECT n, printf('INC-%d: %s %s', n,
  json_array('The printer by the window was out of toner.', 'A till drawer would not open.', 'The scanner read nothing.',
             'The headset was silent on one side.', 'A laptop did not wake up.') ->> (n % 5),
  json_array('Replaced.', 'Solved by a restart.', 'Sent in for repair.') ->> (n % 3)) FROM numbers;
.mode list
SELECT 'Embedding ' || (bge_status('tickets_bge') ->> '$.pending') || ' tickets ...';
SELECT bge_sync('tickets_bge') || ' done';

.print
.print "By meaning and by words, rank MATCH 'hybrid': a number is found as it is written, wherever meaning alone has it."
.print by_meaning and by_words say why a row stands where it does. They are its places in the two lists:
.mode box --wordwrap on --wrap 90
SELECT by_meaning, by_words, t.note AS "was INC-20814 a printer again?"
FROM tickets_bge JOIN tickets AS t ON t.id = tickets_bge.rowid
WHERE tickets_bge MATCH 'was INC-20814 a printer again?' AND rank MATCH 'hybrid' ORDER BY rank LIMIT 3;

-- The place of each question's article (the questions avoid the articles' words).
CREATE TEMP TABLE places AS
SELECT q.rowid AS number, q.question, s.rowid AS id, s.by_meaning, s.by_words,
       row_number() OVER (PARTITION BY q.rowid ORDER BY s.rank, s.rowid) AS hybrid
FROM questions AS q, articles_bge(q.question) AS s WHERE s.rank MATCH 'hybrid(depth = 320)';

CREATE TEMP TABLE answers AS
SELECT p.*, a.title FROM places AS p JOIN questions AS q ON q.rowid = p.number AND q.expected = p.id JOIN articles AS a ON a.id = p.id;

.print
.print All questions about articles, with the place of the one that was written to answer them:
.mode box --wordwrap on --wrap 60
SELECT question, title AS "expected article", by_meaning, by_words FROM answers ORDER BY by_meaning, number;

.print
.print They avoid the articles' words on purpose, which is the worst that can befall words, and so hybrid:
SELECT sum(by_meaning = 1) || ' of ' || count(*) AS "first by meaning", sum(by_words = 1) AS "by words", sum(hybrid = 1) AS hybrid,
       sum(by_meaning <= 3) AS "in the first three by meaning", sum(by_words <= 3) AS "by words", sum(hybrid <= 3) AS hybrid
FROM answers;
