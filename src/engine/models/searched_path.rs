//! A path that was looked at, found or not: error messages and `bge_info` are made of the same lists.

use std::env;
use std::path::PathBuf;

/// One path that was looked at.
#[derive(Clone, Debug)]
pub struct SearchedPath {
    /// What was looked for.
    pub path: PathBuf,
    /// Why there: the variable or rule that names the place.
    pub rule: &'static str,
    /// Whether it is there, with all that is needed of it.
    pub found: bool,
    /// What it lacks, where only that is not there.
    pub lacks: Option<String>,
}

impl SearchedPath {
    /// Looks.
    pub fn new(path: PathBuf, rule: &'static str) -> Self {
        let found = path.exists();
        SearchedPath {
            path,
            rule,
            found,
            lacks: None,
        }
    }
}

/// Paths as one line for an error message.
pub fn list(paths: &[SearchedPath]) -> String {
    let line = |p: &SearchedPath| match &p.lacks {
        None => format!("{} ({})", p.path.display(), p.rule),
        Some(part) => format!(
            "{} ({}; it is there, but has no {part})",
            p.path.display(),
            p.rule
        ),
    };
    paths.iter().map(line).collect::<Vec<_>>().join(", ")
}

/// A folder of the user's: what an XDG variable says, else its usual place below the home folder.
pub fn user_dir(variable: &str, below_home: &str) -> Option<PathBuf> {
    set_path(variable)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(set_path("HOME")?.join(below_home)))
}

/// The path in an environment variable that is set and not empty.
pub fn set_path(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
}
