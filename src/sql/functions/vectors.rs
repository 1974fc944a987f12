//! `bge_cosine`, `bge_dot`, `bge_l2`, `bge_normalize`, `bge_dims`, `bge_to_json`, `bge_from_json`.

use crate::error::{Error, Result};
use crate::sql::arguments::{self, position};
use crate::sql::ffi::{Access, Arguments, Context, Flags, Function, Value};
use crate::vector::{self, Vector, blob};

const FLAGS: Flags = Flags::DETERMINISTIC.and(Flags::INNOCUOUS);

/// See the module.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "bge_cosine",
        arguments: 2,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: cosine,
    },
    Function {
        name: "bge_dot",
        arguments: 2,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: dot,
    },
    Function {
        name: "bge_l2",
        arguments: 2,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: l2,
    },
    Function {
        name: "bge_normalize",
        arguments: 1,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: normalize,
    },
    Function {
        name: "bge_dims",
        arguments: 1,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: dims,
    },
    Function {
        name: "bge_to_json",
        arguments: 1,
        flags: FLAGS.and(Flags::JSON),
        needs: Access::ReadOnly,
        body: to_json,
    },
    Function {
        name: "bge_from_json",
        arguments: 1,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: from_json,
    },
];

/// What is known of a constant argument from the statement's first row: that it is a finite
/// vector, and its squared norm. Its bytes need no decoding.
#[derive(Clone, Copy)]
struct Checked {
    squared: f64,
}

fn cosine(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    let (Some(a), Some(b)) = (
        arguments::vector(arguments, 0)?,
        arguments::vector(arguments, 1)?,
    ) else {
        return Ok(Value::Null);
    };
    // Usually one side is a column and the other a query: walk the column once for each row.
    let known: [Option<Checked>; 2] = [context.constant(0), context.constant(1)];
    let cosine = match known {
        [Some(a_known), _] => vector::cosine_with_norm(a, a_known.squared, b),
        [None, Some(b_known)] => vector::cosine_with_norm(b, b_known.squared, a),
        [None, None] => first_cosine(context, a, b),
    };
    Ok(Value::Real(cosine.map_err(|e| which(e, a, b))?))
}

fn first_cosine(context: &Context<'_>, a: Vector<'_>, b: Vector<'_>) -> Result<f64> {
    vector::check_dims(a, b)?;
    let squared = [vector::squared_norm(a)?, vector::squared_norm(b)?];
    for (n, squared) in squared.into_iter().enumerate() {
        context.set_constant(n, Checked { squared });
    }
    vector::cosine_with_norm(a, squared[0], b)
}

fn dot(_: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    pair(arguments, vector::dot)
}

fn l2(_: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    pair(arguments, vector::l2)
}

fn pair(
    arguments: Arguments<'_>,
    measure: fn(Vector<'_>, Vector<'_>) -> Result<f64>,
) -> Result<Value> {
    let (Some(a), Some(b)) = (
        arguments::vector(arguments, 0)?,
        arguments::vector(arguments, 1)?,
    ) else {
        return Ok(Value::Null);
    };
    Ok(Value::Real(measure(a, b).map_err(|e| which(e, a, b))?))
}

/// Says which argument has a bad element; what is wrong with both together needs no place.
fn which(error: Error, first: Vector<'_>, second: Vector<'_>) -> Error {
    if first.dims() != second.dims() {
        return error;
    }
    match (first.check_finite(), second.check_finite()) {
        (Err(_), _) => error.at(position(0)),
        (Ok(()), Err(_)) => error.at(position(1)),
        (Ok(()), Ok(())) => error,
    }
}

fn normalize(_: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    one(arguments, |v| vector::normalize(v).map(Value::Blob))
}

fn dims(_: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    one(arguments, |v| Ok(Value::Integer(v.dims() as i64)))
}

fn to_json(_: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    one(arguments, |v| blob::to_json(v).map(Value::from))
}

fn one(arguments: Arguments<'_>, f: impl Fn(Vector<'_>) -> Result<Value>) -> Result<Value> {
    match arguments::vector(arguments, 0)? {
        None => Ok(Value::Null),
        Some(v) => f(v).map_err(|e| e.at(position(0))),
    }
}

fn from_json(_: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    match arguments::text(arguments, 0)? {
        None => Ok(Value::Null),
        Some(json) => blob::from_json(json)
            .map(Value::Blob)
            .map_err(|e| e.at(position(0))),
    }
}
