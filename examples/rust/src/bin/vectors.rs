//! The engine as a Rust library, without SQLite.
//!
//!     cargo run --release --bin vectors
//!
//! ranks three pages by a question. With texts as arguments it prints the vector of each. ONNX Runtime and the
//! model are looked for beside the program, or where BGE_ORT_LIB and BGE_MODELS say.

use bge::engine::{self, NeverStop, Role};

const PAGES: [(&str, &str); 3] = [
    ("Router", "Hold the small button for ten seconds to restore the factory settings."),
    ("Invoice", "You can download last month's bill from the payments page."),
    ("Holidays", "Requests for days off go to your team lead two weeks ahead."),
];

fn main() -> bge::Result<()> {
    // Opened at once, and shared by all threads of the process.
    let model = engine::model("bge-small-en-v1.5")?;
    let texts: Vec<String> = std::env::args().skip(1).collect();
    for text in &texts {
        println!("{:?}", model.embed(text, Role::Passage, &NeverStop)?);
    }
    if !texts.is_empty() {
        return Ok(());
    }
    // A question is embedded as a query: the model's instruction goes in front of it.
    let question = model.embed("how do I reset my device?", Role::Query, &NeverStop)?;
    let mut ranked = Vec::new();
    for (title, body) in PAGES {
        // A title and its text are embedded as one, as the index does with several columns.
        let page = model.embed(&format!("{title}\n{body}"), Role::Passage, &NeverStop)?;
        // Vectors have unit length, so the inner product is the cosine.
        let cosine: f32 = question.iter().zip(page.iter()).map(|(a, b)| a * b).sum();
        ranked.push((cosine, title));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (cosine, title) in &ranked[..2] {
        println!("{title} {cosine:.2}");
    }
    Ok(())
}
