//! What the SQL of a connection may do, which is decided by the entry point that was loaded.

/// How much a connection may do, and how much a name of SQL needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Reading alone: nothing that changes the process or a file.
    ReadOnly,
    /// Everything.
    Full,
}
