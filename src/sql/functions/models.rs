//! `bge_load`, `bge_unload`, `bge_info`, `bge_version`.

use crate::engine::{self, Options};
use crate::error::Result;
use crate::sql::arguments::{self, position, required_text};
use crate::sql::ffi::{Access, Arguments, Context, Flags, Function, Value};
use crate::sql::statement::PerStatement;

/// See the module.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "bge_load",
        arguments: 2,
        flags: Flags::DIRECTONLY,
        needs: Access::Full,
        body: load,
    },
    Function {
        name: "bge_load",
        arguments: 3,
        flags: Flags::DIRECTONLY,
        needs: Access::Full,
        body: load,
    },
    Function {
        name: "bge_unload",
        arguments: 1,
        flags: Flags::DIRECTONLY,
        needs: Access::Full,
        body: unload,
    },
    Function {
        name: "bge_info",
        arguments: 0,
        flags: Flags::JSON,
        needs: Access::ReadOnly,
        body: info,
    },
    Function {
        name: "bge_info",
        arguments: 1,
        flags: Flags::JSON,
        needs: Access::ReadOnly,
        body: info,
    },
];

/// `bge_version`.
pub const VERSION: Function = Function {
    name: "bge_version",
    arguments: 0,
    flags: Flags::DETERMINISTIC.and(Flags::INNOCUOUS),
    needs: Access::ReadOnly,
    body: version,
};

fn load(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    let name = required_text(arguments, 0, "the name that the model is to have")?;
    let source = required_text(
        arguments,
        1,
        "a model folder, an .onnx file in one, or a model's name",
    )?;
    let options = match arguments.count() {
        3 => {
            let json = required_text(arguments, 2, "a JSON object of options")?;
            Options::from_json(json).map_err(|e| e.at(position(2)))?
        }
        _ => Options::default(),
    };
    let statement = PerStatement::of(context);
    engine::load_unless(name, source, &options, &statement.interrupts)?;
    Ok(name.into())
}

fn unload(_: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    let name = required_text(arguments, 0, "the name of a loaded model")?;
    Ok(Value::Integer(i64::from(engine::unload(name))))
}

fn info(_: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    let default = engine::default_model_name();
    let name = arguments::model_name(arguments, 0)?.unwrap_or(&default);
    engine::check_name(name)?;
    Ok(engine::report(name).to_string().into())
}

fn version(_: &Context<'_>, _: Arguments<'_>) -> Result<Value> {
    Ok(crate::VERSION.into())
}
