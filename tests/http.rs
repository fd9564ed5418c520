//! The opening handshake in the types of the `http` crate: the same decisions as from bytes and from header lists.
