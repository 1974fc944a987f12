//! The memory of an NVIDIA GPU: the runtime does not tell it, its driver does.
#![allow(unsafe_code)]

use std::path::Path;

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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::path::PathBuf;

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
