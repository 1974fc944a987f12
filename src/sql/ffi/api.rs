//! The routines table that a host hands to an extension, and the connection it came with.
//!
//! A callback gets no table, so its address must be found again. SQLite's own way, one static, is
//! wrong when two copies of SQLite live in one process. Here each host has a *slot*, and the
//! callbacks are compiled once for each slot number: the slot is part of the function's address.

use crate::error::{Error, Kind, Result};
use crate::memory::out_of_memory;
use sqlite_loadable::ext::{sqlite3, sqlite3_api_routines};
use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Result codes that we use. (From `sqlite3.h`; the values never change.)
pub mod code {
    use std::ffi::c_int;
    pub const OK: c_int = 0;
    pub const ERROR: c_int = 1;
    pub const INTERNAL: c_int = 2;
    pub const NOMEM: c_int = 7;
    pub const READONLY: c_int = 8;
    pub const INTERRUPT: c_int = 9;
    pub const CORRUPT: c_int = 11;
    pub const CORRUPT_VTAB: c_int = CORRUPT | 1 << 8;
    pub const TOOBIG: c_int = 18;
    pub const MISMATCH: c_int = 20;
    pub const ROW: c_int = 100;
    pub const DONE: c_int = 101;
}

/// Bytes that SQLite keeps at `start`, of a value or a column. `start` is null for an empty BLOB, and
/// for anything when memory ran out; SQLite then says 0 bytes too, so only the type can tell.
///
/// # Safety
/// SQLite keeps `length` bytes at `start`, unless it is null, for as long as `'b`.
pub unsafe fn bytes<'b>(start: *const u8, length: c_int, is_text: bool) -> Result<&'b [u8]> {
    match (start.is_null(), usize::try_from(length).unwrap_or(0)) {
        (true, 0) if !is_text => Ok(&[]),
        (true, _) => Err(out_of_memory()),
        // SAFETY: the caller's contract.
        (false, length) => Ok(unsafe { std::slice::from_raw_parts(start, length) }),
    }
}

/// How many different copies of SQLite one process may load us into.
pub const HOSTS: usize = 8;

static TABLES: [AtomicPtr<sqlite3_api_routines>; HOSTS] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; HOSTS];

/// The routines of one copy of SQLite.
#[derive(Clone, Copy)]
pub struct Api {
    slot: usize,
    routines: &'static sqlite3_api_routines,
}

/// Calls a routine that every supported SQLite (3.38 and later) has.
///
/// Newer routines lie beyond the end of an older host's table: reading them needs a version check.
macro_rules! sqlite {
    ($api:expr, $name:ident($($arg:expr),* $(,)?)) => {
        ($api.routines().$name.expect("a routine of SQLite 3.38"))($($arg),*)
    };
}
pub(super) use sqlite;

/// `SQLITE_TRANSIENT`: SQLite copies what it is given.
pub fn transient() -> Option<unsafe extern "C" fn(*mut c_void)> {
    // SAFETY: SQLite's documented special value, -1 in place of a destructor. It is compared, and
    // never called.
    unsafe { std::mem::transmute::<isize, Option<unsafe extern "C" fn(*mut c_void)>>(-1) }
}

impl Api {
    /// Takes the table that a host passed to the entry point.
    ///
    /// # Errors
    /// More than [`HOSTS`] copies of SQLite in one process, or one that is too old.
    ///
    /// # Safety
    /// `table` is the pointer that SQLite passed to the entry point, not null.
    pub unsafe fn adopt(table: *mut sqlite3_api_routines) -> Result<Self> {
        for (slot, entry) in TABLES.iter().enumerate() {
            let seen = entry.compare_exchange(
                std::ptr::null_mut(),
                table,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if seen.is_ok() || seen == Err(table) {
                // SAFETY: the table is static in the host's SQLite.
                let api = Api {
                    slot,
                    routines: unsafe { &*table },
                };
                return api.check_version();
            }
        }
        Err(Error::invalid(format!(
            "loaded into more than {HOSTS} copies of SQLite in one process"
        )))
    }

    fn check_version(self) -> Result<Self> {
        // SAFETY: both take no arguments; the string is static.
        let (number, version) = unsafe {
            let version = CStr::from_ptr(sqlite!(self, libversion()));
            (
                sqlite!(self, libversion_number()),
                version.to_string_lossy(),
            )
        };
        if number >= 3_038_000 {
            return Ok(self);
        }
        Err(Error::invalid(format!(
            "this is SQLite {version}, sqlite-bge needs 3.38 or later"
        )))
    }

    /// A table for its memory routines only, where [`Self::adopt`] refused it.
    pub fn unregistered(routines: &'static sqlite3_api_routines) -> Self {
        Api {
            slot: usize::MAX,
            routines,
        }
    }

    /// The table of a slot that [`Self::adopt`] has filled.
    pub fn of_slot(slot: usize) -> Self {
        let table = TABLES[slot].load(Ordering::Acquire);
        // SAFETY: callbacks of a slot are registered only after the slot was filled with the
        // static table of a host, and slots are never emptied.
        let routines = unsafe { table.as_ref() }.expect("callbacks exist only for filled slots");
        Api { slot, routines }
    }

    pub fn slot(self) -> usize {
        self.slot
    }

    pub fn routines(self) -> &'static sqlite3_api_routines {
        self.routines
    }

    /// A copy of a string in SQLite's own memory; null when there is none.
    pub fn new_c_string(self, text: &str) -> *mut std::ffi::c_char {
        let bytes: Vec<u8> = text.bytes().filter(|&b| b != 0).collect();
        // SAFETY: the block has room for the bytes and the terminator.
        unsafe {
            let block = sqlite!(self, malloc64(bytes.len() as u64 + 1)).cast::<u8>();
            if !block.is_null() {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), block, bytes.len());
                block.add(bytes.len()).write(0);
            }
            block.cast()
        }
    }
}

/// A connection of the host, for as long as a callback runs.
#[derive(Clone, Copy)]
pub struct Connection<'c> {
    api: Api,
    raw: *mut sqlite3,
    life: PhantomData<&'c ()>,
}

// SAFETY: as for `Statement`.
unsafe impl Send for Connection<'_> {}

impl Connection<'_> {
    /// # Safety
    /// `raw` is a connection of this host that stays open for the lifetime.
    pub unsafe fn from_raw(api: Api, raw: *mut sqlite3) -> Self {
        Connection {
            api,
            raw,
            life: PhantomData,
        }
    }

    pub(super) fn api(&self) -> Api {
        self.api
    }

    pub(super) fn raw(&self) -> *mut sqlite3 {
        self.raw
    }

    /// The error of a result code, with SQLite's own message.
    pub(super) fn error(&self, rc: c_int) -> Error {
        // SAFETY: the connection is open; the message is copied before the next call.
        let message = unsafe { CStr::from_ptr(sqlite!(self.api, errmsg(self.raw))) };
        Error::new(kind(rc), message.to_string_lossy())
    }
}

/// What a result code means to us. Codes that are none of ours pass through.
pub fn kind(rc: c_int) -> Kind {
    match rc & 0xff {
        code::ERROR => Kind::Invalid,
        code::NOMEM => Kind::NoMemory,
        code::INTERRUPT => Kind::Interrupted,
        code::TOOBIG => Kind::TooBig,
        code::MISMATCH => Kind::Mismatch,
        code::INTERNAL => Kind::Internal,
        _ => Kind::Host(rc),
    }
}

/// The result code that tells a host what an error means.
pub fn result_code(kind: Kind) -> c_int {
    match kind {
        Kind::Invalid => code::ERROR,
        Kind::Mismatch => code::MISMATCH,
        Kind::TooBig => code::TOOBIG,
        Kind::NoMemory => code::NOMEM,
        Kind::Interrupted => code::INTERRUPT,
        Kind::Internal => code::INTERNAL,
        Kind::Corrupt => code::CORRUPT_VTAB,
        Kind::Host(rc) => rc,
    }
}
