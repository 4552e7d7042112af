//! What a cluster is: names, tables, what every member says, and what an operator asks for.

pub mod broken;
pub mod catalogue;
pub mod count;
pub mod machine;
pub mod name;
pub mod owners;
pub mod pair;
pub mod policy;
pub mod reach;
pub mod request;
pub mod rows;
pub mod snapshot;
pub mod store;
pub mod table;
pub mod yaml;
