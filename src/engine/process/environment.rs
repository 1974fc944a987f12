//! The environment of the process: writing a variable, and whose process it is.
#![allow(unsafe_code)]

/// Sets an environment variable of the process unless it is set.
pub fn set_env_if_unset(key: &str, value: &str) {
    if std::env::var_os(key).is_none() {
        // SAFETY: called once, before the runtime starts its threads. A host thread that reads
        // its environment at this very moment through libc could race: ONNX Runtime offers no
        // other switch, and glibc keeps replaced strings readable.
        unsafe { std::env::set_var(key, value) };
    }
}

/// The user whose rights this process has.
#[cfg(unix)]
pub fn user() -> u32 {
    // SAFETY: the call takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}
