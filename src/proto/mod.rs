//! Room: proto.
