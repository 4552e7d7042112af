//! The decisions of easy_cluster, free of I/O.
//!
//! Facts about a Mnesia cluster go in ([`model::snapshot::Snapshot`]), and what is wrong with a request
//! ([`validate`]), what to do about it ([`operation`], a [`plan`]) and how to say it ([`explain`]) come out. Nothing here knows
//! of Erlang terms, NIFs, files or ejabberd's process tree; `native/easy_cluster_probe` asks the network and the
//! machine, and returns the facts of [`model`].
//!
//! Arrows point one way: `watch → operation → topology → plan → validate → model`; `explain` renders what they return.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod explain;
pub mod model;
pub mod operation;
pub mod plan;
pub mod topology;
pub mod validate;
pub mod watch;
