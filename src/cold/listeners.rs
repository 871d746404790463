//! Listening sockets.
//!
//! At a TCP address each worker gets a socket of its own (`SO_REUSEPORT`), and the kernel spreads
//! connections over them. A Unix socket or an inherited one exists once and is shared: all workers
//! are woken by one connection and one of them gets it, which is acceptable there.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::base::inherited;
use crate::config::{Config, Listen, StartError};
use crate::conn::ListenerKind;
use crate::worker::WorkerListener;

/// The sockets of one worker: those for plain HTTP, then those for TLS, in the order of the
/// configuration.
pub type WorkerListeners = Vec<WorkerListener>;

/// All that was bound.
#[derive(Debug)]
pub struct Listeners {
    /// For each worker its sockets.
    pub workers: Vec<WorkerListeners>,
    /// Where clients find us, one for each place, with real ports.
    pub bound: Vec<Bound>,
    /// Files of Unix sockets; removed when this is dropped, so it lives as long as the server.
    pub files: Vec<SocketFile>,
}

/// One place at which we listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub kind: ListenerKind,
    pub place: Place,
}

/// Where clients find us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A TCP address with its real port.
    Tcp(SocketAddr),
    /// A path, or the name of an inherited socket.
    Other(String),
}

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.kind) {
            (Place::Tcp(address), ListenerKind::Metrics) => {
                write!(out, "http://{address} (metrics)")
            }
            (Place::Other(name), ListenerKind::Metrics) => write!(out, "{name} (metrics)"),
            (Place::Tcp(address), ListenerKind::Plain) => write!(out, "http://{address}"),
            (Place::Tcp(address), ListenerKind::Tls) => write!(out, "https://{address}"),
            (Place::Other(name), ListenerKind::Plain) => out.write_str(name),
            (Place::Other(name), ListenerKind::Tls) => write!(out, "{name} (TLS)"),
        }
    }
}

/// The file of a Unix socket that we made.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have put another socket in its place meanwhile; that one is not ours.
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.device_and_inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            log::warn!(
                "the socket {} could not be removed: {error}",
                self.path.display()
            );
        }
    }
}

/// Binds every place for every worker.
pub fn bind(config: &Config) -> Result<Listeners, StartError> {
    let mut listeners = Listeners {
        workers: (0..config.workers.get()).map(|_| Vec::new()).collect(),
        bound: Vec::new(),
        files: Vec::new(),
    };
    let tls = config.tls.as_ref().map_or(&[][..], |tls| &tls.listen);
    let plain = config
        .listen
        .iter()
        .map(|place| (place, ListenerKind::Plain));
    for (place, kind) in plain.chain(tls.iter().map(|place| (place, ListenerKind::Tls))) {
        listeners.bind(place, kind, config.backlog)?;
    }
    if let Some(metrics) = &config.record.metrics {
        listeners.bind(&metrics.listen, ListenerKind::Metrics, config.backlog)?;
    }
    Ok(listeners)
}

impl Listeners {
    fn bind(&mut self, place: &Listen, kind: ListenerKind, backlog: u32) -> Result<(), StartError> {
        let place = match place {
            Listen::Everywhere { port } => {
                everywhere(*port, |address| self.bind_tcp(address, kind, backlog))
                    .map_err(|error| explain(place, *port, &error))?
            }
            Listen::Tcp(address) => self
                .bind_tcp(*address, kind, backlog)
                .map_err(|error| explain(place, address.port(), &error))?,
            Listen::Unix(path) => self.bind_unix(path, kind, backlog)?,
            Listen::Inherited(number) => self.take_inherited(*number, kind)?,
        };
        self.bound.push(Bound { kind, place });
        Ok(())
    }

    fn bind_tcp(
        &mut self,
        wanted: SocketAddr,
        kind: ListenerKind,
        backlog: u32,
    ) -> io::Result<Place> {
        if wanted.port() != 0 {
            // With SO_REUSEPORT a second server of the same user would silently get half of the
            // connections; so a socket without it asks first whether the port is free.
            tcp_socket(wanted, Sharing::Alone)?;
        }
        // The first worker's socket fixes the port, when the kernel is to choose it.
        let mut address = wanted;
        for worker in &mut self.workers {
            let socket = tcp_socket(address, Sharing::WithWorkers)?;
            let local = socket.local_addr()?.as_socket();
            address = local.ok_or(ErrorKind::AddrNotAvailable)?;
            socket.listen(backlog_of_kernel(backlog))?;
            worker.push(WorkerListener {
                socket: socket.into(),
                kind,
            });
        }
        Ok(Place::Tcp(address))
    }

    fn bind_unix(
        &mut self,
        path: &Path,
        kind: ListenerKind,
        backlog: u32,
    ) -> Result<Place, StartError> {
        let shown = path.display();
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::PermissionDenied => StartError::machine(
                format!("no right to make the socket {shown}"),
                "choose a directory that this user may write to",
            ),
            ErrorKind::NotFound => StartError::machine(
                format!("the directory of the socket {shown} does not exist"),
                "create it or choose another",
            ),
            _ => StartError::machine(
                format!("the socket {shown} cannot be made: {error}"),
                "choose another path: --listen unix:/path",
            ),
        };
        remove_stale(path)?;
        let address = SockAddr::unix(path).map_err(failed)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)
            .map_err(failed)?;
        socket.bind(&address).map_err(failed)?;
        let made = std::fs::symlink_metadata(path).map_err(failed)?;
        self.files.push(SocketFile {
            path: path.to_owned(),
            device_and_inode: (made.dev(), made.ino()),
        });
        socket.listen(backlog_of_kernel(backlog)).map_err(failed)?;
        self.share(&socket.into(), kind).map_err(failed)?;
        Ok(Place::Other(format!("unix:{shown}")))
    }

    fn take_inherited(&mut self, number: u32, kind: ListenerKind) -> Result<Place, StartError> {
        let remedy = "pass an open listening stream socket at that number, as a systemd .socket \
                      unit does at fd:3";
        let refused = |what: String| StartError::machine(what, remedy);
        let fd = inherited::duplicate(number)
            .map_err(|_| refused(format!("fd:{number} is not an open descriptor")))?;
        let socket = Socket::from(fd);
        let is_stream = socket.r#type().is_ok_and(|kind| kind == Type::STREAM);
        if !is_stream || !socket.is_listener().unwrap_or(false) {
            return Err(refused(format!(
                "fd:{number} is not a listening stream socket"
            )));
        }
        let failed = |error| refused(format!("fd:{number} cannot be used: {error}"));
        socket.set_nonblocking(true).map_err(failed)?;
        let local = socket.local_addr().map_err(failed)?;
        let bound = match local.as_socket() {
            Some(address) => {
                socket.set_tcp_nodelay(true).map_err(failed)?;
                Place::Tcp(address)
            }
            None => Place::Other(match local.as_pathname() {
                Some(path) => format!("unix:{}", path.display()),
                None => format!("fd:{number}"),
            }),
        };
        self.share(&socket.into(), kind).map_err(failed)?;
        Ok(bound)
    }

    /// Gives a duplicate of one socket to each worker.
    fn share(&mut self, socket: &OwnedFd, kind: ListenerKind) -> io::Result<()> {
        for worker in &mut self.workers {
            worker.push(WorkerListener {
                socket: socket.try_clone()?,
                kind,
            });
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    WithWorkers,
}

/// A bound socket that does not listen yet. What is set here, accepted sockets inherit.
fn tcp_socket(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let kind = Type::STREAM.cloexec().nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    // Connections of a server that ended a moment ago must not keep the port.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::WithWorkers)?;
    if let SocketAddr::V6(v6) = address {
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn backlog_of_kernel(backlog: u32) -> i32 {
    i32::try_from(backlog).unwrap_or(i32::MAX)
}

/// Binds every address of both families, or those of IPv4 where the kernel has no other.
fn everywhere<T>(port: u16, mut bind: impl FnMut(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    match bind((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if has_no_ipv6(&error) => bind((Ipv4Addr::UNSPECIFIED, port).into()),
        result => result,
    }
}

fn has_no_ipv6(error: &io::Error) -> bool {
    let codes = [
        libc::EAFNOSUPPORT,
        libc::EPROTONOSUPPORT,
        libc::EADDRNOTAVAIL,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}

/// Makes room for a Unix socket: a file that a dead server left behind goes, nothing else does.
fn remove_stale(path: &Path) -> Result<(), StartError> {
    let shown = path.display();
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return Ok(()); // Nothing there; or `bind` will say what is wrong.
    };
    if !found.file_type().is_socket() {
        return Err(StartError::machine(
            format!("{shown} exists and is not a socket"),
            "remove it or choose another path",
        ));
    }
    match try_connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)
            .map_err(|error| {
                StartError::machine(
                    format!("the left-over socket {shown} cannot be removed: {error}"),
                    "remove it or choose another path",
                )
            }),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(StartError::machine(
            format!("the socket {shown} exists and belongs to somebody else"),
            "choose another path",
        )),
        _ => Err(StartError::machine(
            format!("another server answers at the socket {shown}"),
            format!("see who with: ss -lxp src {shown}, or choose another path"),
        )),
    }
}

/// Asks whether anybody answers, without waiting for one who is too busy to.
fn try_connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// Why a TCP address could not be bound, and what to do about it.
fn explain(place: &Listen, port: u16, error: &io::Error) -> StartError {
    match error.raw_os_error().unwrap_or(0) {
        libc::EADDRINUSE => StartError::machine(
            format!("port {port} is in use ({place})"),
            format!("see by whom with: ss -ltnp 'sport = :{port}', or choose another with --port"),
        ),
        libc::EACCES => StartError::machine(
            format!("port {port} may not be opened by user {}", user()),
            format!(
                "choose one from 1024 on, allow it with: sysctl -w \
                 net.ipv4.ip_unprivileged_port_start={port}, or give the binary the right with: \
                 setcap cap_net_bind_service=+ep downpour"
            ),
        ),
        libc::EADDRNOTAVAIL => StartError::machine(
            format!("this machine has no address {place}"),
            "choose one of those that ip address shows, or [::] for all",
        ),
        libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT => StartError::machine(
            format!("this kernel has no IPv6 for {place}"),
            format!("use IPv4: --listen 0.0.0.0:{port}"),
        ),
        libc::EMFILE | libc::ENFILE => StartError::machine(
            "there are too few descriptors for the listening sockets",
            "raise the limit of open files, as with ulimit -n 65536, or use fewer workers",
        ),
        _ => StartError::machine(
            format!("cannot listen at {place}: {error}"),
            "choose another place with --listen",
        ),
    }
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;
    use crate::config::args::{Command, read};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::num::NonZeroUsize;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    fn config(words: &[&str]) -> Config {
        let machine = Machine {
            cpus: vec![0],
            cpus_paid: NonZeroUsize::MIN,
            descriptors_max: 1000,
            somaxconn: None,
        };
        let line = ["downpour", "serve"].iter().chain(words);
        match read(line.map(std::ffi::OsString::from)) {
            Ok(Command::Serve(args)) => Config::check(&args, &machine).unwrap().config,
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    fn tcp(bound: &Bound) -> SocketAddr {
        match &bound.place {
            Place::Tcp(address) => *address,
            Place::Other(name) => panic!("{name} is not a TCP address"),
        }
    }

    #[test]
    fn workers_share_one_free_port_with_a_socket_each() {
        let listeners = bind(&config(&["--workers", "3", "--listen", "127.0.0.1:0"])).unwrap();
        let port = tcp(&listeners.bound[0]).port();
        assert_ne!(port, 0);
        let mut descriptors = Vec::new();
        for sockets in listeners.workers {
            let socket = Socket::from(sockets.into_iter().next().unwrap().socket);
            assert_eq!(
                socket.local_addr().unwrap().as_socket().unwrap().port(),
                port
            );
            assert!(socket.is_listener().unwrap() && socket.reuse_port().unwrap());
            assert!(socket.nonblocking().unwrap() && socket.tcp_nodelay().unwrap());
            let flags = rustix::io::fcntl_getfd(&socket).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            descriptors.push(socket.cookie().unwrap());
        }
        descriptors.dedup();
        assert_eq!(descriptors.len(), 3, "sockets of their own");
    }

    #[test]
    fn each_socket_says_what_is_spoken_there() {
        let words = [
            "--listen",
            "127.0.0.1:0",
            "--tls-listen",
            "127.0.0.1:0",
            "--self-signed",
        ];
        let listeners = bind(&config(&words)).unwrap();
        let kinds = listeners.workers[0].iter().map(|listener| listener.kind);
        let expected = [ListenerKind::Plain, ListenerKind::Tls];
        assert_eq!(kinds.collect::<Vec<_>>(), expected);
        let shown: Vec<String> = listeners.bound.iter().map(Bound::to_string).collect();
        assert!(shown[0].starts_with("http://127.0.0.1:"), "{shown:?}");
        assert!(shown[1].starts_with("https://127.0.0.1:"), "{shown:?}");
        let alone = bind(&config(&words[2..])).unwrap();
        assert_eq!(alone.bound.len(), 1);
    }

    #[test]
    fn everywhere_means_both_families() {
        let listeners = bind(&config(&["--port", "0"])).unwrap();
        let address = tcp(&listeners.bound[0]);
        TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).unwrap();
        if address.is_ipv6() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, address.port())).unwrap();
        }
    }

    #[test]
    fn without_ipv6_everywhere_means_ipv4() {
        let mut tried = Vec::new();
        let bound = everywhere(80, |address| {
            tried.push(address.to_string());
            match address {
                SocketAddr::V6(_) => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
                SocketAddr::V4(_) => Ok(()),
            }
        });
        assert!(bound.is_ok());
        assert_eq!(tried, ["[::]:80", "0.0.0.0:80"]);
        let taken: io::Result<()> =
            everywhere(80, |_| Err(io::Error::from_raw_os_error(libc::EADDRINUSE)));
        assert_eq!(
            taken.unwrap_err().kind(),
            ErrorKind::AddrInUse,
            "and not tried again"
        );
    }

    #[test]
    fn accepted_sockets_do_not_delay() {
        let listeners = bind(&config(&["--listen", "127.0.0.1:0"])).unwrap();
        let _client = TcpStream::connect(tcp(&listeners.bound[0])).unwrap();
        let socket = Socket::from(listeners.workers[0][0].socket.try_clone().unwrap());
        socket.set_nonblocking(false).unwrap();
        let (accepted, _) = socket.accept().unwrap();
        assert!(accepted.tcp_nodelay().unwrap());
    }

    #[test]
    fn a_port_in_use_is_refused_even_by_a_server_of_our_own_kind() {
        let first = bind(&config(&["--listen", "127.0.0.1:0"])).unwrap();
        let address = tcp(&first.bound[0]).to_string();
        let error = bind(&config(&["--listen", &address])).unwrap_err();
        assert_eq!(error.exit_code, 1);
        assert!(error.remedy.contains("ss -ltnp"), "{error}");
        drop(first);
        bind(&config(&["--listen", &address])).unwrap();
    }

    #[test]
    fn refusals_of_the_kernel_become_sentences() {
        let place = Listen::Everywhere { port: 80 };
        for (code, part) in [
            (libc::EACCES, "ip_unprivileged_port_start=80"),
            (libc::EACCES, "cap_net_bind_service"),
            (libc::EADDRNOTAVAIL, "ip address"),
            (libc::EAFNOSUPPORT, "--listen 0.0.0.0:80"),
            (libc::EMFILE, "ulimit -n"),
            (libc::EIO, "--listen"),
        ] {
            let error = explain(&place, 80, &io::Error::from_raw_os_error(code));
            assert!(error.remedy.contains(part), "{error}");
        }
        let error = bind(&config(&["--listen", "192.0.2.1:0"])).unwrap_err();
        assert!(error.what.contains("no address 192.0.2.1:0"), "{error}");
    }

    #[test]
    fn a_unix_socket_is_made_shared_and_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("d.sock");
        let place = format!("unix:{}", path.display());
        let config = config(&["--workers", "2", "--listen", &place]);
        let listeners = bind(&config).unwrap();
        assert_eq!(listeners.bound[0].place, Place::Other(place));
        let mut client = UnixStream::connect(&path).unwrap();
        let second = Socket::from(listeners.workers[1][0].socket.try_clone().unwrap());
        assert!(second.nonblocking().unwrap());
        let (mut accepted, _) = second.accept().unwrap();
        accepted.write_all(b"hi").unwrap();
        let mut buf = [0; 2];
        client.read_exact(&mut buf).unwrap();
        assert_eq!(&buf, b"hi");

        let error = bind(&config).unwrap_err();
        assert!(error.what.contains("another server answers"), "{error}");
        drop(listeners);
        assert!(!path.exists());
    }

    #[test]
    fn only_a_dead_servers_socket_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("d.sock");
        let config = config(&["--listen", &format!("unix:{}", path.display())]);
        drop(UnixListener::bind(&path).unwrap()); // Leaves its file behind.
        assert!(path.exists());
        drop(bind(&config).unwrap());

        std::fs::write(&path, "precious").unwrap();
        let error = bind(&config).unwrap_err();
        assert!(error.what.contains("is not a socket"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_socket_that_replaced_ours_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("d.sock");
        let listeners = bind(&config(&["--listen", &format!("unix:{}", path.display())])).unwrap();
        std::fs::rename(&path, scratch.path().join("old.sock")).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(listeners);
        assert!(path.exists());
    }

    #[test]
    fn an_inherited_socket_must_listen() {
        let passed = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = format!("fd:{}", passed.as_raw_fd());
        let listeners = bind(&config(&["--listen", &place, "--workers", "2"])).unwrap();
        assert_eq!(tcp(&listeners.bound[0]), passed.local_addr().unwrap());
        assert_eq!(listeners.workers.len(), 2);

        let file = std::fs::File::open("/dev/null").unwrap();
        let datagram = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in [file.as_raw_fd(), datagram.as_raw_fd()] {
            let error = bind(&config(&["--listen", &format!("fd:{number}")])).unwrap_err();
            assert!(
                error.what.contains("not a listening stream socket"),
                "{error}"
            );
        }
        let error = bind(&config(&["--listen", "fd:98765"])).unwrap_err();
        assert!(error.what.contains("not an open descriptor"), "{error}");
    }
}
