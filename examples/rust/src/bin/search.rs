//! Search by meaning with rusqlite, which loads the extension.
//!
//!     cargo run --release --bin search path/to/libbge.so
//!
//! makes a small index and searches it. With texts after the path it prints the vector of each.

use rusqlite::{Connection, LoadExtensionGuard, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let library = arguments.next().expect("usage: search path/to/libbge.so [TEXT...]");
    let db = Connection::open_in_memory()?;
    // Loading is allowed as long as the guard lives.
    // SAFETY: the library is the extension, which keeps SQLite's rules.
    unsafe {
        let _guard = LoadExtensionGuard::new(&db)?;
        db.load_extension(library, None::<&str>)?;
    }
    let texts: Vec<String> = arguments.collect();
    if texts.is_empty() {
        return search(&db);
    }
    for text in texts {
        println!("{:?}", vector(&db, &text)?);
    }
    Ok(())
}

fn search(db: &Connection) -> Result<()> {
    db.execute_batch(
        "CREATE TABLE pages(id INTEGER PRIMARY KEY, title TEXT, body TEXT);
         CREATE VIRTUAL TABLE pages_bge USING bge(title, body, content='pages');
         INSERT INTO pages(title, body) VALUES
           ('Router', 'Hold the small button for ten seconds to restore the factory settings.'),
           ('Invoice', 'You can download last month''s bill from the payments page.'),
           ('Holidays', 'Requests for days off go to your team lead two weeks ahead.');",
    )?;
    // Triggers note what changes in the table; this embeds it.
    db.query_row("SELECT bge_sync('pages_bge')", [], |row| row.get::<_, i64>(0))?;
    let mut nearest = db.prepare(
        "SELECT p.title, s.score FROM pages_bge(?1) AS s JOIN pages AS p ON p.id = s.rowid
         ORDER BY s.distance LIMIT 2",
    )?;
    let mut rows = nearest.query(["how do I reset my device?"])?;
    while let Some(row) = rows.next()? {
        let (title, score): (String, f64) = (row.get(0)?, row.get(1)?);
        println!("{title} {score:.2}");
    }
    Ok(())
}

/// A vector is a BLOB of little-endian 32-bit floats.
fn vector(db: &Connection, text: &str) -> Result<Vec<f32>> {
    let blob: Vec<u8> = db.query_row("SELECT bge_embed(?1)", [text], |row| row.get(0))?;
    let (components, _) = blob.as_chunks::<4>();
    Ok(components.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
