//! From the error types of the crates that call the kernel to the engine's own.

use std::io;

use super::Errno;

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Errno {
        Errno(errno.raw_os_error())
    }
}

impl From<io::Error> for Errno {
    /// An error that did not come from the kernel reads as `EIO`.
    fn from(error: io::Error) -> Errno {
        Errno(
            error
                .raw_os_error()
                .unwrap_or(rustix::io::Errno::IO.raw_os_error()),
        )
    }
}
