//! Descriptors that the process was started with (socket activation).

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// A close-on-exec duplicate of the descriptor `number`, which stays open itself: whoever passed it
/// may count on that, and nobody else in this process owns it.
pub fn duplicate(number: u32) -> io::Result<OwnedFd> {
    let number =
        libc::c_int::try_from(number).map_err(|_| io::Error::from(rustix::io::Errno::BADF))?;
    // SAFETY: `fcntl(F_DUPFD_CLOEXEC)` takes any number, touches no memory of ours, and says EBADF
    // for what is not open.
    let duplicate = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if duplicate < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel made this descriptor a line above, so nobody else owns or closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(duplicate) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn an_open_descriptor_is_duplicated_and_a_closed_one_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let copy = duplicate(file.as_raw_fd() as u32).unwrap();
        assert_ne!(copy.as_raw_fd(), file.as_raw_fd());
        assert_eq!(
            duplicate(999_999).unwrap_err().raw_os_error(),
            Some(libc::EBADF)
        );
        assert_eq!(
            duplicate(u32::MAX).unwrap_err().raw_os_error(),
            Some(libc::EBADF)
        );
    }
}
