//! `oldest-host EXTENSION [DATABASE] < statements.sql`: runs statements in SQLite 3.38 with the
//! extension loaded, in memory or in a file. Statements are separated by a line `;;`. Lines
//! `;;bind :name EXPRESSION` in front of a statement bind what the expression gives. Prints each row as
//! a JSON array, a BLOB as `{"blob": "hex"}`, an error as `ERROR: message`.

use rusqlite::{
    types::{Value, ValueRef},
    Connection,
};
use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let extension = arguments
        .next()
        .ok_or("usage: oldest-host EXTENSION [DATABASE] < statements.sql")?;
    let db = match arguments.next() {
        Some(file) => Connection::open(file)?,
        None => Connection::open_in_memory()?,
    };
    println!("SQLite {}", rusqlite::version());
    unsafe {
        db.load_extension_enable()?;
        db.load_extension(extension, None)?;
    }
    let mut script = String::new();
    std::io::stdin().read_to_string(&mut script)?;
    for statement in script.split("\n;;\n").map(str::trim).filter(|s| !s.is_empty()) {
        if let Err(e) = run(&db, statement) {
            println!("ERROR: {e}");
        }
    }
    Ok(())
}

fn run(db: &Connection, statement: &str) -> rusqlite::Result<()> {
    let (mut sql, mut bound) = (statement, Vec::new());
    while let Some(rest) = sql.strip_prefix(";;bind ") {
        let (binding, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let (name, expression) = binding.split_once(' ').unwrap_or((binding, "NULL"));
        let value: Value = db.query_row(&format!("SELECT {expression}"), [], |row| row.get(0))?;
        bound.push((name, value));
        sql = after;
    }
    let mut statement = db.prepare(sql)?;
    for (name, value) in bound {
        if let Some(index) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let cells: rusqlite::Result<Vec<String>> =
            (0..columns).map(|i| Ok(json(row.get_ref(i)?))).collect();
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
