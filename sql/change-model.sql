-- Another model for an index, while the one that is there goes on answering. A second index is made beside the
-- first over the same content table and embedded in steps; then both change names in one transaction. A search sees
-- the one index or the other, never none and never half of one. The same does for another `storage`,
-- `chunk_tokens`, other columns: whatever CREATE VIRTUAL TABLE says.
--
-- It expects docs(id INTEGER PRIMARY KEY, title, body) and docs_bge over it:
--
--   CREATE VIRTUAL TABLE docs_bge USING bge(title, body, content='docs');
--
-- Put your own index's name in the place of docs_bge, everywhere (docs_bge_new and docs_bge_old follow), and in step 1
-- your own columns and the model that you want. Then, with the extension loaded:
--
--   sqlite3 -bail my.db '.load ./libbge' '.timeout 10000' '.read change-model.sql'
--
-- or step by step, from any host. Everything may be stopped at any time, killed too, and gone on with: steps 1 and 2
-- can be run as often as you like, and step 3 is done as a whole or not at all. Step 4 throws the old index away; if
-- you would rather look at the new one first, stop before it.
--
-- Writes go on all the while, and so do hosts without the extension: both indexes have triggers on docs, so each
-- change is noted twice, once for either, and each index embeds it at its own next sync. Keep syncing docs_bge as you
-- are used to.
--
-- Before step 3, see to it that every program that searches can find the new model: a search embeds its question with
-- the model of the index that it meets. A program that makes the question's vector itself has to change models in the
-- same moment; `bge_status('docs_bge') ->> '$.model.name'`, read in the transaction of its search, says when.

-- 0. How far is it? From any connection, at any time. With docs_bge_new there, go on with step 2; with docs_bge_old,
-- the new index is in use and step 4 is left.
SELECT name, status ->> '$.model.name' AS model, status ->> '$.rows' AS rows, status ->> '$.pending' AS pending
FROM (SELECT name, bge_status(name) AS status FROM sqlite_schema
      WHERE name IN ('docs_bge', 'docs_bge_new', 'docs_bge_old'));

-- 1. The second index. It has no vectors yet; with words=on, making it takes some seconds for each 100,000 rows.
-- `SELECT sql FROM sqlite_schema WHERE name = 'docs_bge'` gives the statement that the first was made with.
CREATE VIRTUAL TABLE IF NOT EXISTS docs_bge_new USING bge(title, body, content='docs', model='bge-base-en-v1.5');

-- 2. Embed. Each line that comes, every ten seconds or so, says how many rows were embedded and how many are
-- left; what it says is committed, and no lock is held in between. It ends when nothing is left. A second process
-- that runs it too shares the work.
WITH RECURSIVE steps(embedded, pending) AS (
  SELECT 0, bge_status('docs_bge_new') ->> '$.pending'
  UNION ALL
  SELECT bge_sync('docs_bge_new', 10), bge_status('docs_bge_new') ->> '$.pending' FROM steps WHERE pending > 0
)
SELECT embedded, pending FROM steps;

-- 3. Swap, in one transaction. The default ranking goes with the name, unless the new index has been
-- given one. What was written since step 2 is embedded in it, for two seconds at most, in which
-- other writers wait. If that was not enough, or if step 2 had failed, the last INSERT says so and takes everything
-- back: the first index is then in its place as before.
--
-- Views and triggers of yours that name docs_bge mean the index of that name, which is the new one from now on. (By
-- default SQLite would have them follow the old one to its new name: hence the first line.) A bge_sync of another
-- connection that is at work on either index ends with an error that says so, and can be called again at once.
PRAGMA legacy_alter_table = ON;
CREATE TEMP TABLE IF NOT EXISTS swap(
  pending CONSTRAINT "the new index is not complete, so nothing was swapped: do step 2 again, then step 3" CHECK (pending IS 0),
  has_ranking CONSTRAINT "the new index cannot have the default ranking, so nothing was swapped" CHECK (has_ranking)
);
BEGIN IMMEDIATE;
ALTER TABLE docs_bge RENAME TO docs_bge_old;
ALTER TABLE docs_bge_new RENAME TO docs_bge;
INSERT INTO docs_bge(docs_bge, rank)
SELECT 'rank', before FROM (SELECT bge_status('docs_bge_old') ->> '$.rank' AS before, bge_status('docs_bge') ->> '$.rank' AS now)
WHERE now IS NULL AND before IS NOT NULL;
SELECT bge_sync('docs_bge', 2);
INSERT OR ROLLBACK INTO temp.swap
SELECT bge_status('docs_bge') ->> '$.pending',
       (bge_status('docs_bge') ->> '$.rank' IS NOT NULL OR bge_status('docs_bge_old') ->> '$.rank' IS NULL);
COMMIT;
PRAGMA legacy_alter_table = OFF;

-- Going back. As long as docs_bge_old is there it notes every change, so it only has to catch up. The new index waits
-- as docs_bge_new again, for step 3 or for DROP TABLE docs_bge_new.
--
--   SELECT bge_sync('docs_bge_old');
--   PRAGMA legacy_alter_table = ON;
--   BEGIN IMMEDIATE;
--   ALTER TABLE docs_bge RENAME TO docs_bge_new;
--   ALTER TABLE docs_bge_old RENAME TO docs_bge;
--   SELECT bge_sync('docs_bge', 2);
--   COMMIT;
--   PRAGMA legacy_alter_table = OFF;

-- 4. Done: the old index, its triggers and its vectors go. The file keeps the room for what comes; VACUUM gives it back.
DROP TABLE docs_bge_old;
