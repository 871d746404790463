//! The sum of all counters, in the text format of Prometheus.
