-- load
ATTACH 'indexed.db' AS f
SELECT bge_version() IS NOT NULL, bge_dims(x'0000803f'), bge_embed(NULL, 'no-such'), bge_to_json(bge_from_json('[1]'))
SELECT count(*) FROM bge_models WHERE name = 'no-such'
SELECT rowid, round(distance, 4), tag FROM f.given WHERE given MATCH bge_from_json('[1, 0, 0]') AND tag = 'en' AND k = 3
SELECT json_extract(bge_status('f.given'), '$.rows')
SELECT rowid, tag FROM f.given ORDER BY rowid
DETACH f
