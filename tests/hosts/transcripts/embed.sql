-- Embedding with a model of the fixtures; its vectors mean nothing, but they never change.
.mode box
SELECT bge_tokenize('Reset your password', 'tiny-bert') AS ids, bge_tokens('Reset your password', 'tiny-bert') AS tokens;
SELECT typeof(v) AS type, bge_dims(v) AS dims, round(bge_dot(v, v), 5) AS norm
FROM (SELECT bge_embed('Reset your password', 'tiny-bert') AS v);
CREATE TABLE answers(id INTEGER PRIMARY KEY, body TEXT, e BLOB);
INSERT INTO answers(body) VALUES ('machine learning'), ('I love nlp'), ('how do I reset it'), (NULL), (42);
UPDATE answers SET e = bge_embed(body, 'tiny-bert');
SELECT id, body, length(e) AS bytes FROM answers;
SELECT id, body, round(bge_cosine(e, bge_embed('I love machine learning', 'tiny-bert')), 3) AS score
FROM answers WHERE e IS NOT NULL ORDER BY score DESC;
SELECT json_extract(bge_info('tiny-bert'), '$.loaded[0].dims', '$.loaded[0].pooling') AS info;
