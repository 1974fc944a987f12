//! Our own encoder as one operator of ONNX Runtime, which takes padded ids, their mask and perhaps their types,
//! and gives vectors, or the states of first tokens: a graph of this one node, or one with a head on it. The
//! session stays the runtime's, and so do its threads.

#![allow(unsafe_code)]

use crate::engine::encoder::encoder::Encoder;
use crate::engine::encoder::network::Output;
use crate::engine::encoder::team::Team;
use crate::engine::encoder::tokens::Tokens;
use crate::engine::graph::edit;
use crate::engine::graph::pool::OUTPUT;
use crate::engine::onnx::graph::OnnxGraph;
use crate::engine::onnx::protobuf::{GraphBody, Model, Node, OperatorSet};
use crate::engine::onnx::tensors;
use crate::error::Result;
use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::TensorElementType;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The domain of the operator.
const DOMAIN: &str = "bge";

/// Its name.
const NAME: &str = "BertEncoder";

/// A graph with the inputs of `source` whose one node is this encoder, which gives vectors.
pub fn graph(source: &Model, encoder: &Encoder) -> Model {
    let mut model = source.clone();
    model.opset_import.retain(|set| set.domain().is_empty());
    model.opset_import.push(version());
    let inputs = source.body().input.iter();
    let inputs = inputs.filter(|input| INPUTS.contains(&input.name()));
    *model.body_mut() = GraphBody {
        name: Some(NAME.to_owned()),
        input: inputs.cloned().collect(),
        node: vec![node(encoder, OUTPUT)],
        output: vec![edit::vectors(OUTPUT, encoder.network.shape.hidden)],
        ..GraphBody::default()
    };
    model
}

/// The graph of `source` with this encoder, which gives first states, in the place of whatever makes `states`,
/// and nothing but `scores` for its output. The tensors that are left are in it, wherever they were.
///
/// # Errors
/// A tensor that cannot be read.
pub fn under_head(
    source: &OnnxGraph,
    encoder: &Encoder,
    states: &str,
    scores: &str,
) -> Result<Model> {
    let mut model = source.model.clone();
    model.opset_import.push(version());
    let body = model.body_mut();
    body.output.retain(|output| output.name() == scores);
    let makes = |node: &&mut Node| node.output.iter().any(|output| output == states);
    if let Some(maker) = body.node.iter_mut().find(makes) {
        *maker = node(encoder, states);
    }
    edit::prune(&mut model);
    let body = model.body_mut();
    // Old files list their tensors among the inputs.
    body.input.retain(|input| INPUTS.contains(&input.name()));
    for tensor in &mut body.initializer {
        if tensor.external().is_some() {
            tensor.raw_data = Some(tensors::bytes(tensor, &source.folder)?.into());
            tensor.data_location = None;
            tensor.external_data.clear();
        }
    }
    Ok(model)
}

fn version() -> OperatorSet {
    OperatorSet {
        domain: Some(DOMAIN.to_owned()),
        version: Some(1),
    }
}

fn node(encoder: &Encoder, output: &str) -> Node {
    Node {
        domain: Some(DOMAIN.to_owned()),
        ..edit::node(NAME, &INPUTS[..inputs(encoder)], &[output], Vec::new())
    }
}

/// The inputs of a BERT-like encoder, all int64 `[batch, tokens]`.
pub const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

/// How many of them the operator takes: types where the encoder tells them apart.
fn inputs(encoder: &Encoder) -> usize {
    if encoder.network.shape.token_types > 1 {
        3
    } else {
        2
    }
}

/// The domain, with an operator that runs this encoder on so many threads.
///
/// # Errors
/// Of the runtime.
pub fn domain(encoder: Arc<Encoder>, threads: usize) -> ort::Result<OperatorDomain> {
    OperatorDomain::new(DOMAIN)?.add(EncoderOperator { encoder, threads })
}

struct EncoderOperator {
    encoder: Arc<Encoder>,
    threads: usize,
}

impl Operator for EncoderOperator {
    type Kernel<'attr> = EncoderKernel;

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        (0..inputs(&self.encoder)).map(|_| OperatorInput::required(TensorElementType::Int64))
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, _: &KernelContext<'attr>) -> ort::Result<EncoderKernel> {
        Ok(EncoderKernel {
            encoder: Arc::clone(&self.encoder),
            threads: self.threads,
        })
    }
}

struct EncoderKernel {
    encoder: Arc<Encoder>,
    threads: usize,
}

impl Kernel for EncoderKernel {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        // The runtime is C++: a panic must not reach it.
        catch_unwind(AssertUnwindSafe(|| self.run(context)))
            .unwrap_or_else(|_| Err(ort::Error::new("a panic in the encoder")))
    }
}

impl EncoderKernel {
    fn run(&self, context: &ComputeContext) -> ort::Result<()> {
        let missing = || ort::Error::new("the encoder's graph has no such value");
        let (ids, mask) = (
            context.input(0)?.ok_or_else(missing)?,
            context.input(1)?.ok_or_else(missing)?,
        );
        let types = match inputs(&self.encoder) {
            3 => Some(context.input(2)?.ok_or_else(missing)?),
            _ => None,
        };
        let (shape, ids) = ids.try_extract_tensor::<i64>()?;
        let (_, mask) = mask.try_extract_tensor::<i64>()?;
        let types = match &types {
            Some(types) => types.try_extract_tensor::<i64>()?.1,
            None => &[],
        };
        let [batch, width] = **shape else {
            return Err(ort::Error::new("ids of a batch have two axes"));
        };
        let width = usize::try_from(width).unwrap_or(0).max(1);
        // Texts are padded behind their end.
        let mut own_types = types.chunks_exact(width);
        let texts: Vec<Tokens<'_>> = ids
            .chunks_exact(width)
            .zip(mask.chunks_exact(width))
            .map(|(ids, mask)| {
                let count = mask.iter().filter(|&&m| m != 0).count();
                Tokens {
                    ids: &ids[..count],
                    types: own_types.next().map_or(&[], |types| &types[..count]),
                }
            })
            .collect();
        let dims = self.encoder.network.shape.hidden as i64;
        let shape = match self.encoder.network.output {
            Output::Vector(_) => vec![batch, dims],
            // One token's states, so that a head finds them where it looks for the first token's.
            Output::FirstState => vec![batch, 1, dims],
        };
        let mut output = context.output(0, shape)?.ok_or_else(missing)?;
        let (_, vectors) = output.try_extract_tensor_mut::<f32>()?;
        let team = RuntimeTeam {
            context,
            threads: self.threads,
        };
        self.encoder
            .run(&team, &texts, vectors)
            .map_err(|e| ort::Error::new(e.message()))
    }
}

/// The threads of the session.
struct RuntimeTeam<'c> {
    context: &'c ComputeContext,
    threads: usize,
}

// SAFETY: the context is used by the thread that the runtime calls, which alone calls `each`.
unsafe impl Sync for RuntimeTeam<'_> {}

impl Team for RuntimeTeam<'_> {
    fn threads(&self) -> usize {
        self.threads
    }

    fn each(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if tasks <= 1 {
            return (0..tasks).for_each(task);
        }
        // A panic of a task goes on in the thread that asked: the runtime's own threads are C++.
        let panicked = AtomicBool::new(false);
        let guarded = |number: usize| {
            if catch_unwind(AssertUnwindSafe(|| task(number))).is_err() {
                panicked.store(true, Ordering::Relaxed);
            }
        };
        let shared = self.context.par_for(tasks, 0, guarded);
        assert!(!panicked.load(Ordering::Relaxed), "a task panicked");
        if shared.is_err() {
            // Not begun: the runtime has no threads to give.
            (0..tasks).for_each(task);
        }
    }
}
