//! Which model an index embeds with, and embedding the rows of an index.
//!
//! Name and fingerprint are bound together at the first embedding. From then on another model, also
//! one of the same name, is refused until `rebuild`.

use super::passages::Passage;
use super::store::{Settings, Store};
use super::text::{Text, span};
use crate::engine::{self, Role, SharedEmbedder};
use crate::error::{Error, Kind, Result};
use crate::sql::ffi::Value;
use crate::sql::models;

/// What embedding a text gave.
pub enum Made {
    /// Its vectors.
    Passages(Vec<Passage>),
    /// It cannot be embedded, and why.
    Problem(String),
}

/// The first digits of a fingerprint, for people.
fn digits(print: &[u8]) -> String {
    print
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Store<'_> {
    /// The name of the model that this index uses.
    pub fn model_name(&self, settings: &Settings) -> String {
        match (&settings.model, &self.index.spec.model) {
            (Some((name, _)), _) | (None, Some(name)) => name.clone(),
            (None, None) => engine::default_model_name(),
        }
    }

    /// The model, checked against what the index is bound to.
    ///
    /// # Errors
    /// It cannot be loaded, or is another than the one that made the vectors.
    pub fn model(&self, settings: &Settings) -> Result<SharedEmbedder> {
        let name = self.model_name(settings);
        let model = models::of_index(&name, self.host)?;
        if let Some((_, bound)) = &settings.model {
            let here = model.fingerprint()?;
            if here[..] != bound[..] {
                return Err(Error::invalid(format!(
                    "the vectors of this index were made with model '{name}' of fingerprint {}, and \
                     the '{name}' here has {}; load the right one with bge_load('{name}', path), \
                     or embed anew with the command 'rebuild'",
                    digits(bound),
                    digits(&here)
                )));
            }
        }
        match settings.dims {
            Some(dims) if dims != model.dims() => Err(Error::invalid(format!(
                "the vectors of this index have {dims} dimensions, those of model '{name}' {}; \
                 name the right model, or embed anew with the command 'rebuild'",
                model.dims()
            ))),
            _ => Ok(model),
        }
    }

    /// Binds the index to a model, at the first embedding.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn bind_model(&self, model: &SharedEmbedder) -> Result<()> {
        if self.get("model")? != Value::Null {
            return Ok(());
        }
        self.set("model", Value::from(model.name()))?;
        self.set("fingerprint", Value::Blob(model.fingerprint()?.to_vec()))
    }

    /// Embeds texts; long ones in passages.
    ///
    /// # Errors
    /// An interruption, a failure of the runtime, passages that the model cannot have.
    pub fn embed(&self, model: &SharedEmbedder, texts: &[&Text]) -> Result<Vec<Made>> {
        let cut = texts.iter().map(|text| self.cut(model, text));
        let cut: Vec<Cut> = cut.collect::<Result<_>>()?;
        let mut ids = Vec::new();
        let mut spans = Vec::new();
        for cut in cut {
            spans.push(cut.map(|passages| {
                let (spans, encoded): (Vec<_>, Vec<_>) = passages.into_iter().unzip();
                ids.extend(encoded);
                spans
            }));
        }
        let vectors = model.embed_encoded(ids, self.host.interrupts)?;
        let mut vectors = vectors.into_iter();
        let assemble = |spans: std::result::Result<Vec<_>, String>| match spans {
            Err(problem) => Made::Problem(problem),
            Ok(spans) => Made::Passages(
                spans
                    .into_iter()
                    .zip(vectors.by_ref())
                    .map(|(span, vector)| Passage {
                        span: Some(span),
                        vector: vector.to_vec(),
                    })
                    .collect(),
            ),
        };
        Ok(spans.into_iter().map(assemble).collect())
    }

    /// The passages of a text, as spans of characters and ids; or why there are none.
    ///
    /// # Errors
    /// An interruption, passages that the model cannot have.
    pub fn cut(&self, model: &SharedEmbedder, text: &Text) -> Result<Cut> {
        let (stop, spec) = (self.host.interrupts, &self.index.spec);
        let encode = |text: &str| model.encode_as(text, Role::Passage, stop);
        // A problem of the text, not of the model or the machine.
        let problem = |e: Error| match e.kind() {
            Kind::Invalid | Kind::TooBig => Ok(Err(e.message().to_owned())),
            _ => Err(e),
        };
        let limit = model.config().max_length;
        let most = spec.chunk_tokens.unwrap_or(limit);
        match encode(&text.whole) {
            Ok(ids) if ids.len() < limit && ids.len() <= most => {
                return Ok(Ok(vec![(span(&text.whole), ids)]));
            }
            Ok(_) => {}
            Err(e) if e.kind() == Kind::Invalid => {}
            Err(e) => return problem(e),
        }
        let (title, body, room) = self.title(model, text, most)?;
        let first = text.whole[..text.whole.len() - body.len()].chars().count();
        let mut passages = Vec::new();
        for chunk in model.chunks(body, Some(room), spec.overlap.min(room / 2), stop)? {
            let ids = match title {
                "" => encode(chunk.text),
                title => encode(&format!("{title}\n{}", chunk.text)),
            };
            let span = ((first + chunk.start) as i64, (first + chunk.stop) as i64);
            match ids {
                Ok(ids) => passages.push((span, ids)),
                Err(e) => return problem(e),
            }
        }
        Ok(Ok(passages))
    }

    /// A title that goes before every passage, what is cut, and the tokens that a passage may have.
    /// Only a short first column is a title: it takes room from every passage.
    fn title<'t>(
        &self,
        model: &SharedEmbedder,
        text: &'t Text,
        most: usize,
    ) -> Result<(&'t str, &'t str, usize)> {
        const SHARE: usize = 4;
        const LEAST: usize = 8;
        let (title, body) = text.parts();
        // In bytes first: a token has one at least, and a book need not be tokenised for this.
        if !title.trim().is_empty() && !body.trim().is_empty() && title.len() < 16 * most {
            let tokens = model.count_tokens(title, self.host.interrupts)?;
            let room = most.saturating_sub(tokens);
            if tokens * SHARE <= most && room >= LEAST {
                return Ok((title, body, room));
            }
        }
        Ok(("", &text.whole, most))
    }
}

/// Passages of a text as spans of characters with their ids, or why it cannot be embedded.
pub type Cut = std::result::Result<Vec<((i64, i64), Vec<i64>)>, String>;
