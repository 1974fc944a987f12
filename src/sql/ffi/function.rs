//! Scalar functions: how one is described, registered, called, and how its result goes back.
//!
//! A [`Function`] is data: name, number of arguments, flags and a plain Rust function from
//! arguments to [`Output`]. Panics end here; errors keep their code and get the function's name.

use super::api::{Api, Connection, HOSTS, code, result_code, sqlite, transient};
use super::value::Value;
use crate::error::{Error, Kind, Result};
use sqlite_loadable::ext::{sqlite3_context, sqlite3_value};
use std::any::Any;
use std::ffi::{CString, c_int, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
    /// The result may carry the JSON subtype.
    pub const JSON: Flags = Flags(0x100_0000);

    /// Both.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// What a function gives back.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Output {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    /// Text that SQLite's JSON functions take as JSON.
    Json(String),
    Blob(Vec<u8>),
}

/// The body of a function.
pub type Body = fn(&Context<'_>, Arguments<'_>) -> Result<Output>;

/// One SQL function, for one number of arguments.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Function {
    pub name: &'static str,
    pub arguments: usize,
    pub flags: Flags,
    pub body: Body,
}

impl Connection<'_> {
    /// Registers a function.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn define(&self, function: Function) -> Result<()> {
        const UTF8: c_int = 1;
        let name = CString::new(function.name).map_err(|e| Error::internal(e.to_string()))?;
        let data = Box::into_raw(Box::new(function)).cast::<c_void>();
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
    // SAFETY: made by `define` from a `Box<Function>`, freed once.
    drop(unsafe { Box::from_raw(data.cast::<Function>()) });
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
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let context = Context {
            api: Api::of_slot(SLOT),
            raw: context,
            life: PhantomData,
        };
        // SAFETY: the user data is the `Function` that `define` registered, alive while it is
        // called; SQLite passes `count` protected values that live until we return.
        let (function, arguments) = unsafe {
            let function = &*sqlite!(context.api, user_data(context.raw)).cast::<Function>();
            (function, Arguments::from_raw(context.api, count, arguments))
        };
        let result = (function.body)(&context, arguments);
        context.give(result.map_err(|e| name_it(e, function.name)));
    }));
    if outcome.is_err() {
        // A panic has no way out through C; if even this fails, the result stays NULL.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let context = Context {
                api: Api::of_slot(SLOT),
                raw: context,
                life: PhantomData,
            };
            context.give(Err(Error::internal(
                "internal error in sqlite-bge (a panic was caught)",
            )));
        }));
    }
}

/// An interruption reads as SQLite's own; everything else says which function it comes from.
fn name_it(error: Error, name: &str) -> Error {
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
        // SAFETY: the caller's contract; without arguments the pointer may be null.
        let raw = if count == 0 {
            &[]
        } else {
            unsafe { std::slice::from_raw_parts(raw, count) }
        };
        Arguments { api, raw }
    }

    /// How many there are: what the function was registered for.
    pub fn count(self) -> usize {
        self.raw.len()
    }

    /// The `n`th, from 0.
    pub fn get(self, n: usize) -> Value<'v> {
        // SAFETY: a protected value, alive as long as `'v`.
        unsafe { Value::from_raw(self.api, self.raw[n]) }
    }
}

/// One call: results, auxiliary data, and the connection it runs on.
pub struct Context<'c> {
    api: Api,
    raw: *mut sqlite3_context,
    life: PhantomData<&'c ()>,
}

impl<'c> Context<'c> {
    /// The connection that runs the statement.
    pub fn connection(&self) -> Connection<'c> {
        // SAFETY: the context is alive, and so is its connection.
        unsafe { Connection::from_raw(self.api, sqlite!(self.api, context_db_handle(self.raw))) }
    }

    /// What an earlier row of this statement left for argument `n`, which must then be constant.
    pub fn constant<T: Any + Clone>(&self, n: usize) -> Option<T> {
        // SAFETY: what is found there was put there by `set_constant`, and lives at least until
        // this callback returns or sets it again; it is cloned before either.
        let found = unsafe {
            let data = sqlite!(self.api, get_auxdata(self.raw, n as c_int));
            data.cast::<Box<dyn Any>>().as_ref()?
        };
        found.downcast_ref::<T>().cloned()
    }

    /// Leaves something for later rows. SQLite keeps it only where argument `n` is constant.
    pub fn set_constant<T: Any>(&self, n: usize, value: T) {
        let boxed: Box<Box<dyn Any>> = Box::new(Box::new(value));
        let data = Box::into_raw(boxed).cast::<c_void>();
        // SAFETY: SQLite calls the destructor exactly once, perhaps at once; `data` is not used
        // after this.
        unsafe {
            sqlite!(
                self.api,
                set_auxdata(self.raw, n as c_int, data, Some(drop_constant))
            )
        };
    }

    fn give(&self, result: Result<Output>) {
        // SAFETY: the context is alive. With `transient` SQLite copies what it is given, and the
        // 64-bit calls check it against the host's length limit.
        unsafe {
            match result {
                Ok(Output::Null) => sqlite!(self.api, result_null(self.raw)),
                Ok(Output::Integer(n)) => sqlite!(self.api, result_int64(self.raw, n)),
                Ok(Output::Real(x)) => sqlite!(self.api, result_double(self.raw, x)),
                Ok(Output::Text(text)) => self.give_text(&text),
                Ok(Output::Json(text)) => {
                    self.give_text(&text);
                    sqlite!(self.api, result_subtype(self.raw, u32::from(b'J')));
                }
                Ok(Output::Blob(bytes)) => sqlite!(
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

    unsafe fn give_text(&self, text: &str) {
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
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: made by `set_constant`, freed once.
        drop(unsafe { Box::from_raw(data.cast::<Box<dyn Any>>()) });
    }));
}
