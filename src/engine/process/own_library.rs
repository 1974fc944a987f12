//! The library file that this code was loaded from: where it is, and that it stays in memory.
#![allow(unsafe_code)]

use once_cell::sync::OnceCell;
use std::ffi::c_void;
#[cfg(unix)]
use std::ffi::{CStr, OsStr};
use std::path::{Path, PathBuf};

/// The file this code was loaded from: the extension, or the program it is linked into. `None` where
/// the platform cannot say (yet).
///
/// Found once, when the library is loaded: a relative path means nothing after the host has changed
/// its working directory.
pub fn own_path() -> Option<&'static Path> {
    static PATH: OnceCell<Option<PathBuf>> = OnceCell::new();
    PATH.get_or_init(find_own_path).as_deref()
}

fn find_own_path() -> Option<PathBuf> {
    file_of((find_own_path as fn() -> Option<PathBuf>) as *const c_void)
}

/// The file that holds the code at this address.
#[cfg(unix)]
pub fn file_of(here: *const c_void) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `info` is writable and zeroed; `dladdr` only reads the address it is given.
    let info = unsafe {
        if libc::dladdr(here, info.as_mut_ptr()) == 0 {
            return None;
        }
        info.assume_init()
    };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: `dli_fname` is not null and points to a string that lives as long as the library,
    // which holds the code at `here`.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    std::path::absolute(OsStr::from_bytes(name.to_bytes())).ok()
}

/// Not told on this platform yet.
#[cfg(not(unix))]
pub fn file_of(_: *const c_void) -> Option<PathBuf> {
    None
}

/// Keeps this library in memory until the process ends, even after its last connection closes:
/// ONNX Runtime's threads and our registered state must not outlive their code.
#[cfg(all(unix, feature = "sql"))]
pub fn pin_own_library() {
    use std::os::unix::ffi::OsStrExt;
    let Some(path) = own_path() else { return };
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else {
        return;
    };
    // SAFETY: the path is a C string. NOLOAD opens nothing new: it takes one more reference to a
    // library that is loaded already (or does nothing, inside a statically linked program).
    unsafe {
        libc::dlopen(
            path.as_ptr(),
            libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE,
        )
    };
}

/// Not done on this platform yet.
#[cfg(all(not(unix), feature = "sql"))]
pub fn pin_own_library() {}

/// The folder of that file.
pub fn own_dir() -> Option<PathBuf> {
    Some(own_path()?.parent()?.to_path_buf())
}
