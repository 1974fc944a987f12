//! `bge_embed_each(json_array [, model])`: the texts of a JSON array with their vectors.

use super::each::Each;
use super::json_texts::JsonTexts;
use crate::engine::EmbedPassages;
use crate::error::Result;
use crate::sql::ffi::{Access, Call, TableFunction, Value};
use crate::sql::statement::Models;
use crate::vector::blob;

/// See the module.
pub struct EmbedEach;

impl TableFunction for EmbedEach {
    const NAME: &'static str = "bge_embed_each";
    const COLUMNS: &'static [&'static str] = &["idx INTEGER", "text TEXT", "embedding BLOB"];
    const ARGUMENTS: &'static [&'static str] = &["json_array", "model"];
    const REQUIRED: usize = 1;
    const DIRECT_ONLY: bool = false;
    const NEEDS: Access = Access::ReadOnly;
    type Shared = Models;
    type Cursor = Each<EmbedPassages>;

    fn call(call: &Call<'_>, models: &mut Models) -> Result<Self::Cursor> {
        let texts = JsonTexts::of_call(call, 0)?;
        // Without elements there need be no model.
        let work = if texts.is_empty() {
            None
        } else {
            Some(EmbedPassages(models.of_call(call, 1)?))
        };
        Ok(Each::new(texts, work, |vector| {
            Value::Blob(blob::from_f32(vector))
        }))
    }
}
