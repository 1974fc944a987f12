//! How to get what is missing, in the words of whoever installed this library: the sources have `make`, a
//! package leaves `bge-install.json` beside the library, with a command of its own:
//! `{"download": "sqlite-bge download"}`.

use crate::engine::models::files::read_json;
use crate::engine::process::own_library::own_dir;
use std::path::Path;

const FILE: &str = "bge-install.json";

/// The longest command that is repeated in a message, in characters.
const LONGEST: usize = 200;

/// How to get a model of the catalogue.
pub fn way_to_model(name: &str) -> String {
    let command = own_dir().and_then(|folder| download_command(&folder));
    way(command.as_deref(), name)
}

/// How to get ONNX Runtime.
pub fn way_to_runtime() -> &'static str {
    let packaged = own_dir().is_some_and(|folder| download_command(&folder).is_some());
    if packaged {
        "install the package anew, which brings it"
    } else {
        "`make build` does"
    }
}

fn way(command: Option<&str>, name: &str) -> String {
    match command {
        Some(command) => format!("get it with: {command} {name}"),
        None => format!("get it with: make model MODEL={name}"),
    }
}

/// The command that fetches a model, where a package says so.
fn download_command(folder: &Path) -> Option<String> {
    let said = read_json(&folder.join(FILE)).ok()?;
    let command = said["download"].as_str()?.trim();
    let plain = !command.is_empty() && !command.contains(char::is_control);
    plain.then(|| command.chars().take(LONGEST).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_says_how_to_get_a_model() {
        let folder = std::env::temp_dir().join(format!("bge-install-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let said = |json: &str| {
            std::fs::write(folder.join(FILE), json).unwrap();
            download_command(&folder)
        };
        assert_eq!(
            said(r#"{"download": "sqlite-bge download"}"#).as_deref(),
            Some("sqlite-bge download")
        );
        for useless in [
            "",
            "{}",
            "[]",
            r#"{"download": 1}"#,
            r#"{"download": " "}"#,
            r#"{"download": "a\nb"}"#,
        ] {
            assert_eq!(said(useless), None, "{useless}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(download_command(&folder), None);
        assert_eq!(way(Some("npx x get"), "m"), "get it with: npx x get m");
        assert_eq!(way(None, "m"), "get it with: make model MODEL=m");
    }
}
