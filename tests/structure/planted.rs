//! Each check sees its fault: a small tree without faults, and copies of it with one planted.

use crate::checks::{self, Faults};
use crate::tree::Tree;

/// A tree of the real one's shape. No check finds anything in it.
const SOUND: &[(&str, &str)] = &[
    (
        "lib.rs",
        "//! The crate.\nmod error;\npub mod vector;\npub mod engine;\npub mod sql;\npub use error::Error;\n",
    ),
    (
        "error.rs",
        "//! A leaf.\npub struct Error;\npub enum Kind { Busy }\n",
    ),
    (
        "vector/mod.rs",
        "//! Maths.\nuse crate::error::Error;\npub fn norm() -> Result<f32, Error> { Ok(0.0) }\n",
    ),
    (
        "engine/mod.rs",
        "//! Engine.\npub mod registry;\npub mod names;\nmod runtime;\npub use registry::load;\n\
         #[cfg(test)]\nmod tests { use crate::sql::register; }\n",
    ),
    ("engine/names.rs", "//! Names.\npub fn check() {}\n"),
    (
        "engine/registry.rs",
        "//! Registry.\nuse super::names;\npub fn load() { names::check() }\n",
    ),
    (
        "engine/runtime.rs",
        "//! Runtime.\nuse ort::session::Session;\npub struct Runtime(Session);\n",
    ),
    (
        "sql/mod.rs",
        "//! SQL.\npub mod ffi;\nmod index;\npub fn register() { index::plan::plan(); }\n",
    ),
    (
        "sql/ffi/mod.rs",
        "//! Border.\nmod statement;\nmod value;\npub use statement::Statement;\npub use value::Value;\n",
    ),
    ("sql/ffi/value.rs", "//! Values.\npub enum Value { Null }\n"),
    (
        "sql/ffi/statement.rs",
        "//! Statements.\nuse super::Value;\npub struct Statement;\nimpl Statement {\n    \
         pub fn column(&self) -> Value {\n        // SAFETY: alive.\n        unsafe { read() }\n    }\n}\n",
    ),
    (
        "sql/index/mod.rs",
        "//! Index.\nmod declare;\npub mod plan;\nmod store;\nmod sync;\n",
    ),
    (
        "sql/index/declare.rs",
        "//! Declare.\nuse crate::sql::ffi::Value;\npub struct Spec(Value);\n",
    ),
    (
        "sql/index/plan.rs",
        "//! Plan.\nuse super::declare::Spec;\npub fn plan() -> Option<Spec> { None }\n",
    ),
    (
        "sql/index/store.rs",
        "//! Store.\npub struct Store;\nimpl Store { pub fn open() {} }\n",
    ),
    (
        "sql/index/sync.rs",
        "//! Sync.\nuse super::store::Store;\nimpl Store { pub fn sync_all(&self) { Store::open() } }\n",
    ),
];

/// The sound tree with text added to the end of one file (made if it is not there).
fn with(path: &str, text: &str) -> Tree {
    let mut files: Vec<(String, String)> = SOUND
        .iter()
        .map(|(path, text)| (path.to_string(), text.to_string()))
        .collect();
    match files.iter_mut().find(|(known, _)| known == path) {
        Some((_, known)) => known.push_str(text),
        None => files.push((path.to_string(), text.to_string())),
    }
    Tree::of(files)
}

/// The check finds one fault, with these words, and nothing in the sound tree.
#[track_caller]
fn sees(check: fn(&Tree) -> Faults, path: &str, text: &str, words: &[&str]) {
    assert_eq!(check(&with("lib.rs", "")), Faults::new());
    let faults = check(&with(path, text));
    assert_eq!(faults.len(), 1, "{faults:#?}");
    for word in words {
        assert!(faults[0].contains(word), "{word:?} is not in {}", faults[0]);
    }
}

#[test]
fn layers() {
    let upwards = ["src/vector/mod.rs:4", "src/engine/registry.rs"];
    sees(
        checks::layers,
        "vector/mod.rs",
        "use crate::engine::registry::load;\n",
        &upwards,
    );
    sees(
        checks::layers,
        "vector/mod.rs",
        "use crate::{engine::{load as l}};\n",
        &upwards,
    );
    sees(
        checks::layers,
        "vector/mod.rs",
        "fn f() { crate::engine::load() }\n",
        &upwards,
    );
    sees(
        checks::layers,
        "vector/mod.rs",
        "pub use crate::engine::load;\n",
        &upwards,
    );
    sees(
        checks::layers,
        "vector/mod.rs",
        "fn f() { assert!(x == super::engine::load()) }\n",
        &upwards,
    );
    sees(
        checks::layers,
        "engine/names.rs",
        "use crate::sql;\n",
        &["src/engine/names.rs:3", "src/sql/mod.rs"],
    );
    sees(
        checks::layers,
        "error.rs",
        "impl crate::vector::Unknown for Error {}\n",
        &["src/error.rs:4", "src/vector/mod.rs"],
    );
}

#[test]
fn circles() {
    let both = ["2 files", "src/engine/names.rs:3", "src/engine/registry.rs"];
    sees(
        checks::circles,
        "engine/names.rs",
        "use super::registry::load;\n",
        &both,
    );
    sees(
        checks::circles,
        "engine/names.rs",
        "use super::{registry::{self, load}};\n",
        &both,
    );
    sees(
        checks::circles,
        "engine/names.rs",
        "fn f() { crate::engine::registry::load() }\n",
        &both,
    );
    // Through the re-export of the parent.
    sees(
        checks::circles,
        "engine/names.rs",
        "use super::load as other;\n",
        &both,
    );
    sees(
        checks::circles,
        "engine/names.rs",
        "use super::*; fn f() { load() }\n",
        &both,
    );
    sees(
        checks::circles,
        "engine/names.rs",
        "fn f() { println!(\"{}\", super::load()) }\n",
        &both,
    );
    // A parent with code of its own, which a child needs.
    sees(
        checks::circles,
        "sql/index/plan.rs",
        "fn f() { crate::sql::register() }\n",
        &["2 files", "src/sql/index/plan.rs", "src/sql/mod.rs"],
    );
    // A method that another file gives to a type hides an import.
    sees(
        checks::circles,
        "sql/index/store.rs",
        "fn f(store: &Store) { store.sync_all() }\n",
        &["2 files", ".sync_all()", "src/sql/index/sync.rs"],
    );
    // Three files.
    sees(
        checks::circles,
        "sql/index/declare.rs",
        "fn f() { crate::sql::register() }\n",
        &[
            "3 files",
            "src/sql/index/plan.rs",
            "src/sql/index/declare.rs",
            "src/sql/mod.rs",
        ],
    );
}

#[test]
fn purity() {
    let plan = ["src/sql/index/plan.rs:4", "not pure"];
    sees(
        checks::purity,
        "sql/index/plan.rs",
        "use crate::sql::ffi::Statement;\n",
        &plan,
    );
    sees(
        checks::purity,
        "sql/index/plan.rs",
        "use super::store::Store;\n",
        &plan,
    );
    sees(
        checks::purity,
        "sql/index/plan.rs",
        "use crate::engine::{self, load};\n",
        &plan,
    );
    sees(
        checks::purity,
        "sql/index/plan.rs",
        "fn f() { std::fs::read(\"x\"); }\n",
        &plan,
    );
    sees(
        checks::purity,
        "sql/index/plan.rs",
        "use std::{env::var, fmt};\n",
        &plan,
    );
    sees(
        checks::purity,
        "sql/index/declare/options.rs",
        "//! Options.\nuse crate::engine::names::check;\n",
        &["src/sql/index/declare/options.rs:2", "src/engine/names.rs"],
    );
}

#[test]
fn crates() {
    sees(
        checks::crates,
        "engine/names.rs",
        "use ort::Error;\n",
        &["src/engine/names.rs:3", "ort"],
    );
    sees(
        checks::crates,
        "engine/names.rs",
        "fn f() { tokenizers::x() }\n",
        &["tokenizers"],
    );
    sees(
        checks::crates,
        "sql/mod.rs",
        "use sqlite_loadable::ext::Value;\n",
        &["sqlite_loadable"],
    );
    sees(
        checks::crates,
        "sql/mod.rs",
        "fn f() { x(sqlite3_step) }\n",
        &["sqlite3_step", "sql/ffi"],
    );
    sees(
        checks::crates,
        "sql/ffi/value.rs",
        "fn f() { sqlite3ext_x() }\n",
        &["global table"],
    );
    sees(
        checks::crates,
        "sql/ffi/value.rs",
        "use sqlite_loadable::api;\n",
        &["types only"],
    );
}

#[test]
fn unsafe_code() {
    let explained = "// SAFETY: none.\nfn f() { unsafe { g() } }\n";
    sees(
        checks::unsafe_code,
        "engine/names.rs",
        explained,
        &["src/engine/names.rs:4", "outside"],
    );
    sees(
        checks::unsafe_code,
        "engine/names.rs",
        "#[allow(unsafe_code)]\nfn f() {}\n",
        &["outside"],
    );
    sees(
        checks::unsafe_code,
        "engine/names.rs",
        "unsafe fn f() {}\n",
        &["outside"],
    );
    let bare = ["src/sql/ffi/value.rs", "SAFETY"];
    sees(
        checks::unsafe_code,
        "sql/ffi/value.rs",
        "fn f() { unsafe { g() } }\n",
        &bare,
    );
    sees(
        checks::unsafe_code,
        "sql/ffi/value.rs",
        "unsafe impl Send for Value {}\n",
        &bare,
    );
    sees(
        checks::unsafe_code,
        "sql/ffi/value.rs",
        "// SAFETY: of the first alone.\nfn f() {\n    unsafe { g() };\n    unsafe { g() };\n}\n",
        &["src/sql/ffi/value.rs:6", "SAFETY"],
    );
    sees(
        checks::unsafe_code,
        "sql/ffi/value.rs",
        "fn f() { vec![unsafe { g() }]; }\n",
        &bare,
    );
}

#[test]
fn files() {
    sees(
        checks::files,
        "engine/names.rs",
        &"// a line\n".repeat(499),
        &["501 lines"],
    );
    sees(
        checks::files,
        "engine/new.rs",
        "fn f() {}\n",
        &["src/engine/new.rs", "what it is"],
    );
}

#[test]
fn finished() {
    let words = ["src/engine/names.rs:3"];
    sees(
        checks::finished,
        "engine/names.rs",
        "fn f() { todo!() }\n",
        &words,
    );
    sees(
        checks::finished,
        "engine/names.rs",
        "fn f() { vec![dbg!(1)]; }\n",
        &words,
    );
    sees(
        checks::finished,
        "engine/names.rs",
        "fn f() { eprintln!(\"x\") }\n",
        &words,
    );
    sees(
        checks::finished,
        "engine/names.rs",
        "// FIXME: later\n",
        &words,
    );
}

#[test]
fn one_word_one_thing() {
    let words = [
        "Kind names 2 types",
        "src/error.rs:3",
        "src/engine/names.rs:3",
    ];
    sees(
        checks::one_word_one_thing,
        "engine/names.rs",
        "pub struct Kind;\n",
        &words,
    );
    sees(
        checks::one_word_one_thing,
        "engine/names.rs",
        "type Kind = u8;\n",
        &words,
    );
    sees(
        checks::one_word_one_thing,
        "engine/names.rs",
        "trait Kind {}\n",
        &words,
    );
}

/// What is not a fault: tests, a parent's list of its children, and a child that imports a sibling
/// through the parent.
#[test]
fn what_is_allowed() {
    let tree = with(
        "sql/index/plan.rs",
        "#[cfg(test)]\nmod tests { use super::*; use crate::sql::register; fn f() { println!(); } }\n\
         #[cfg(test)]\nuse std::fs;\n",
    );
    for check in [checks::circles, checks::purity, checks::finished] {
        assert_eq!(check(&tree), Faults::new());
    }
    // A file that does not know the type calls another type's method.
    let tree = with(
        "vector/mod.rs",
        "fn f(other: &Other) { other.sync_all() }\n",
    );
    assert_eq!(checks::layers(&tree), Faults::new());
}
