-- Maths on vectors needs neither a model nor the runtime.
.mode box
SELECT bge_to_json(bge_from_json('[3, 4, 0.1, 1e-7, -1]')) AS json;
SELECT hex(bge_from_json('[1, -2]')) AS little_endian_f32;
SELECT bge_dims(zeroblob(1536)) AS dims;
SELECT bge_to_json(bge_normalize(bge_from_json('[3, 4]'))) AS unit;
WITH v(name, v) AS (VALUES
  ('same', bge_from_json('[3, 4]')), ('longer', bge_from_json('[6, 8]')),
  ('right angle', bge_from_json('[-4, 3]')), ('opposite', bge_from_json('[-3, -4]')),
  ('zero', bge_from_json('[0, 0]')), ('nothing', NULL))
SELECT name, round(bge_cosine(v, q), 6) AS cosine, bge_dot(v, q) AS dot, bge_l2(v, q) AS l2
FROM v, (SELECT bge_from_json('[3, 4]') AS q);
