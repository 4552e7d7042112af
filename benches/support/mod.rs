//! What the benches of plans make their clusters of.

use std::collections::HashMap;

use easy_cluster::model::name::NodeName;
use easy_cluster::model::table::SetIndex;

/// Nodes and tables.
#[derive(Clone, Copy)]
pub struct Size(pub usize, pub usize);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} nodes, {} tables", self.0, self.1)
    }
}

/// Sets of nodes, each once, as a snapshot has them.
#[derive(Default)]
pub struct Sets {
    pub in_order: Vec<Vec<NodeName>>,
    known: HashMap<Vec<NodeName>, SetIndex>,
}

impl Sets {
    /// The place of a set, which is noted when it is new.
    pub fn index(&mut self, mut set: Vec<NodeName>) -> SetIndex {
        set.sort();
        if let Some(index) = self.known.get(&set) {
            return *index;
        }
        let index = SetIndex::try_from(self.in_order.len()).expect("few sets");
        self.in_order.push(set.clone());
        self.known.insert(set, index);
        index
    }
}

/// Xorshift: a bench that reads the same numbers each time can be compared with itself.
pub struct Random(pub u64);

impl Random {
    /// A number from 0 on.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}
