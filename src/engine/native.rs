//! The few calls to the operating system that the standard library does not offer, and the one
//! pointer that makes process-wide state safe across `fork()`.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use once_cell::sync::OnceCell;
use std::ffi::{CStr, OsStr, c_char, c_void};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};

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
fn file_of(here: *const c_void) -> Option<PathBuf> {
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

#[cfg(not(unix))]
fn file_of(_: *const c_void) -> Option<PathBuf> {
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

/// Sets an environment variable of the process unless it is set.
pub fn set_env_if_unset(key: &str, value: &str) {
    if std::env::var_os(key).is_none() {
        // SAFETY: called once, before the runtime starts its threads. A host thread that reads
        // its environment at this very moment through libc could race: ONNX Runtime offers no
        // other switch, and glibc keeps replaced strings readable.
        unsafe { std::env::set_var(key, value) };
    }
}

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

/// The memory of an NVIDIA GPU in bytes, from its driver; `None` where there is no driver or no such GPU.
pub fn cuda_memory(number: u32) -> Option<u64> {
    let driver = if cfg!(windows) {
        "nvcuda.dll"
    } else {
        "libcuda.so.1"
    };
    cuda_memory_by(Path::new(driver), number)
}

fn cuda_memory_by(driver: &Path, number: u32) -> Option<u64> {
    type Init = unsafe extern "system" fn(u32) -> i32;
    type Get = unsafe extern "system" fn(*mut i32, i32) -> i32;
    type Memory = unsafe extern "system" fn(*mut usize, i32) -> i32;
    // SAFETY: opening the driver runs its initialisers, as the CUDA provider has done before; the
    // functions have had these types since CUDA 3.2, fill their outputs and give 0, or do not.
    unsafe {
        let driver = libloading::Library::new(driver).ok()?;
        let (mut device, mut bytes) = (0, 0);
        let found = driver.get::<Init>(b"cuInit\0").ok()?(0) == 0
            && driver.get::<Get>(b"cuDeviceGet\0").ok()?(&raw mut device, number as i32) == 0
            && driver.get::<Memory>(b"cuDeviceTotalMem_v2\0").ok()?(&raw mut bytes, device) == 0;
        // Other libraries hold on to the driver: closing it here must not end it.
        std::mem::forget(driver);
        found.then_some(bytes as u64)
    }
}

/// One value a process, made at first use. After `fork()` the child makes its own: the parent's
/// is leaked, never dropped, since its locks may be held and its threads are gone.
pub struct PerProcess<T: 'static> {
    current: AtomicPtr<Tagged<T>>,
    make: fn() -> T,
}

struct Tagged<T> {
    pid: u32,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    pub const fn new(make: fn() -> T) -> Self {
        PerProcess {
            current: AtomicPtr::new(std::ptr::null_mut()),
            make,
        }
    }

    /// The value of this process. Takes no lock.
    pub fn get(&'static self) -> &'static T {
        let pid = std::process::id();
        loop {
            let seen = self.current.load(Ordering::Acquire);
            // SAFETY: a pointer that is not null came from `Box::into_raw` below, published with
            // Release, and is never freed.
            if let Some(tagged) = unsafe { seen.as_ref() }
                && tagged.pid == pid
            {
                return &tagged.value;
            }
            let value = (self.make)();
            let fresh = Box::into_raw(Box::new(Tagged { pid, value }));
            let swap =
                self.current
                    .compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire);
            if swap.is_err() {
                // SAFETY: `fresh` was made above and seen by nobody else.
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Compiled from C, so that the calls are tried without a GPU.
    fn fake_driver(folder: &Path) -> Option<PathBuf> {
        let (source, driver) = (folder.join("cuda.c"), folder.join("libfakecuda.so"));
        let code = "int cuInit(unsigned f) { return f; }
            int cuDeviceGet(int *d, int n) { *d = n + 40; return n < 2 ? 0 : 101; }
            int cuDeviceTotalMem_v2(unsigned long *b, int d) { *b = d == 41 ? 85899345920ul : 7; return 0; }";
        std::fs::write(&source, code).unwrap();
        let compiler = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&driver, &source])
            .status();
        compiler
            .is_ok_and(|status| status.success())
            .then_some(driver)
    }

    #[test]
    fn the_memory_of_a_gpu_comes_from_its_driver() {
        assert_eq!(cuda_memory_by(Path::new("libno-such-driver.so"), 0), None);
        assert_eq!(cuda_memory_by(Path::new("libc.so.6"), 0), None);
        let folder = std::env::temp_dir().join(format!("bge-driver-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        if let Some(driver) = fake_driver(&folder) {
            assert_eq!(cuda_memory_by(&driver, 1), Some(80 << 30));
            assert_eq!(cuda_memory_by(&driver, 7), None);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
