//! Names that Erlang writes as atoms.
//!
//! They serialise as a newtype struct called `$atom`, which a codec that has atoms may map to one;
//! in JSON they are plain strings.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! atom_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename = "$atom")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

atom_name! {
    /// A node's name as Erlang has it, `ejabberd@hello.world`. What an operator typed becomes one only through
    /// [`crate::validate::node_name::parse`].
    NodeName
}

atom_name! {
    /// The name of a Mnesia table.
    TableName
}

atom_name! {
    /// Any other Erlang atom: an application, an attribute of a record.
    AtomName
}

impl NodeName {
    /// The part before the `@`: the name that epmd knows.
    #[must_use]
    pub fn alive(&self) -> &str {
        self.as_str().split_once('@').map_or(self.as_str(), |(alive, _)| alive)
    }

    /// The part after the `@`, empty where there is none.
    #[must_use]
    pub fn host(&self) -> &str {
        self.as_str().split_once('@').map_or("", |(_, host)| host)
    }
}
