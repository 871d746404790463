//! Asks everything that must hold before a request is answered.
