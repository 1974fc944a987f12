//! ONNX Runtime's library: opened and asked what it is, before `ort` starts it; and its table of
//! functions, for those that `ort` does not offer.
#![allow(unsafe_code)]

use crate::engine::process::own_library::file_of;
use crate::error::{Error, Result};
use std::ffi::{CStr, c_char, c_void};
use std::path::{Path, PathBuf};

/// A library that says it is ONNX Runtime, opened and not started. Closed when dropped, so that a
/// file of the same name can be opened after it was replaced.
pub struct RuntimeLibrary {
    library: libloading::Library,
    /// Such as `1.28.0`.
    pub version: String,
    /// The file, also where the system's loader found it by a bare name.
    pub path: PathBuf,
    get_api: unsafe extern "C" fn(u32) -> *const c_void,
}

/// The runtime's table of functions.
pub struct ApiTable(*const c_void);

// SAFETY: the table is constant and lives as long as the runtime, which is kept to the end.
unsafe impl Send for ApiTable {}
// SAFETY: as above.
unsafe impl Sync for ApiTable {}

impl ApiTable {
    /// The function in a slot.
    ///
    /// # Safety
    /// The table has the slot, and `F` is the type of the function pointer there.
    pub unsafe fn slot<F: Copy>(&self, slot: usize) -> F {
        const { assert!(size_of::<F>() == size_of::<*const c_void>()) };
        // SAFETY: the caller vouches for slot and type; the table is an array of pointers.
        unsafe { self.0.cast::<*const c_void>().add(slot).cast::<F>().read() }
    }
}

impl RuntimeLibrary {
    /// # Errors
    /// A file that is no library, or none of ONNX Runtime.
    pub fn open(path: &Path) -> Result<Self> {
        #[repr(C)]
        struct ApiBase {
            get_api: unsafe extern "C" fn(u32) -> *const c_void,
            get_version: unsafe extern "C" fn() -> *const c_char,
        }
        // SAFETY: opening a library runs its initialisers; the path is what the user configured or
        // what was installed beside this extension.
        let library = unsafe { libloading::Library::new(path) }.map_err(|e| {
            Error::invalid(format!(
                "{} cannot be opened as a library: {e}",
                path.display()
            ))
        })?;
        // SAFETY: `OrtGetApiBase` has had this type since ONNX Runtime 1.0; the pointer it returns
        // is static, and its first two members are part of the frozen interface.
        let (version, found, get_api) = unsafe {
            let base = library.get::<unsafe extern "C" fn() -> *const ApiBase>(b"OrtGetApiBase\0");
            let base = base.map_err(|_| {
                Error::invalid(format!(
                    "{} is a library, but not ONNX Runtime: it has no OrtGetApiBase",
                    path.display()
                ))
            })?;
            let found = file_of(*base as *const c_void);
            let base = base();
            if base.is_null() {
                return Err(Error::invalid(format!("{} gives no API", path.display())));
            }
            let version = CStr::from_ptr(((*base).get_version)())
                .to_string_lossy()
                .into_owned();
            (version, found, (*base).get_api)
        };
        let path = found.unwrap_or_else(|| path.to_path_buf());
        Ok(RuntimeLibrary {
            library,
            version,
            path,
            get_api,
        })
    }

    /// The table of functions of an API version that this library has: one that is older would print
    /// to the host's stderr.
    pub fn api(&self, version: u32) -> Option<ApiTable> {
        // SAFETY: `get_api` is part of the frozen interface; for a version it lacks it gives null.
        let table = unsafe { (self.get_api)(version) };
        (!table.is_null()).then_some(ApiTable(table))
    }

    /// Leaves it open to the end of the process: its threads may run that long.
    pub fn keep(self) -> String {
        std::mem::forget(self.library);
        self.version
    }
}
