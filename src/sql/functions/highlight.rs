//! `bge_highlight(text, query [, open, close [, model]])`: the text with the sentences marked that answer the
//! query best. As FTS5's `highlight` it gives the whole text, and escapes nothing.

use crate::engine::{Embedder, best_run};
use crate::error::Result;
use crate::memory::reserved_text;
use crate::sql::arguments;
use crate::sql::ffi::{Access, Arguments, Context, Flags, Function, Value};
use crate::sql::statement::PerStatement;

/// As what embeds.
const FLAGS: Flags = Flags::DETERMINISTIC;

/// What stands around the sentences, where nothing else is asked for.
const MARKS: [&str; 2] = ["<b>", "</b>"];

const fn with(arguments: usize) -> Function {
    Function {
        name: "bge_highlight",
        arguments,
        flags: FLAGS,
        needs: Access::ReadOnly,
        body: highlight,
    }
}

/// See the module.
pub const FUNCTIONS: &[Function] = &[with(2), with(4), with(5)];

fn highlight(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    let text = arguments::text(arguments, 0)?;
    let query = arguments::text(arguments, 1)?;
    let marks = if arguments.count() > 2 {
        // As in FTS5, NULL marks nothing.
        let open = arguments::text(arguments, 2)?;
        let close = arguments::text(arguments, 3)?;
        [open.unwrap_or_default(), close.unwrap_or_default()]
    } else {
        MARKS
    };
    let name = arguments::model_name(arguments, 4)?;
    let (Some(text), Some(query)) = (text, query) else {
        return Ok(Value::Null);
    };
    if text.trim().is_empty() {
        return Ok(text.into());
    }
    let statement = PerStatement::of(context);
    let model = statement.models.get(name, &statement.host(context))?;
    Ok(marked(&model, text, query, marks, &statement)?.into())
}

fn marked(
    model: &Embedder,
    text: &str,
    query: &str,
    [open, close]: [&str; 2],
    statement: &PerStatement,
) -> Result<String> {
    let run = best_run(model, text, query, &statement.interrupts)?.unwrap_or_default();
    let mut whole = reserved_text(text.len() + open.len() + close.len())?;
    let parts = [
        &text[..run.start],
        open,
        &text[run.clone()],
        close,
        &text[run.end..],
    ];
    for part in parts {
        whole.push_str(part);
    }
    Ok(whole)
}
