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
                if self.0.contains(is_hidden) { shown(&self.0, f) } else { f.pad(&self.0) }
            }
        }
    };
}

/// What a terminal obeys instead of showing it. Any character may be in a table's name.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Hidden characters as Erlang writes them between quotes.
fn shown(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if is_hidden(c) => text.push_str(&format!("\\x{{{:x}}}", u32::from(c))),
            c => text.push(c),
        }
    }
    f.pad(&text)
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
