//! `oldest-host EXTENSION < statements.sql`: runs statements in SQLite 3.38 with the extension
//! loaded. Statements are separated by a line `;;`. Prints each row as a JSON array, a BLOB as
//! `{"blob": "hex"}`, an error as `ERROR: message`.

use rusqlite::{types::ValueRef, Connection};
use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let extension = std::env::args().nth(1).ok_or("usage: oldest-host EXTENSION < statements.sql")?;
    let db = Connection::open_in_memory()?;
    println!("SQLite {}", rusqlite::version());
    unsafe {
        db.load_extension_enable()?;
        db.load_extension(extension, None)?;
    }
    let mut script = String::new();
    std::io::stdin().read_to_string(&mut script)?;
    for statement in script.split("\n;;").map(str::trim).filter(|s| !s.is_empty()) {
        if let Err(e) = run(&db, statement) {
            println!("ERROR: {e}");
        }
    }
    Ok(())
}

fn run(db: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = db.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let cells: rusqlite::Result<Vec<String>> = (0..columns).map(|i| Ok(json(row.get_ref(i)?))).collect();
        println!("[{}]", cells?.join(","));
    }
    Ok(())
}

fn json(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".into(),
        ValueRef::Integer(n) => n.to_string(),
        ValueRef::Real(x) => format!("{x:?}"),
        ValueRef::Text(text) => quote(&String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            format!("{{\"blob\":\"{hex}\"}}")
        }
    }
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out + "\""
}
