//! Saying it in words: plans, problems, the state of a cluster, logs, the catalogue of errors.

pub mod doctor;
pub mod errors;
pub mod log;
pub mod plan;
pub mod status;
