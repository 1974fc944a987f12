-- load
SELECT bge_version() IS NOT NULL, bge_dims(bge_from_json('[1, 2, 3]')), bge_to_json(bge_normalize(bge_from_json('[3, 4]')))
SELECT bge_cosine(bge_from_json('[1, 0]'), bge_from_json('[1, 1]')), bge_dot(x'0000803f', x'00000040'), bge_l2(x'0000803f', x'00000040')
SELECT json_extract(bge_to_json(bge_from_json('[0.5, 1.5]')), '$[1]'), bge_embed(NULL), bge_embed_query(NULL, 'no-such'), bge_tokens(NULL), bge_tokenize(NULL)
SELECT count(*) FROM bge_models WHERE name = 'no-such'
SELECT idx, text FROM bge_embed_each('[]')
SELECT idx, chunk, max_tokens FROM bge_chunks(NULL, 20)
SELECT length(bge_info()) > 10
CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT, lang TEXT)
INSERT INTO docs VALUES (1, 'one', 'en'), (2, 'two', 'de'), (3, 'three', 'en')
CREATE VIRTUAL TABLE docs_bge USING bge(body, content='docs', content_rowid='id', lang UNINDEXED)
UPDATE docs SET body = 'deux' WHERE id = 2
DELETE FROM docs WHERE id = 3
SELECT json_extract(bge_status('docs_bge'), '$.pending') > 0
CREATE VIRTUAL TABLE own USING bge(title, body, tag UNINDEXED, n INTEGER UNINDEXED)
INSERT INTO own(rowid, title, body, tag, n) VALUES (1, 'a', 'first', 'x', 1), (2, 'b', NULL, 'y', 2.5)
UPDATE own SET tag = 'z', n = n + 1 WHERE rowid = 2
SELECT rowid, title, body, tag, n FROM own WHERE rowid >= 1 ORDER BY rowid DESC
DELETE FROM own WHERE rowid = 1
CREATE VIRTUAL TABLE given USING bge(a, tag UNINDEXED, n INTEGER UNINDEXED, content='')
INSERT INTO given(rowid, tag, n, embedding) VALUES (1, 'en', 10, bge_from_json('[1, 0, 0]')), (2, 'de', 20, bge_from_json('[0.9, 0.1, 0]')), (3, 'en', 30, bge_from_json('[0, 1, 0]')), (4, NULL, 40, bge_from_json('[0, 0, 1]'))
SELECT rowid, round(distance, 4), round(score, 4), tag FROM given WHERE given MATCH bge_from_json('[1, 0, 0]') AND k = 3
SELECT rowid FROM given WHERE given MATCH bge_from_json('[1, 0, 0]') AND tag = 'en' AND n > 5 ORDER BY distance LIMIT 2
SELECT rowid FROM given WHERE given MATCH bge_from_json('[1, 0, 0]') AND rowid IN (2, 3, 4) AND tag IN ('en', 'de') AND k = 2
SELECT rowid FROM given WHERE given MATCH bge_from_json('[0, 1, 0]') AND distance < 0.9 AND tag IS NOT NULL
SELECT count(*), max(n) FROM given
UPDATE given SET tag = 'fr' WHERE rowid = 2
UPDATE given SET embedding = bge_from_json('[0, 0, 1]') WHERE rowid = 1
BEGIN
DELETE FROM given WHERE rowid = 3
INSERT OR REPLACE INTO given(rowid, tag, n, embedding) VALUES (2, 'it', 21, bge_from_json('[0.5, 0.5, 0]'))
COMMIT
SELECT rowid, tag FROM given WHERE given MATCH bge_from_json('[0, 0, 1]') AND k = 10
SELECT a, b, score FROM bge_pairs('given', 0.1) WHERE b > 1
INSERT INTO given(given) VALUES ('integrity-check')
INSERT INTO given(given) VALUES ('optimize')
INSERT INTO own(own) VALUES ('rebuild')
SELECT bge_status('given') IS NOT NULL, bge_status('own') IS NOT NULL
ALTER TABLE given RENAME TO vectors
SELECT rowid, tag FROM vectors WHERE vectors MATCH bge_from_json('[0, 0, 1]') AND k = 1
INSERT INTO vectors(vectors) VALUES ('integrity-check')
INSERT INTO docs_bge(docs_bge) VALUES ('integrity-check')
DROP TABLE own
DROP TABLE docs_bge
DROP TABLE vectors
SELECT count(*) FROM sqlite_schema
