//! Saying it in words: plans, problems, the state of a cluster, the catalogue of errors.

pub mod errors;
pub mod machine;
pub mod plan;
pub mod status;
