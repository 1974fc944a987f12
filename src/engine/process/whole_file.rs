//! Writing a file so that nobody ever reads half of it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file under another name first, and gives it its own once all is on the disk. Makes the folder.
///
/// # Errors
/// What the system said; then nothing is left behind.
pub fn write(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let folder = path.parent().unwrap_or(Path::new(""));
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let draft = folder.join(format!(".{}-{count}.draft", std::process::id()));
    let written = || -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = File::create(&draft)?;
        fill(&mut file)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    written().inspect_err(|_| {
        let _ = std::fs::remove_file(&draft);
    })
}
