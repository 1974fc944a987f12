CREATE TABLE notes(id INTEGER PRIMARY KEY, title TEXT, body TEXT, lang TEXT);
INSERT INTO notes(title, body, lang) VALUES
  ('Router', 'Hold the small button for ten seconds to restore the factory settings.', 'en'),
  ('Invoice', 'You can download last month''s bill from the payments page.', 'en'),
  ('Holidays', 'Requests for days off go to your team lead two weeks ahead.', 'en');

CREATE VIRTUAL TABLE notes_bge USING bge(title, body, lang UNINDEXED, content='notes', content_rowid='id');
SELECT bge_sync('notes_bge');                                   -- 3

SELECT n.title, round(s.score, 2)                               -- Router first
FROM notes_bge('how do I reset my device?') AS s JOIN notes AS n ON n.id = s.rowid
ORDER BY s.distance LIMIT 2;

INSERT INTO notes(title, body, lang) VALUES ('Parking', 'Badges for the garage are handed out at the front desk.', 'en');
SELECT rowid FROM notes_bge WHERE notes_bge MATCH 'where can I park my car' AND k = 1;   -- 4, though nobody has synced since
SELECT rowid, round(score, 3) FROM notes_bge WHERE notes_bge MATCH 'vacation' AND lang = 'en' AND rowid IN (SELECT id FROM notes WHERE id < 4) LIMIT 3;
DELETE FROM notes WHERE id = 1;                                 -- row 1 is never found again
SELECT bge_sync('notes_bge');
SELECT status ->> '$.rows', status ->> '$.passages', status ->> '$.pending', status ->> '$.model.name', status ->> '$.storage', status ->> '$.triggers', status ->> '$.problems', status ->> '$.wrong'
FROM (SELECT bge_status('notes_bge') AS status);
INSERT INTO notes_bge(notes_bge) VALUES ('integrity-check');
-- What is wrong is named, with the way out.
CREATE VIRTUAL TABLE t USING bge(title, content='nothing_there');
CREATE VIRTUAL TABLE t USING bge(title, k);
CREATE VIRTUAL TABLE t USING bge(title UNINDEXED);
CREATE VIRTUAL TABLE t USING bge(title, storage='f64');
SELECT rowid FROM notes_bge WHERE notes_bge MATCH 'x' AND k = 0;
SELECT rowid FROM notes_bge WHERE k = 3;
SELECT rowid FROM notes_bge WHERE notes_bge MATCH x'0000803f';
SELECT rowid FROM notes_bge WHERE title MATCH 'x';
SELECT rowid FROM notes_bge('x', 2, 3);
INSERT INTO notes_bge(title) VALUES ('x');
UPDATE notes_bge SET title = 'x';
DELETE FROM notes_bge;
INSERT INTO notes_bge(notes_bge) VALUES ('sink');
SELECT bge_sync('notes');
SELECT bge_sync('nowhere');
SELECT bge_sync('notes_bge', -1);
EXPLAIN QUERY PLAN SELECT rowid FROM notes_bge WHERE notes_bge MATCH 'x' AND lang = 'en' AND k = 2 ORDER BY distance;
EXPLAIN QUERY PLAN SELECT rowid FROM notes_bge WHERE rowid = 2;
ALTER TABLE notes_bge RENAME TO memory;
ALTER TABLE notes RENAME TO pages;
INSERT INTO pages(title, body) VALUES ('Lunch', 'The canteen opens at noon.');
SELECT rowid FROM memory('when can I eat?', 1);
SELECT bge_sync('memory');
DROP TABLE memory;
SELECT name FROM sqlite_schema ORDER BY name;
