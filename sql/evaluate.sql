-- How good a ranking is, by your own questions and judgements: nDCG@10, recall@100 and MRR@10, the measures of
-- trec_eval and BEIR, in plain SQL. (`sqlite-bge evaluate` gives the same from files, and says whether two
-- rankings differ by more than chance.)
--
--   :ranking   what is measured, as in `rank MATCH`: 'meaning', 'hybrid', 'hybrid, mmr(0.7)', ...
--
-- It expects an index, here docs_bge, and
--
--   CREATE TABLE questions(id PRIMARY KEY, text);
--   CREATE TABLE judgements(question, row, grade);   -- row: a rowid of the index; grade: 0 of no use, 1 and more
--
-- Tables that `.import` fills hold text alone, so both are read as what they mean. A judgement that is given twice
-- counts once, with its higher grade.
--
-- A grade is its own gain, as in trec_eval's ndcg_cut, and a row with a grade above 0 is relevant. A question
-- without such a row has nothing to find and is left out, as is one without a text.
--
-- A hundred rows are asked for, so a depth below that in the ranking is widened (`k` does so), as no LIMIT would.
--
-- For each question's measures in place of their means, end with `SELECT * FROM measures`.
WITH
  -- What a row is worth at a place of the list: 1 / log2(place + 1). Not every host's SQLite has log2().
  discounts(place, discount) AS (
    VALUES (1, 1.0), (2, 0.6309297535714575), (3, 0.5), (4, 0.43067655807339306), (5, 0.3868528072345416),
           (6, 0.35620718710802218), (7, 0.33333333333333331), (8, 0.31546487678572877), (9, 0.30102999566398119),
           (10, 0.28906482631788782)
  ),
  -- What is no whole number names no row; as a number it might name another one.
  graded(question, row, grade) AS MATERIALIZED (
    SELECT CAST(question AS TEXT), iif(trim(row) GLOB '*[^0-9-]*', row, CAST(row AS INTEGER)), max(CAST(grade AS REAL))
    FROM judgements
    GROUP BY 1, 2
  ),
  asked(id, text, relevant) AS MATERIALIZED (
    SELECT CAST(questions.id AS TEXT), questions.text, count(*)
    FROM questions JOIN graded ON graded.question = CAST(questions.id AS TEXT)
    WHERE graded.grade > 0 AND trim(questions.text) <> ''
    GROUP BY questions.id
  ),
  ideal AS MATERIALIZED (
    SELECT question, sum(grade * discount) AS gain
    FROM (
      SELECT question, grade, row_number() OVER (PARTITION BY question ORDER BY grade DESC) AS place
      FROM graded WHERE grade > 0
    )
    JOIN discounts USING (place)
    GROUP BY question
  ),
  found AS MATERIALIZED (
    SELECT asked.id AS question, docs_bge.rowid AS row,
           row_number() OVER (PARTITION BY asked.id ORDER BY docs_bge.rank, docs_bge.rowid) AS place
    FROM asked CROSS JOIN docs_bge
    WHERE docs_bge MATCH asked.text AND docs_bge.rank MATCH :ranking AND docs_bge.k = 100
  ),
  hits AS MATERIALIZED (
    SELECT found.question, found.place, graded.grade
    FROM found JOIN graded ON graded.question = found.question AND graded.row = found.row
    WHERE graded.grade > 0
  ),
  measures AS (
    SELECT asked.id AS question,
           coalesce((SELECT sum(grade * discount) FROM hits JOIN discounts USING (place)
                     WHERE hits.question = asked.id), 0) / ideal.gain AS ndcg_10,
           (SELECT count(*) FROM hits WHERE hits.question = asked.id) * 1.0 / asked.relevant AS recall_100,
           coalesce((SELECT 1.0 / min(place) FROM hits WHERE hits.question = asked.id AND place <= 10), 0) AS mrr_10
    FROM asked JOIN ideal ON ideal.question = asked.id
  )
SELECT count(*) AS questions, avg(ndcg_10) AS ndcg_10, avg(recall_100) AS recall_100, avg(mrr_10) AS mrr_10
FROM measures;
