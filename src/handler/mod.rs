//! Handlers make responses. They never ask which version of HTTP speaks.
