//! The shape of the tree, kept by a test: imports run one way, foreign crates stay where they
//! belong, `unsafe` is explained, files stay small and say what they are.

use std::path::{Path, PathBuf};

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path
                    .strip_prefix(&root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files.len() > 20, "found only {} files", files.len());
    files
}

/// Lines of code: comments and the tests at a file's end are free to name anything.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let lines = text[..end].lines().enumerate();
    lines
        .map(|(i, line)| (i + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Whether the line has the word, not as the end of a longer name.
fn names(line: &str, word: &str) -> bool {
    let ends_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(ends_name))
}

/// Fails where a file under `folder` has one of the words outside the files allowed.
fn forbid(words: &[&str], applies: impl Fn(&str) -> bool, why: &str) {
    let mut found = Vec::new();
    for (name, text) in sources() {
        if applies(&name) {
            for (number, line) in code(&text) {
                if words.iter().any(|word| names(line, word)) {
                    found.push(format!("src/{name}:{number}: {}", line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[test]
fn imports_run_one_way() {
    forbid(
        &["crate::engine", "crate::sql"],
        |file| file.starts_with("vector/") || file == "error.rs",
        "vector and error import nothing above them",
    );
    forbid(
        &["crate::sql"],
        |file| file.starts_with("engine/"),
        "engine imports nothing above it",
    );
    forbid(
        &["crate::", "super::"],
        |file| file == "error.rs",
        "error is a leaf",
    );
}

#[test]
fn foreign_crates_stay_where_they_belong() {
    forbid(
        &["ort::", "use ort"],
        |file| {
            !matches!(
                file,
                "engine/inference/runtime.rs"
                    | "engine/inference/session.rs"
                    | "engine/inference/providers.rs"
                    | "engine/inference/assignment.rs"
            )
        },
        "ort is named only in engine::inference::{runtime, session, providers, assignment}",
    );
    forbid(
        &["tokenizers::"],
        |file| !file.starts_with("engine/text/"),
        "tokenizers is named only in engine::text",
    );
    forbid(
        &["sqlite_loadable", "sqlite3_"],
        |file| !file.starts_with("sql/ffi/"),
        "SQLite's C API is named only in sql::ffi",
    );
    forbid(
        &[
            "sqlite3ext_",
            "sqlite_loadable::api",
            "sqlite_loadable::table",
            "define_scalar",
        ],
        |_| true,
        "sqlite-loadable's helpers go through one global table",
    );
}

#[test]
fn unsafe_is_rare_and_explained() {
    let allowed = |file: &str| {
        // assignment: functions of the runtime that `ort` has no safe call for.
        file.starts_with("sql/ffi/")
            || matches!(
                file,
                "vector/kernels.rs"
                    | "vector/codes/kernels.rs"
                    | "engine/process/own_library.rs"
                    | "engine/process/environment.rs"
                    | "engine/process/per_process.rs"
                    | "engine/inference/library.rs"
                    | "engine/inference/cuda_memory.rs"
                    | "engine/inference/assignment.rs"
            )
    };
    forbid(
        &["unsafe ", "allow(unsafe_code)"],
        |file| !allowed(file),
        "unsafe outside its places",
    );
    let mut bare = Vec::new();
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let block = line.contains("unsafe {") || line.trim_start().starts_with("unsafe impl");
            let near = &lines[i.saturating_sub(6)..=i];
            if block
                && !line.trim_start().starts_with("//")
                && !near.iter().any(|l| l.contains("SAFETY"))
            {
                bare.push(format!("src/{name}:{}", i + 1));
            }
        }
    }
    assert!(
        bare.is_empty(),
        "unsafe without a SAFETY sentence:\n{}",
        bare.join("\n")
    );
}

#[test]
fn files_are_small_and_say_what_they_are() {
    for (name, text) in sources() {
        assert!(
            text.lines().count() <= 520,
            "src/{name} has {} lines",
            text.lines().count()
        );
        assert!(
            text.starts_with("//!"),
            "src/{name} does not start with what it is"
        );
    }
}

#[test]
fn nothing_unfinished_is_left_behind() {
    forbid(
        &["todo!(", "unimplemented!(", "dbg!(", "FIXME", "XXX"],
        |_| true,
        "unfinished",
    );
    forbid(
        &["println!", "eprintln!"],
        |_| true,
        "we print nothing to the host's terminal",
    );
}
