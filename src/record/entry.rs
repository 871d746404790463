//! What the log says of one request.
