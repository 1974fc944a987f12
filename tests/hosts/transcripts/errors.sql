-- What is wrong, and the way out; the session goes on after each.
SELECT bge_cosine(zeroblob(8), 'how do I reset my password');
SELECT bge_cosine(zeroblob(8), zeroblob(12));
SELECT bge_dims(x'');
SELECT bge_dims(zeroblob(6));
SELECT bge_l2(x'0000c07f', zeroblob(4));
SELECT bge_from_json('[1, "2"]');
SELECT bge_cosine(zeroblob(8));
SELECT bge_embed(x'616263', 'tiny-bert');
SELECT bge_embed(CAST(x'ff' AS TEXT), 'tiny-bert');
SELECT bge_embed('a', NULL);
SELECT bge_embed('a', '../tiny-bert');
SELECT bge_embed('a', 'tiny-bart');
SELECT bge_tokens('still here', 'tiny-bert');
