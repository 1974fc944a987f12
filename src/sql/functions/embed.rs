//! `bge_embed`, `bge_embed_query`, `bge_tokens`, `bge_tokenize`; each with an optional model.
//!
//! Deterministic, so SQLite makes a call with constant arguments once a statement. Not innocuous:
//! embedding costs, so an untrusted schema must not run it.

use super::arguments;
use crate::engine::{Role, SharedVector};
use crate::error::Result;
use crate::sql::ffi::{Arguments, Context, Flags, Function, Interrupts, Output};
use crate::vector::blob;

const FLAGS: Flags = Flags::DETERMINISTIC;
const JSON: Flags = FLAGS.and(Flags::JSON);

/// See the module.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "bge_embed",
        arguments: 1,
        flags: FLAGS,
        body: embed,
    },
    Function {
        name: "bge_embed",
        arguments: 2,
        flags: FLAGS,
        body: embed,
    },
    Function {
        name: "bge_embed_query",
        arguments: 1,
        flags: FLAGS,
        body: embed_query,
    },
    Function {
        name: "bge_embed_query",
        arguments: 2,
        flags: FLAGS,
        body: embed_query,
    },
    Function {
        name: "bge_tokens",
        arguments: 1,
        flags: FLAGS,
        body: tokens,
    },
    Function {
        name: "bge_tokens",
        arguments: 2,
        flags: FLAGS,
        body: tokens,
    },
    Function {
        name: "bge_tokenize",
        arguments: 1,
        flags: JSON,
        body: tokenize,
    },
    Function {
        name: "bge_tokenize",
        arguments: 2,
        flags: JSON,
        body: tokenize,
    },
];

fn embed(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Output> {
    vector(context, arguments, Role::Passage)
}

fn embed_query(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Output> {
    vector(context, arguments, Role::Query)
}

fn vector(context: &Context<'_>, arguments: Arguments<'_>, role: Role) -> Result<Output> {
    if let Some(vector) = of_an_earlier_row(context, arguments) {
        return Ok(Output::Blob(blob::from_f32(&vector)));
    }
    let Some((text, model)) = arguments::text_and_model(arguments)? else {
        return Ok(Output::Null);
    };
    let vector = model.embed(text, role, &Interrupts::new(context.connection()))?;
    keep_for_later_rows(context, arguments, &vector);
    Ok(Output::Blob(blob::from_f32(&vector)))
}

/// The vector of constant arguments, where SQLite does not hoist the call itself (inside a CASE,
/// say). Text and model must both be constant.
fn of_an_earlier_row(context: &Context<'_>, arguments: Arguments<'_>) -> Option<SharedVector> {
    if arguments.count() > 1 {
        context.constant::<()>(1)?;
    }
    context.constant(0)
}

fn keep_for_later_rows(context: &Context<'_>, arguments: Arguments<'_>, vector: &SharedVector) {
    context.set_constant(0, SharedVector::clone(vector));
    if arguments.count() > 1 {
        context.set_constant(1, ());
    }
}

fn tokens(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Output> {
    let Some((text, model)) = arguments::text_and_model(arguments)? else {
        return Ok(Output::Null);
    };
    let count = model.count_tokens(text, &Interrupts::new(context.connection()))?;
    Ok(Output::Integer(count as i64))
}

fn tokenize(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Output> {
    let Some((text, model)) = arguments::text_and_model(arguments)? else {
        return Ok(Output::Null);
    };
    let ids = model.tokenize(text, &Interrupts::new(context.connection()))?;
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    Ok(Output::Json(format!("[{}]", ids.join(","))))
}
