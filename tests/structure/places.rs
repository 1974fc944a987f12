//! What belongs where. A folder ends in `/`; `a/**/b.rs` is a file b.rs anywhere below `a`.

type Places = &'static [&'static str];

/// The layers: each with the files it is made of, and those of other layers that it may import.
pub const LAYERS: &[(Places, Places)] = &[
    (&["error.rs"], &[]),
    (&["json.rs", "memory.rs"], &["error.rs"]),
    (&["vector/"], &["json.rs", "memory.rs", "error.rs"]),
    (
        &["engine/"],
        &["vector/", "json.rs", "memory.rs", "error.rs", "lib.rs"],
    ),
    (
        &["sql/"],
        &[
            "engine/",
            "vector/",
            "json.rs",
            "memory.rs",
            "error.rs",
            "lib.rs",
        ],
    ),
];

/// What does no I/O: no SQL, no files, no environment, no clock. These import each other alone.
pub const PURE: Places = &[
    "error.rs",
    "json.rs",
    "memory.rs",
    "vector/",
    "sql/lexer.rs",
    "sql/ffi/value.rs",
    "engine/models/name.rs",
    "sql/index/affinity.rs",
    "sql/index/declare.rs",
    "sql/index/declare/",
    "sql/index/plan.rs",
    "sql/index/plan/",
    "sql/index/ranking/language/",
    "sql/index/ranking/maths/",
    "sql/index/words/question.rs",
];

/// Crates that are named only in their places.
pub const CRATES: &[(&str, Places)] = &[
    (
        "ort",
        &[
            "engine/**/runtime.rs",
            "engine/**/loaded_graph.rs",
            "engine/**/session.rs",
            "engine/**/scorer.rs",
            "engine/**/providers.rs",
            "engine/**/assignment.rs",
            "engine/**/operator.rs",
        ],
    ),
    ("tokenizers", &["engine/text/"]),
    ("sqlite_loadable", &["sql/ffi/"]),
];

/// Where `unsafe` may stand. assignment: functions of the runtime that `ort` has no safe call for.
/// encoder: vector instructions, indices that were checked before a loop, memory that threads share in parts,
/// a mapped file; operator: the runtime's threads.
/// cuda_memory, library and process: calls to the operating system and to libraries opened by name.
pub const ALLOWED_UNSAFE: Places = &[
    "sql/ffi/",
    "vector/kernels.rs",
    "vector/codes/kernels.rs",
    "vector/codes/tiles.rs",
    "engine/encoder/lanes/",
    "engine/encoder/attention.rs",
    "engine/encoder/forward.rs",
    "engine/encoder/product.rs",
    "engine/encoder/rows.rs",
    "engine/encoder/sheet.rs",
    "engine/encoder/store.rs",
    "engine/**/assignment.rs",
    "engine/inference/cuda_memory.rs",
    "engine/inference/library.rs",
    "engine/inference/operator.rs",
    "engine/process/",
];

/// Words that have named several types.
pub const ONE_THING: [&str; 6] = ["Steps", "Content", "Place", "Source", "Rows", "Kind"];

/// In lines.
pub const LARGEST_FILE: usize = 500;
