//! What the user is told of words: of a table that is missing, damaged, incomplete or somebody else's, with the way out.

use super::{Found, Words};
use crate::error::{Error, Kind, Result};
use crate::sql::index::damage::{corrupt, is_corrupt, refused};
use crate::sql::lexer::quote_name;

/// What `bge_status` says where the table or its triggers are gone.
pub const LOST: &str =
    "their table or its triggers are gone or have changed; bge_sync makes them again";

/// What `bge_status` says while they are being made again.
pub const UNFILLED: &str =
    "they are being made again, and those of some rows are not there yet; bge_sync goes on";

/// What `bge_status` says where FTS5 lacks a table of its own.
pub fn missing_behind(name: &str) -> String {
    format!("FTS5's own table '{name}' is missing; the command 'rebuild' makes all of them anew")
}

/// Of a search meanwhile.
pub fn unfilled() -> Error {
    Error::invalid(
        "the words of this index were lost and are being made again, and those of some rows are not there yet; \
         SELECT bge_sync('the index') goes on, and until it is done the ranking 'meaning' needs no words",
    )
}

/// Of a view as content.
pub fn over_a_view(view: &str) -> Error {
    Error::invalid(format!(
        "option words is on, and content '{view}' is no ordinary table, whose triggers could keep words in \
         step; make an FTS5 table with the same rowids, keep it in step yourself and name it: \
         words='its name'"
    ))
}

/// Of a host.
pub fn no_fts5() -> Error {
    Error::invalid(
        "option words needs FTS5, and the SQLite of this program was built without it; leave words out, \
         or use a SQLite with SQLITE_ENABLE_FTS5",
    )
}

/// Of a name that the index needs; `kind` is what has it.
pub fn taken(kind: &str, name: &str) -> Error {
    Error::invalid(format!(
        "there is {} {kind} '{name}' already, and the index would have its words under this name; give the index another \
         name, or rename the {kind}",
        if kind == "index" { "an" } else { "a" }
    ))
}

/// Of a host, where an index has words.
fn no_fts5_here(name: &str) -> Error {
    Error::invalid(format!(
        "the words of this index are in the FTS5 table '{name}', and the SQLite of this program was built without FTS5; \
         rank MATCH 'meaning' needs no words; for the rest use a SQLite with SQLITE_ENABLE_FTS5"
    ))
}

/// Of what stands in the place of our own table; `kind` is what DROP calls it.
pub fn stranger(kind: &str, name: &str) -> Error {
    refused(format!(
        "the index is damaged, '{name}' is not the FTS5 table that it made: DROP {kind} {}, and give the \
         command 'rebuild'",
        quote_name(name)
    ))
}

/// Of the name that the declaration has; `what` there is instead.
pub fn no_such_table(name: &str, schema: &str, what: &str) -> Error {
    Error::invalid(format!(
        "option words names '{name}', which must be an FTS5 table in schema '{schema}', and {what}; make it with \
         CREATE VIRTUAL TABLE {} USING fts5(...), or make the index again with words=on",
        quote_name(name)
    ))
}

/// Of a table of the user's whose rows are not those of the content.
pub fn out_of_step(name: &str, faults: &[String]) -> Error {
    let quoted = quote_name(name);
    refused(format!(
        "{}: {}; where the table has the same content, INSERT INTO {quoted}({quoted}) VALUES ('rebuild') mends it; \
         otherwise insert and delete these rows in it",
        of_user(name),
        faults.join("; ")
    ))
}

/// How a table of the user's is called in an error.
fn of_user(name: &str) -> String {
    format!("FTS5 table '{name}', which option words names")
}

/// Of our own table.
pub fn missing(name: &str) -> String {
    format!("its table of words, '{name}', is missing")
}

fn damaged(name: &str, error: &Error) -> Error {
    corrupt(format_args!(
        "its table of words, '{name}', cannot be used: {}",
        error.message()
    ))
}

impl Words<'_> {
    /// An outcome of a statement on the table, as the user of the index is told it.
    pub(super) fn told<T>(self, outcome: Result<T>) -> Result<T> {
        let error = match outcome {
            Ok(value) => return Ok(value),
            // An interruption takes the transaction back, and with it a table that CREATE has just made.
            Err(e) if e.is_passing() => return Err(e),
            Err(e) => e,
        };
        let name = self.table();
        if !self.host_has_fts5()? {
            return Err(no_fts5_here(&name));
        }
        // Of the program, too, and no damage: a tokenizer that it has not registered.
        if error.message().contains("no such tokenizer") {
            return Err(error.at(format_args!("the words of this index, FTS5 table '{name}'")));
        }
        if !self.are_kept() {
            self.check_named()?;
            return Err(match is_corrupt(&error) {
                true => {
                    let quoted = quote_name(&name);
                    refused(format!(
                        "{}: {}; INSERT INTO {quoted}({quoted}) VALUES ('rebuild') makes what FTS5 has of its texts again",
                        of_user(&name),
                        error.message()
                    ))
                }
                false => error.at(of_user(&name)),
            });
        }
        Err(match (error.kind(), self.look()?) {
            // A full disk takes the transaction back as well.
            (Kind::Invalid, Found::Nothing) => corrupt(missing(&name)),
            _ if is_corrupt(&error) => damaged(&name, &error),
            // FTS5 could not even open it.
            (Kind::Invalid, _) => damaged(&name, &error),
            _ => error,
        })
    }

    /// # Errors
    /// There is no FTS5 table of the name that the declaration has.
    pub(super) fn check_named(self) -> Result<()> {
        let what = match self.look()? {
            Found::Fts5(_) => return Ok(()),
            Found::Nothing => "there is none".to_owned(),
            Found::Other(kind) => format!("the {kind} of this name is none"),
        };
        Err(no_such_table(
            &self.table(),
            &self.shadow.names().schema,
            &what,
        ))
    }
}
