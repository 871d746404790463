//! What is allowed: who may know whom, and where `unsafe` may stand. ARCHITECTURE.md says the same
//! to people; a test compares the two.

/// For each room the rooms that it may name.
pub(crate) const MAY_USE: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("http", &["base"]),
    ("engine", &["base"]),
    ("exchange", &["base", "engine", "http"]),
    ("task", &["base", "engine"]),
    ("proto", &["base", "http"]),
    ("tls", &["base"]),
    ("route", &["base", "http"]),
    ("access", &["base", "http", "route"]),
    ("record", &["base", "http"]),
    ("listing", &["base", "http"]),
    ("cache", &["base", "engine", "http", "watch"]),
    (
        "handler",
        &[
            "base", "cache", "compress", "engine", "exchange", "http", "listing", "route", "task",
            "watch",
        ],
    ),
    (
        "conn",
        &[
            "access", "base", "cache", "engine", "exchange", "handler", "http", "proto", "record",
            "route", "task", "tls",
        ],
    ),
    (
        "worker",
        &[
            "access", "base", "cache", "config", "conn", "engine", "handler", "proto", "record",
            "route", "task", "tls",
        ],
    ),
    (
        "config",
        &[
            "access", "base", "engine", "http", "record", "route", "tls", "watch",
        ],
    ),
    ("compress", &["base", "http"]),
    (
        "precompress",
        &["base", "compress", "config", "http", "log"],
    ),
    ("log", &["base"]),
    ("watch", &["base"]),
    (
        "cold",
        &[
            "access", "base", "cache", "compress", "config", "conn", "engine", "handler", "http",
            "log", "record", "route", "task", "tls", "watch", "worker",
        ],
    ),
    ("doctor", &["base", "cold", "config", "engine"]),
];

/// Files that may contain `unsafe`, each with the reason.
pub(crate) const UNSAFE: &[(&str, &str)] = &[
    ("src/base/inherited.rs", "takes over descriptors by number"),
    (
        "src/engine/file_read.rs",
        "`preadv2` into memory that is not initialised",
    ),
    (
        "src/engine/file_send.rs",
        "`cachestat`, which no crate wraps",
    ),
    (
        "src/engine/pacing.rs",
        "`SO_MAX_PACING_RATE`, which no crate of ours wraps",
    ),
    (
        "src/engine/probe.rs",
        "registers a buffer ring to see whether it can",
    ),
    (
        "src/engine/progress.rs",
        "`tcpi_bytes_acked` and `SIOCOUTQ`",
    ),
    (
        "src/engine/tokio_uring/batch_buf.rs",
        "the crate's buffer trait",
    ),
    (
        "src/engine/tokio_uring/tasks.rs",
        "borrows the crate's descriptors, ends its runtime",
    ),
    (
        "src/engine/uring/buffers.rs",
        "the ring of receive buffers, shared with the kernel",
    ),
    (
        "src/engine/uring/completion.rs",
        "a completed accept is a descriptor by number",
    ),
    ("src/engine/uring/mod.rs", "ring entries hold pointers"),
    (
        "src/engine/uring/operations.rs",
        "pointers to an operation's own memory",
    ),
    (
        "src/engine/uring/send.rs",
        "message headers hold pointers to the batch's pieces",
    ),
    (
        "src/task/give_way.rs",
        "`sched_setscheduler`, which no crate of ours wraps",
    ),
    (
        "tests/guard_page.rs",
        "a page that may not be touched behind the parsers' input",
    ),
    ("tests/allocations.rs", "an allocator that counts"),
    (
        "perf/floor/src/buffers.rs",
        "the ring of receive buffers, shared with the kernel",
    ),
    ("perf/floor/src/server.rs", "ring entries hold pointers"),
    (
        "perf/floor/src/socket.rs",
        "socket options and descriptors by number",
    ),
];

/// Lines of one function, its signature and braces included. The house rule is about 70.
pub(crate) const FUNCTION_LINES_MAX: usize = 80;
/// Lines of one file before its tests.
pub(crate) const FILE_LINES_MAX: usize = 600;
/// Characters of one line.
pub(crate) const LINE_CHARACTERS_MAX: usize = 100;
/// Names of drawers, which say nothing about what lies in them.
pub(crate) const DRAWERS: &[&str] = &["utils", "util", "helpers", "manager", "common", "misc"];
