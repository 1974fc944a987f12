//! What the calls of one statement share: the models it has used, and its way to ask whether to stop.
//!
//! A statement keeps its models to its end, whatever is loaded or unloaded meanwhile.

use super::arguments::{model_name_or_null, required};
use super::ffi::{Call, Context, Host, Interrupts, Type};
use super::models;
use crate::engine::{SharedEmbedder, SharedReranker};
use crate::error::Result;
use std::sync::{Arc, Mutex, PoisonError};

/// Models by name; `None` is the default one.
type ByName<M> = Mutex<Vec<(Option<String>, M)>>;

/// The models of a statement so far.
#[derive(Default)]
pub struct Models {
    embedders: ByName<SharedEmbedder>,
    rerankers: ByName<SharedReranker>,
}

/// What the name of a reranker is to be.
pub const WANTED_RERANKER: &str = "the name of a reranking model such as 'bge-reranker-base'";

/// The one that was used before, else the one that is found now.
fn used_or<M: Clone>(
    models: &ByName<M>,
    name: Option<&str>,
    find: impl FnOnce() -> Result<M>,
) -> Result<M> {
    let mut used = models.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, model)) = used.iter().find(|(other, _)| other.as_deref() == name) {
        return Ok(model.clone());
    }
    let model = find()?;
    used.push((name.map(str::to_owned), model.clone()));
    Ok(model)
}

impl Models {
    /// The model of this name: the one that the statement used before, else the one loaded now.
    ///
    /// # Errors
    /// As [`models::named`]; an interruption while it is being loaded.
    pub fn get(&self, name: Option<&str>, host: &Host<'_>) -> Result<SharedEmbedder> {
        used_or(&self.embedders, name, || models::named(name, host))
    }

    /// The same for rerankers.
    ///
    /// # Errors
    /// As [`models::reranker`]; an interruption while it is being loaded.
    pub fn reranker(&self, name: Option<&str>, host: &Host<'_>) -> Result<SharedReranker> {
        used_or(&self.rerankers, name, || models::reranker(name, host))
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

    /// [`Self::of_call`] for rerankers.
    ///
    /// # Errors
    /// As there.
    pub fn reranker_of_call(&self, call: &Call<'_>, n: usize) -> Result<SharedReranker> {
        let given = call.argument(n).filter(|value| value.kind() != Type::Null);
        let wanted = format!("{WANTED_RERANKER}, or NULL for the default one");
        let name = match given {
            Some(value) => Some(required(Some(value), n, &wanted)?),
            None => None,
        };
        self.reranker(name, &call.host)
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
