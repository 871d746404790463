//! What an operator may tune about an engine. Each engine takes what concerns it.

use std::time::Duration;

use crate::base::limits;

/// The settings of one worker's engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// Entries of the submission queue. Flag: `--ring-entries`.
    pub ring_entries: u32,
    /// Receive buffers of one worker, shared by its connections. Flag: `--recv-buffers`.
    pub recv_buffers: u16,
    /// Bytes of one receive buffer. Flag: `--recv-buffer-bytes`.
    pub recv_buffer_bytes: u32,
    /// Sends of at least so many bytes go out without a copy, where the engine can. Flag:
    /// `--zero-copy-min`.
    pub zero_copy_min: Option<usize>,
    /// How long the kernel polls the network card before it sleeps. Flag: `--busy-poll`.
    pub busy_poll: Option<Duration>,
    /// How long a kernel thread polls the submission queue before it sleeps. Flag: `--sqpoll`.
    pub sqpoll: Option<Duration>,
    /// Threads that wait for disks on behalf of all workers.
    pub file_threads: u32,
}

impl Default for EngineSettings {
    fn default() -> Self {
        EngineSettings {
            ring_entries: 512,
            recv_buffers: 128,
            recv_buffer_bytes: 4096,
            zero_copy_min: None,
            busy_poll: None,
            sqpoll: None,
            file_threads: limits::FILE_THREADS_DEFAULT,
        }
    }
}
