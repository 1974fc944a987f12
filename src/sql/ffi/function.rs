//! Scalar functions: how one is described, registered, called, and how its result goes back.
//!
//! A [`Function`] is data: name, number of arguments, flags and a plain Rust function from
//! arguments to a [`Value`]. Panics end here; errors keep their code and get the function's name.

use super::access::Access;
use super::api::{Api, Connection, HOSTS, code, result_code, sqlite, transient};
use super::guard::{guarded, release};
use super::interrupt::Interrupts;
use super::value::Value;
use super::value_ref::ValueRef;
use crate::error::{Error, Kind, Result};
use sqlite_loadable::ext::{sqlite3_context, sqlite3_value};
use std::any::Any;
use std::ffi::{CString, c_int, c_void};
use std::marker::PhantomData;

/// What SQLite may assume of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(c_int);

impl Flags {
    /// Nothing.
    pub const NONE: Flags = Flags(0);
    /// Same arguments, same result: a call with constant arguments is made once a statement.
    pub const DETERMINISTIC: Flags = Flags(0x800);
    /// Harmless also in a schema that nobody trusts.
    pub const INNOCUOUS: Flags = Flags(0x20_0000);
    /// Only for the application itself: never from a view, a trigger or another part of a schema.
    pub const DIRECTONLY: Flags = Flags(0x8_0000);
    /// A text that it gives is JSON, and SQLite's JSON functions take it as such.
    pub const JSON: Flags = Flags(0x100_0000);

    /// Both.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    fn contain(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The number of our auxiliary data that belong to the whole statement: "bge", negative.
const STATEMENT: c_int = -0x62_6765;

/// The body of a function.
pub type Body = fn(&Context<'_>, Arguments<'_>) -> Result<Value>;

/// One SQL function, for one number of arguments.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Function {
    pub name: &'static str,
    pub arguments: usize,
    pub flags: Flags,
    /// What a connection must be allowed to do to have it.
    pub needs: Access,
    pub body: Body,
}

/// A function as it was registered on a connection: what SQLite keeps as its user data.
struct Registered {
    function: Function,
    access: Access,
}

impl Connection<'_> {
    /// Registers a function on a connection that may do this much.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn define(&self, access: Access, function: Function) -> Result<()> {
        const UTF8: c_int = 1;
        let name = CString::new(function.name).map_err(|e| Error::internal(e.to_string()))?;
        let data = Box::new(Registered { function, access });
        let data = Box::into_raw(data).cast::<c_void>();
        // SAFETY: the connection is open, the name a C string; `data` is freed by `destroy`, which
        // SQLite calls also where registration fails.
        let rc = unsafe {
            sqlite!(
                self.api(),
                create_function_v2(
                    self.raw(),
                    name.as_ptr(),
                    function.arguments as c_int,
                    UTF8 | function.flags.0,
                    data,
                    Some(CALLS[self.api().slot()]),
                    None,
                    None,
                    Some(destroy),
                )
            )
        };
        if rc == code::OK {
            Ok(())
        } else {
            Err(self.error(rc).at(function.name))
        }
    }
}

unsafe extern "C" fn destroy(data: *mut c_void) {
    // SAFETY: made by `define`, freed once.
    drop(unsafe { Box::from_raw(data.cast::<Registered>()) });
}

type Call = unsafe extern "C" fn(*mut sqlite3_context, c_int, *mut *mut sqlite3_value);

/// The callback of each host's slot.
static CALLS: [Call; HOSTS] = [
    call::<0>, call::<1>, call::<2>, call::<3>, call::<4>, call::<5>, call::<6>, call::<7>,
];

unsafe extern "C" fn call<const SLOT: usize>(
    context: *mut sqlite3_context,
    count: c_int,
    arguments: *mut *mut sqlite3_value,
) {
    let api = Api::of_slot(SLOT);
    // SAFETY: SQLite passes a context and `count` protected values that live until we return; the
    // user data is what `define` registered, alive while it is called.
    let (Registered { function, access }, arguments) = unsafe {
        let registered = &*sqlite!(api, user_data(context)).cast::<Registered>();
        (registered, Arguments::from_raw(api, count, arguments))
    };
    // SAFETY: as above.
    let context = unsafe { Context::from_raw(api, *access, context) };
    let result =
        guarded(|| (function.body)(&context, arguments).map_err(|e| name_it(e, function.name)));
    let is_json = function.flags.contain(Flags::JSON) && matches!(result, Ok(Value::Text(_)));
    context.give(result);
    if is_json {
        context.mark_as_json();
    }
}

/// An interruption reads as SQLite's own; everything else says which function it comes from.
pub(super) fn name_it(error: Error, name: &str) -> Error {
    if error.kind() == Kind::Interrupted {
        error
    } else {
        error.at(name)
    }
}

/// The arguments of a call.
#[derive(Clone, Copy)]
pub struct Arguments<'v> {
    api: Api,
    raw: &'v [*mut sqlite3_value],
}

impl<'v> Arguments<'v> {
    /// # Safety
    /// `raw` points to `count` protected values of this host that live as long as `'v`.
    unsafe fn from_raw(api: Api, count: c_int, raw: *mut *mut sqlite3_value) -> Self {
        let count = usize::try_from(count).unwrap_or(0);
        let raw = if count == 0 {
            &[] // the pointer may be null
        } else {
            // SAFETY: the caller's contract.
            unsafe { std::slice::from_raw_parts(raw, count) }
        };
        Arguments { api, raw }
    }

    /// How many there are: what the function was registered for.
    pub fn count(self) -> usize {
        self.raw.len()
    }

    /// The `n`th, from 0.
    pub fn get(self, n: usize) -> ValueRef<'v> {
        // SAFETY: a protected value, alive as long as `'v`.
        unsafe { ValueRef::from_raw(self.api, self.raw[n]) }
    }
}

/// One call: results, auxiliary data, and the connection it runs on.
pub struct Context<'c> {
    api: Api,
    access: Access,
    raw: *mut sqlite3_context,
    life: PhantomData<&'c ()>,
}

impl<'c> Context<'c> {
    /// # Safety
    /// `raw` is a context of this host that lives as long as `'c`.
    pub(super) unsafe fn from_raw(api: Api, access: Access, raw: *mut sqlite3_context) -> Self {
        Context {
            api,
            access,
            raw,
            life: PhantomData,
        }
    }

    /// The connection that runs the statement.
    pub fn connection(&self) -> Connection<'c> {
        // SAFETY: the context is alive, and so is its connection.
        unsafe { Connection::from_raw(self.api, sqlite!(self.api, context_db_handle(self.raw))) }
    }

    /// How much the connection may do.
    pub fn access(&self) -> Access {
        self.access
    }

    /// A way to ask whether to stop, for [`Self::keep_for_statement`].
    pub fn kept_interrupts(&self) -> Interrupts<'static> {
        // SAFETY: auxiliary data is freed when its statement ends, and a connection is not closed
        // while one of its statements runs.
        let db = unsafe {
            let raw = sqlite!(self.api, context_db_handle(self.raw));
            Connection::from_raw(self.api, raw)
        };
        Interrupts::new(db)
    }

    /// What an earlier row of this statement left for argument `n`, which must then be constant.
    pub fn constant<T: Any + Clone>(&self, n: usize) -> Option<T> {
        self.auxiliary(n as c_int)
    }

    /// Leaves something for later rows. SQLite keeps it only where argument `n` is constant.
    pub fn set_constant<T: Any + Send>(&self, n: usize, value: T) {
        self.set_auxiliary(n as c_int, value);
    }

    fn auxiliary<T: Any + Clone>(&self, n: c_int) -> Option<T> {
        // SAFETY: what is found there was put there by `set_auxiliary`, and lives at least until
        // this callback returns or sets it again; it is cloned before either.
        let found = unsafe {
            let data = sqlite!(self.api, get_auxdata(self.raw, n));
            data.cast::<Box<dyn Any + Send>>().as_ref()?
        };
        found.downcast_ref::<T>().cloned()
    }

    fn set_auxiliary<T: Any + Send>(&self, n: c_int, value: T) {
        let boxed: Box<Box<dyn Any + Send>> = Box::new(Box::new(value));
        let data = Box::into_raw(boxed).cast::<c_void>();
        // SAFETY: SQLite calls the destructor exactly once, perhaps at once; `data` is not used
        // after this.
        unsafe {
            sqlite!(
                self.api,
                set_auxdata(self.raw, n, data, Some(drop_constant))
            )
        };
    }

    /// What [`Self::keep_for_statement`] left, on whatever row or call of this statement.
    pub fn of_statement<T: Any + Clone>(&self) -> Option<T> {
        self.auxiliary(STATEMENT)
    }

    /// Leaves something for all later calls of this statement, whatever their arguments.
    ///
    /// SQLite keeps auxiliary data of a negative number until the statement ends. Its documentation
    /// reserves such numbers; its own JSON functions have used one for this since 3.38. Where it
    /// should not hold, nothing is found again, and the caller does without.
    pub fn keep_for_statement<T: Any + Send>(&self, value: T) {
        self.set_auxiliary(STATEMENT, value);
    }

    pub(super) fn give(&self, result: Result<Value>) {
        // SAFETY: the context is alive. With `transient` SQLite copies what it is given, and the
        // 64-bit calls check it against the host's length limit.
        unsafe {
            match result {
                Ok(Value::Null) => sqlite!(self.api, result_null(self.raw)),
                Ok(Value::Integer(n)) => sqlite!(self.api, result_int64(self.raw, n)),
                Ok(Value::Real(x)) => sqlite!(self.api, result_double(self.raw, x)),
                Ok(Value::Text(text)) => self.give_text(&text),
                Ok(Value::Blob(bytes)) => sqlite!(
                    self.api,
                    result_blob64(
                        self.raw,
                        bytes.as_ptr().cast(),
                        bytes.len() as u64,
                        transient()
                    )
                ),
                Err(e) => self.give_error(&e),
            }
        }
    }

    /// Marks the text that was given as JSON, for SQLite's JSON functions.
    fn mark_as_json(&self) {
        // SAFETY: the context is alive.
        unsafe { sqlite!(self.api, result_subtype(self.raw, u32::from(b'J'))) };
    }

    unsafe fn give_text(&self, text: &[u8]) {
        const UTF8: u8 = 1;
        // SAFETY: as in `give`.
        unsafe {
            sqlite!(
                self.api,
                result_text64(
                    self.raw,
                    text.as_ptr().cast(),
                    text.len() as u64,
                    transient(),
                    UTF8
                )
            );
        }
    }

    fn give_error(&self, error: &Error) {
        let message = error.message();
        let length = c_int::try_from(message.len()).unwrap_or(c_int::MAX);
        // SAFETY: the context is alive; SQLite copies the message. Setting the code afterwards
        // keeps the message.
        unsafe {
            sqlite!(
                self.api,
                result_error(self.raw, message.as_ptr().cast(), length)
            );
            sqlite!(
                self.api,
                result_error_code(self.raw, result_code(error.kind()))
            );
        }
    }
}

unsafe extern "C" fn drop_constant(data: *mut c_void) {
    // SAFETY: made by `set_auxiliary`, freed once.
    release(unsafe { Box::from_raw(data.cast::<Box<dyn Any + Send>>()) });
}
