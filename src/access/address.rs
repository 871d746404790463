//! The address that a request comes from, and lists of networks.
