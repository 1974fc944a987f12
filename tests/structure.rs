//! The shape of the tree, kept by a test: imports run one way and in no circle, what claims to do no
//! I/O does none, foreign crates stay where they belong, `unsafe` is explained, files stay small and
//! say what they are, a word names one thing.
//!
//! [`tree`] makes a graph of the source tree, [`checks`] look at it, [`places`] has the lists of what
//! belongs where, and [`planted`] shows that each check sees its fault.

#[path = "structure/checks.rs"]
mod checks;
#[path = "structure/places.rs"]
mod places;
#[path = "structure/planted.rs"]
mod planted;
#[path = "structure/tree.rs"]
mod tree;

use std::path::Path;
use tree::Tree;

/// The files of `src`.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                let name = name.replace('\\', "/");
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

fn sound(check: fn(&Tree) -> checks::Faults) {
    let tree = Tree::of(sources());
    // A graph that sees nothing finds no fault either.
    assert!(tree.files.len() > 20 && tree.edges.len() > tree.files.len());
    let faults = check(&tree);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn imports_run_one_way() {
    sound(checks::layers);
}

#[test]
fn no_imports_run_in_a_circle() {
    sound(checks::circles);
}

#[test]
fn what_is_pure_imports_nothing_that_does_io() {
    sound(checks::purity);
}

#[test]
fn foreign_crates_stay_where_they_belong() {
    sound(checks::crates);
}

#[test]
fn unsafe_is_rare_and_explained() {
    sound(checks::unsafe_code);
}

#[test]
fn files_are_small_and_say_what_they_are() {
    sound(checks::files);
}

#[test]
fn nothing_unfinished_is_left_behind() {
    sound(checks::finished);
}

#[test]
fn one_word_is_one_thing() {
    sound(checks::one_word_one_thing);
}
