//! Who may read an answer from another origin (CORS, the Fetch standard).
