// What is the same in every host: the SQL. The files beside this one open a connection and load the
// extension; `db` is that connection.

/** Without texts: makes a small index and searches it. With texts: prints the vector of each, as JSON. */
export function run(db, texts) {
  if (texts.length === 0) search(db);
  else for (const text of texts) console.log(JSON.stringify(vector(db, text)));
}

function search(db) {
  db.exec(`
    CREATE TABLE pages(id INTEGER PRIMARY KEY, title TEXT, body TEXT);
    CREATE VIRTUAL TABLE pages_bge USING bge(title, body, content='pages');
    INSERT INTO pages(title, body) VALUES
      ('Router', 'Hold the small button for ten seconds to restore the factory settings.'),
      ('Invoice', 'You can download last month''s bill from the payments page.'),
      ('Holidays', 'Requests for days off go to your team lead two weeks ahead.');
  `);
  // Triggers note what changes in the table; this embeds it.
  db.prepare("SELECT bge_sync('pages_bge')").get();
  const nearest = db.prepare(`
    SELECT p.title, round(s.score, 2) AS score
    FROM pages_bge(?) AS s JOIN pages AS p ON p.id = s.rowid ORDER BY s.distance LIMIT 2
  `);
  for (const { title, score } of nearest.all('how do I reset my device?')) console.log(title, score);
}

/** A vector is a BLOB of little-endian 32-bit floats; here it becomes an array of numbers. */
function vector(db, text) {
  const { blob } = db.prepare('SELECT bge_embed(?) AS blob').get(text);
  // A copy, since a Float32Array must start at a multiple of 4 bytes and a blob need not.
  return Array.from(new Float32Array(Uint8Array.from(blob).buffer));
}
