//! Resources that clients may write: files below the root.
