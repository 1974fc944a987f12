//! Finds the head of a cross-encoder: the nodes that make a score of the first token's state.
//!
//! It works backwards from the scores, and assumes nothing of the head but that one value goes through it:
//! each of its nodes takes one value, beside constants. Where that is the first token of some states, the head
//! begins, and whatever makes those states can be replaced.

use crate::engine::graph::bert_parts::starts_at_zero;
use crate::engine::graph::edit::Index;
use crate::engine::onnx::protobuf::{Model, Node};

/// More nodes are no head; it also ends a walk through a graph that is damaged.
const MOST_NODES: usize = 64;

const NO_HEAD: &str = "the scores are not made of the first token's state alone";

/// The states that a head takes, `[batch, tokens, hidden]`, of which it looks at the first token's alone.
///
/// # Errors
/// What was not found.
pub fn states<'g>(model: &'g Model, scores: &'g str) -> Result<&'g str, String> {
    let index = Index::new(model);
    let mut value = scores;
    for _ in 0..MOST_NODES {
        let Some(maker) = index.maker(value) else {
            break;
        };
        let node = index.node(maker);
        let is_variable = |name: &&String| !name.is_empty() && index.weight(name).is_none();
        let mut variables = node.input.iter().filter(is_variable);
        let (Some(input), None) = (variables.next(), variables.next()) else {
            let found = node.op_type();
            return Err(format!("{NO_HEAD}: {found} takes other values too"));
        };
        if takes_first_token(&index, node) {
            return Ok(whole_batch(&index, input));
        }
        value = input;
    }
    Err(NO_HEAD.to_owned())
}

fn takes_first_token(index: &Index<'_>, node: &Node) -> bool {
    let first = || index.integers(node.input.get(1)?);
    node.is("Gather") && node.int("axis") == Some(1) && first() == Some(vec![0])
}

/// Some exporters write `states[:, 0]` as a slice of all texts and then the first token.
fn whole_batch<'g>(index: &Index<'g>, states: &'g str) -> &'g str {
    match index.made_by(states, "Slice") {
        Some(slice) if slice.input.len() > 2 && starts_at_zero(index, slice, 0) => slice.arg(0),
        _ => states,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::graph::edit::{int, integers, node, vectors};
    use crate::engine::onnx::protobuf::GraphBody;

    fn graph(nodes: Vec<Node>) -> Model {
        let mut model = Model::default();
        *model.body_mut() = GraphBody {
            node: nodes,
            initializer: vec![
                integers("zero", &[0]),
                integers("one", &[1]),
                integers("end", &[i64::MAX]),
            ],
            output: vec![vectors("logits", 1)],
            ..GraphBody::default()
        };
        model
    }

    fn first(index: &str, axis: i64) -> Node {
        node(
            "Gather",
            &["states", index],
            &["first"],
            vec![int("axis", axis)],
        )
    }

    #[test]
    fn the_states_whose_first_token_is_scored() {
        let head = |from: &str| {
            vec![
                node("Tanh", &[from], &["tanh"], vec![]),
                node("Add", &["one", "tanh"], &["logits"], vec![]),
            ]
        };
        let mut plain = vec![first("zero", 1)];
        plain.extend(head("first"));
        assert_eq!(states(&graph(plain), "logits"), Ok("states"));
        let sliced = ["states", "zero", "end", "zero"];
        let mut sliced = vec![
            node("Slice", &sliced, &["all"], vec![]),
            node("Gather", &["all", "zero"], &["first"], vec![int("axis", 1)]),
        ];
        sliced.extend(head("first"));
        assert_eq!(states(&graph(sliced), "logits"), Ok("states"));
    }

    #[test]
    fn what_is_no_head_is_told() {
        let logits = |from: &[&str]| node("Add", from, &["logits"], vec![]);
        for (nodes, why) in [
            (
                vec![first("one", 1), logits(&["first", "one"])],
                "first token",
            ),
            (
                vec![first("zero", 2), logits(&["first", "one"])],
                "first token",
            ),
            (
                vec![first("zero", 1), logits(&["first", "other"])],
                "Add takes other",
            ),
            (vec![logits(&["one", "one"])], "Add takes other"),
            (vec![logits(&["logits", "one"])], "first token"),
            (vec![], "first token"),
        ] {
            let found = states(&graph(nodes.clone()), "logits").unwrap_err();
            assert!(found.contains(why), "{nodes:?}: {found}");
        }
    }
}
