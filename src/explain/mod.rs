//! Saying it in words: plans, problems, what a probe found, the state of a cluster, the catalogue of errors.

pub mod errors;
pub mod plan;
pub mod reach;
pub mod status;
