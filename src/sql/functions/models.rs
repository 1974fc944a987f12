//! `bge_info`, `bge_version`.

use super::arguments;
use crate::VERSION;
use crate::engine::{find, report};
use crate::error::Result;
use crate::sql::ffi::{Arguments, Context, Flags, Function, Output};

/// See the module.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "bge_info",
        arguments: 0,
        flags: Flags::JSON,
        body: info,
    },
    Function {
        name: "bge_info",
        arguments: 1,
        flags: Flags::JSON,
        body: info,
    },
    Function {
        name: "bge_version",
        arguments: 0,
        flags: Flags::DETERMINISTIC.and(Flags::INNOCUOUS),
        body: version,
    },
];

fn info(_: &Context<'_>, arguments: Arguments<'_>) -> Result<Output> {
    let name = arguments::model_name(arguments, 0)?;
    find::check_name(&name)?;
    Ok(Output::Json(report::report(&name).to_string()))
}

fn version(_: &Context<'_>, _: Arguments<'_>) -> Result<Output> {
    Ok(Output::Text(VERSION.to_owned()))
}
