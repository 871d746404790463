//! Lines of the access log: combined and JSON.
