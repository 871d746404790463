//! From the error types of the crates that call the kernel to the engine's own.

use std::io;

use super::Errno;

impl Errno {
    /// True for errors of `accept` that concern the one connection that was waiting, not the
    /// listener: that connection is gone, the next may be fine (accept(2), "Error handling").
    pub fn is_of_one_connection(self) -> bool {
        use rustix::io::Errno as Kernel;
        let gone = [
            Kernel::CONNABORTED,
            Kernel::INTR,
            Kernel::PERM,
            Kernel::PROTO,
            Kernel::NOPROTOOPT,
            Kernel::NETDOWN,
            Kernel::NETUNREACH,
            Kernel::HOSTDOWN,
            Kernel::HOSTUNREACH,
            Kernel::NONET,
            Kernel::TIMEDOUT,
        ];
        gone.iter().any(|errno| errno.raw_os_error() == self.0)
    }
}

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
