//! The one place with I/O: how far one can get towards a node, layer by layer.
