//! Who a request says it comes from, and whether that is true.
