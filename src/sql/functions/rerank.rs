//! `bge_rerank(query, text [, model])`: how well a text answers a query, by a cross-encoder.

use crate::error::Result;
use crate::sql::arguments::{self, required};
use crate::sql::ffi::{Access, Arguments, Context, Flags, Function, Value};
use crate::sql::statement::{PerStatement, WANTED_RERANKER};

/// Deterministic, and not innocuous, as what embeds.
const FLAGS: Flags = Flags::DETERMINISTIC;

/// See the module.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "bge_rerank",
        arguments: 2,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: rerank,
    },
    Function {
        name: "bge_rerank",
        arguments: 3,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: rerank,
    },
];

fn rerank(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    let query = arguments::text(arguments, 0)?;
    let text = arguments::text(arguments, 1)?;
    let name = match arguments.count() {
        3 => {
            let wanted = format!("{WANTED_RERANKER}; leave it out for the default one");
            Some(required(Some(arguments.get(2)), 2, &wanted)?)
        }
        _ => None,
    };
    let (Some(query), Some(text)) = (query, text) else {
        return Ok(Value::Null);
    };
    let statement = PerStatement::of(context);
    let model = statement.models.reranker(name, &statement.host(context))?;
    Ok(Value::Real(model.score(
        query,
        text,
        &statement.interrupts,
    )?))
}
