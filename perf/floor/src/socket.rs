//! The listener and the process settings, made once before the ring exists.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const BACKLOG: libc::c_int = 4096;

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Binds this thread to one CPU.
pub fn pin_to(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::other(format!("there is no CPU {cpu}")));
    }
    // SAFETY: a zeroed `cpu_set_t` is the empty set, and `cpu` was checked to lie within it.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        set
    };
    // SAFETY: the kernel reads `size_of_val(&set)` bytes of a live local.
    checked(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) }).map(drop)
}

/// Raises the soft limit of descriptors to the hard one, for thousands of idle connections.
pub fn raise_descriptor_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls only read or write the live local. A refusal leaves the limit as it was,
    // which shows as a failed accept when it matters.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// A listening socket on 127.0.0.1 whose connections inherit `TCP_NODELAY`.
pub fn listen(port: u16) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor that comes back is new and ours alone.
    let socket = unsafe {
        let fd = checked(libc::socket(
            libc::AF_INET,
            libc::SOCK_STREAM | libc::SOCK_CLOEXEC,
            0,
        ))?;
        OwnedFd::from_raw_fd(fd)
    };
    set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR)?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT)?;
    set_option(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY)?;
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(std::net::Ipv4Addr::LOCALHOST).to_be(),
        },
        sin_zero: [0; 8],
    };
    let address_bytes = size_of_val(&address) as libc::socklen_t;
    // SAFETY: `address` is a live `sockaddr_in` of the length that is given.
    checked(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            address_bytes,
        )
    })?;
    // SAFETY: no pointers.
    checked(unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) })?;
    Ok(socket)
}

fn set_option(socket: &OwnedFd, level: libc::c_int, name: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let on_bytes = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the kernel reads one `c_int` from a live local.
    checked(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const on).cast(),
            on_bytes,
        )
    })
    .map(drop)
}
