//! The decisions of easy_cluster, free of I/O.
//!
//! Facts about a Mnesia cluster go in ([`model::snapshot::Snapshot`]), and what is wrong with a request
//! ([`validate`]), what to do about it ([`operation`], a [`plan`]) and how to say it ([`explain`]) come out. Nothing here knows
//! of Erlang terms, NIFs, files or ejabberd's process tree; the one place that touches the network is
//! [`probe`].
//!
//! Arrows point one way: `operation → topology → plan → validate → model`; `explain` renders what they return.

pub mod explain;
pub mod model;
pub mod operation;
pub mod plan;
pub mod probe;
pub mod topology;
pub mod validate;
