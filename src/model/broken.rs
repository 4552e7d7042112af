//! A text that cannot be read: where, and why.

use serde::{Deserialize, Serialize};

/// Where a file cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The line.
    pub line: u32,
    /// What is wrong there.
    pub reason: String,
}
