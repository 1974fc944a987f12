//! Pass `pool`: CLS or masked mean and L2 normalisation become nodes of the graph, so that it gives
//! `[batch, dims]` and the hidden states of all other tokens never leave it.
//!
//! The mean is not divided by the number of tokens: normalising undoes it.

use crate::engine::graph::edit::{self, int, node};
use crate::engine::models::pooling::{Pooling, SMALLEST_NORM};
use crate::engine::onnx::protobuf::{Model, data_type};

/// The output of a graph that pools.
pub const OUTPUT: &str = "bge_vectors";

/// The graph with `hidden` pooled, and nothing but that as its output.
///
/// # Errors
/// Why the pass does not fit.
pub fn apply(model: &Model, hidden: &str, dims: usize, pooling: Pooling) -> Result<Model, String> {
    if model.opset() < 8 {
        return Err(format!("opset {} is older than 8", model.opset()));
    }
    let outputs = &model.body().output;
    let declared = outputs.iter().find(|o| o.name() == hidden);
    let half = match declared.and_then(edit::element_kind) {
        Some(data_type::FLOAT) => false,
        Some(data_type::FLOAT16) => true,
        _ => return Err(format!("{hidden} is neither float32 nor float16")),
    };
    let opset = model.opset();
    let mut model = model.clone();
    let body = model.body_mut();
    let mut add = |op: &str, inputs: &[&str], output: &str, attributes| {
        body.node.push(node(op, inputs, &[output], attributes));
    };
    let mut constants = vec![edit::float("bge_pool_least", SMALLEST_NORM)];
    let to_float = || vec![int("to", data_type::FLOAT.into())];
    match pooling {
        Pooling::Cls => {
            constants.push(edit::tensor(
                "bge_pool_first",
                data_type::INT64,
                &[],
                vec![0; 8],
            ));
            let first = [hidden, "bge_pool_first"];
            if half {
                add("Gather", &first, "bge_pool_half", vec![int("axis", 1)]);
                add("Cast", &["bge_pool_half"], "bge_pooled", to_float());
            } else {
                add("Gather", &first, "bge_pooled", vec![int("axis", 1)]);
            }
        }
        Pooling::Mean => {
            // [batch, 1, tokens] x [batch, tokens, dims]
            constants.push(edit::integers("bge_pool_row", &[0, 1, -1]));
            constants.push(edit::integers("bge_pool_flat", &[0, -1]));
            let mut states = hidden;
            if half {
                add("Cast", &[hidden], "bge_pool_states", to_float());
                states = "bge_pool_states";
            }
            add("Cast", &["attention_mask"], "bge_pool_mask", to_float());
            add(
                "Reshape",
                &["bge_pool_mask", "bge_pool_row"],
                "bge_pool_weights",
                vec![],
            );
            add(
                "MatMul",
                &["bge_pool_weights", states],
                "bge_pool_sum",
                vec![],
            );
            add(
                "Reshape",
                &["bge_pool_sum", "bge_pool_flat"],
                "bge_pooled",
                vec![],
            );
        }
    }
    let (mut inputs, mut attributes) = (vec!["bge_pooled"], vec![int("keepdims", 1)]);
    if opset < 18 {
        attributes.push(edit::ints("axes", &[-1]));
    } else {
        constants.push(edit::integers("bge_pool_axes", &[-1]));
        inputs.push("bge_pool_axes");
    }
    add("ReduceL2", &inputs, "bge_pool_norm", attributes);
    add(
        "Max",
        &["bge_pool_norm", "bge_pool_least"],
        "bge_pool_divisor",
        vec![],
    );
    add("Div", &["bge_pooled", "bge_pool_divisor"], OUTPUT, vec![]);
    body.initializer.extend(constants);
    body.output = vec![edit::vectors(OUTPUT, dims)];
    Ok(model)
}
