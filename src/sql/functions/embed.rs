//! `bge_embed`, `bge_embed_query`, `bge_tokens`, `bge_tokenize`; each with an optional model.
//!
//! Deterministic, so SQLite makes a call with constant arguments once a statement. Not innocuous:
//! embedding costs, so an untrusted schema must not run it.

use crate::engine::{Embedder, Role, SharedVector, Stop};
use crate::error::Result;
use crate::sql::arguments;
use crate::sql::ffi::{Access, Arguments, Context, Flags, Function, Value};
use crate::sql::statement::PerStatement;
use crate::vector::blob;

const FLAGS: Flags = Flags::DETERMINISTIC;
const JSON: Flags = FLAGS.and(Flags::JSON);

/// See the module.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "bge_embed",
        arguments: 1,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: embed,
    },
    Function {
        name: "bge_embed",
        arguments: 2,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: embed,
    },
    Function {
        name: "bge_embed_query",
        arguments: 1,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: embed_query,
    },
    Function {
        name: "bge_embed_query",
        arguments: 2,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: embed_query,
    },
    Function {
        name: "bge_tokens",
        arguments: 1,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: tokens,
    },
    Function {
        name: "bge_tokens",
        arguments: 2,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: tokens,
    },
    Function {
        name: "bge_tokenize",
        arguments: 1,
        flags: JSON,
        needs: Access::ReadOnly,
        body: tokenize,
    },
    Function {
        name: "bge_tokenize",
        arguments: 2,
        flags: JSON,
        needs: Access::ReadOnly,
        body: tokenize,
    },
];

fn embed(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    vector(context, arguments, Role::Passage)
}

fn embed_query(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    vector(context, arguments, Role::Query)
}

fn vector(context: &Context<'_>, arguments: Arguments<'_>, role: Role) -> Result<Value> {
    if let Some(vector) = of_an_earlier_row(context, arguments) {
        return Ok(Value::Blob(blob::from_f32(&vector)));
    }
    with_text(context, arguments, |model, text, stop| {
        let vector = model.embed(text, role, stop)?;
        keep_for_later_rows(context, arguments, &vector);
        Ok(Value::Blob(blob::from_f32(&vector)))
    })
}

/// Decodes (text [, model]). A NULL text needs no model, but a model name that could never be right
/// is an error all the same.
fn with_text(
    context: &Context<'_>,
    arguments: Arguments<'_>,
    work: impl FnOnce(&Embedder, &str, &dyn Stop) -> Result<Value>,
) -> Result<Value> {
    let text = arguments::text(arguments, 0)?;
    let name = arguments::model_name(arguments, 1)?;
    let Some(text) = text else {
        return Ok(Value::Null);
    };
    let statement = PerStatement::of(context);
    let model = statement.models.get(name, &statement.host(context))?;
    work(&model, text, &statement.interrupts)
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

fn tokens(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    with_text(context, arguments, |model, text, stop| {
        Ok(Value::Integer(model.count_tokens(text, stop)? as i64))
    })
}

fn tokenize(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    with_text(context, arguments, |model, text, stop| {
        let ids: Vec<String> = model
            .tokenize(text, stop)?
            .iter()
            .map(i64::to_string)
            .collect();
        Ok(format!("[{}]", ids.join(",")).into())
    })
}
