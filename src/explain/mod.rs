//! Saying it in words: plans, problems, what a probe found, the state of a cluster, logs, the catalogue of errors.

pub mod backup;
pub mod boot;
pub mod diff;
pub mod doctor;
pub mod errors;
pub mod history;
pub mod known;
pub mod log;
pub mod machine;
pub mod picture;
pub mod plan;
pub mod reach;
pub mod status;
pub mod tables;
pub mod topology;
pub mod watch;
