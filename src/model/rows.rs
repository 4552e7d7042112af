//! How the rows here compare with those of the cluster to be joined.

use serde::{Deserialize, Serialize};

use super::name::TableName;

/// One table, compared key by key. Rows of a bag are compared as a whole key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDifference {
    /// The table.
    pub table: TableName,
    /// Rows here.
    pub here: u64,
    /// Rows here whose key the cluster does not have.
    pub only_here: u64,
    /// Rows here whose key the cluster has with other contents.
    pub different: u64,
}
