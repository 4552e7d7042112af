//! What is wrong with a request or a cluster: every violation, not the first.

pub mod beside;
pub mod capacity;
pub mod copies;
pub mod definitions;
pub mod durability;
pub mod forget;
pub mod handover;
pub mod machine;
pub mod membership;
pub mod node_name;
pub mod operating;
pub mod operation;
pub mod options;
pub mod owned;
pub mod pairs;
pub mod policy;
pub mod problem;
pub mod reach;
pub mod refused;
pub mod repair_table;
pub mod restart;
pub mod returning;
pub mod view;
pub mod waiting;
