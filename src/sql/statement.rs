//! What the calls of one statement share: the models it has used, and its way to ask whether to stop.
//!
//! A statement keeps its models to its end, whatever is loaded or unloaded meanwhile.

use super::arguments::model_name_or_null;
use super::ffi::{Call, Context, Host, Interrupts};
use super::models;
use crate::engine::SharedEmbedder;
use crate::error::Result;
use std::sync::{Arc, Mutex, PoisonError};

/// The models of a statement so far, by name; `None` is the default model.
#[derive(Default)]
pub struct Models(Mutex<Vec<(Option<String>, SharedEmbedder)>>);

impl Models {
    /// The model of this name: the one that the statement used before, else the one loaded now.
    ///
    /// # Errors
    /// As [`models::named`]; an interruption while it is being loaded.
    pub fn get(&self, name: Option<&str>, host: &Host<'_>) -> Result<SharedEmbedder> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, model)) = used.iter().find(|(other, _)| other.as_deref() == name) {
            return Ok(SharedEmbedder::clone(model));
        }
        let model = models::named(name, host)?;
        used.push((name.map(str::to_owned), SharedEmbedder::clone(&model)));
        Ok(model)
    }

    /// The model that argument `n` of a table function names; the default one where it is absent or
    /// NULL.
    ///
    /// # Errors
    /// As [`Self::get`]; an argument that is no name.
    pub fn of_call(&self, call: &Call<'_>, n: usize) -> Result<SharedEmbedder> {
        let name = model_name_or_null(call.argument(n), n)?;
        self.get(name, &call.host)
    }
}

/// What the scalar functions of one statement share.
pub struct PerStatement {
    /// Its models.
    pub models: Models,
    /// One probe for all its rows: a progress handler that wants many steps sees them add up.
    pub interrupts: Interrupts<'static>,
}

impl PerStatement {
    /// What the work of a call may ask of the host.
    pub fn host<'c>(&'c self, context: &Context<'c>) -> Host<'c> {
        Host {
            db: context.connection(),
            interrupts: &self.interrupts,
            access: context.access(),
        }
    }

    /// The one of the statement that makes this call.
    pub fn of(context: &Context<'_>) -> Arc<Self> {
        context.of_statement().unwrap_or_else(|| {
            let made = PerStatement {
                models: Models::default(),
                interrupts: context.kept_interrupts(),
            };
            let made = Arc::new(made);
            context.keep_for_statement(Arc::clone(&made));
            made
        })
    }
}
