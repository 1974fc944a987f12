//! Which file a connection reads.

use super::api::{Connection, sqlite};
use std::ffi::{CStr, CString};
use std::path::PathBuf;

impl Connection<'_> {
    /// The file of a schema, as the connection opened it; `None` for a database in memory, a temporary
    /// one and an unknown schema.
    pub fn file_of(&self, schema: &str) -> Option<PathBuf> {
        let schema = CString::new(schema).ok()?;
        // SAFETY: the connection is open and the name a C string; the file's name is null or a C string
        // that lives as long as the connection has the file.
        let name = unsafe {
            let name = sqlite!(self.api(), db_filename(self.raw(), schema.as_ptr()));
            (!name.is_null()).then(|| CStr::from_ptr(name))?
        };
        let name = name.to_str().ok().filter(|name| !name.is_empty())?;
        Some(PathBuf::from(name))
    }
}
