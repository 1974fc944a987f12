-- Whole tables: bge_batch, bge_embed_each, bge_chunks, and models of one's own; with models of the fixtures.
.mode box
CREATE TABLE docs(id INTEGER PRIMARY KEY, body TEXT, v BLOB);
CREATE TABLE emb(id INTEGER PRIMARY KEY, v BLOB);
INSERT INTO docs(body) VALUES ('machine learning'), ('I love nlp'), ('how do I reset it'), (NULL), (42), ('Reset your password');
INSERT INTO emb(id, v) SELECT key, embedding FROM bge_batch('SELECT id, body FROM docs', 'tiny-bert');
SELECT id, typeof(v) AS type, bge_dims(v) AS dims FROM emb;
SELECT key, text, round(bge_cosine(embedding, bge_embed(text, 'tiny-bert')), 5) AS same
FROM bge_batch('SELECT id, body FROM docs WHERE id > ?1 AND body NOT LIKE ?2 ORDER BY id DESC;', 'tiny-bert', 1, '4%');
UPDATE docs SET v = b.embedding FROM bge_batch('SELECT rowid, body FROM docs WHERE v IS NULL', 'tiny-bert') b
WHERE docs.rowid = b.key;
SELECT changes() AS changed, count(v) AS vectors FROM docs;
INSERT INTO docs(body) SELECT text || '!' FROM bge_batch('SELECT id, body FROM docs WHERE body IS NOT NULL -- itself', 'tiny-bert');
SELECT count(*) AS docs, max(body) AS last FROM docs;
SELECT idx, text, bge_dims(embedding) AS dims FROM bge_embed_each('["reset", null, 42, "password"]', 'tiny-bert');
SELECT idx, start, stop, tokens, chunk
FROM bge_chunks('Hold the button. The lamp blinks!' || char(10, 10) || 'You can download the bill.', 20, 0, 'tiny-bert');
SELECT idx, tokens, chunk, substr(t.text, start + 1, stop - start) = chunk AS exact
FROM (SELECT 'a b c d e f g h i j k l' AS text) AS t, bge_chunks(t.text, 8, 2, 'tiny-bert');
SELECT bge_load('mine', 'tiny-bert', '{"max_length": 16, "pooling": "mean", "overflow": "error"}') AS name;
SELECT name, loaded, dims, max_length, pooling, device, precision FROM bge_models WHERE name IN ('mine', 'tiny-bert-no-types');
SELECT key, bge_dims(embedding) AS dims FROM bge_batch('SELECT ''k'', ''short enough''', 'mine');
SELECT bge_unload('mine') AS unloaded, bge_unload('mine') AS again;
.mode list
-- What is wrong, and the way out.
SELECT * FROM bge_batch('DELETE FROM docs', 'tiny-bert');
SELECT * FROM bge_batch('SELECT id, body FROM docs; SELECT 2, 3', 'tiny-bert');
SELECT * FROM bge_batch('SELECT body FROM docs', 'tiny-bert');
SELECT * FROM bge_batch('SELECT id, bdy FROM docs', 'tiny-bert');
SELECT * FROM bge_batch('SELECT id, body FRM docs', 'tiny-bert');
SELECT * FROM bge_batch('SELECT id, body FROM docs WHERE id = ?1', 'tiny-bert');
SELECT * FROM bge_batch('SELECT 7, x''616263''', 'tiny-bert');
SELECT * FROM bge_batch;
SELECT * FROM bge_embed_each('["a", ["b"]]', 'tiny-bert');
SELECT * FROM bge_embed_each('{"a": "b"}', 'tiny-bert');
SELECT * FROM bge_embed_each('["a"', 'tiny-bert');
SELECT * FROM bge_chunks('a', 2, 0, 'tiny-bert');
SELECT * FROM bge_chunks('a', 16, 14, 'tiny-bert');
SELECT * FROM bge_chunks('a', '16', 0, 'tiny-bert');
SELECT bge_load('mine', 'tiny-bert', '{"thread": 2}');
SELECT bge_load('mine', 'tiny-bert', '{"threads": 0}');
SELECT bge_load('a/b', 'tiny-bert');
SELECT bge_load('mine', '/no/such/folder');
SELECT bge_load('mine', 'tiny-bert', '{"max_length": 16, "overflow": "error"}');
SELECT bge_embed('one two three four five six seven eight nine ten eleven twelve', 'mine');
SELECT count(*) FROM docs;
