//! What this kernel gives to each engine, and which engine `auto` is.
//!
//! Everything is tried on rings that are thrown away, the last of them of the size that a worker
//! will make: flags and operations are often backported or filtered, so a version proves little.

#![allow(unsafe_code)]

use std::fmt;
use std::io;

use io_uring::{IoUring, Probe, opcode};

use super::{EngineChoice, EngineKind, EngineSettings, Errno};

/// Buffer group used for the trial; the ring dies with it.
const TRIAL_GROUP: u16 = 0;
/// `IOU_PBUF_RING_INC` of the kernel: buffers are consumed piece by piece.
const INCREMENTAL: u16 = 2;
/// Bytes of one entry of a buffer ring (`struct io_uring_buf`).
const BUFFER_ENTRY_BYTES: usize = 16;
/// Completion entries that a ring is tried with: as many as the main engine wants.
const COMPLETION_ENTRIES: u32 = 4096;

/// The version of the running kernel, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion(pub u32, pub u32);

impl KernelVersion {
    /// Reads `6.18.44-fc`; what cannot be read counts as 0.
    pub fn read(release: &str) -> KernelVersion {
        let mut numbers = release
            .split(|character: char| !character.is_ascii_digit())
            .map(|digits| digits.parse().unwrap_or(0));
        KernelVersion(numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.0, self.1)
    }
}

/// What the kernel offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Its version.
    pub kernel: KernelVersion,
    /// What a ring can do here, or why there is none.
    pub ring: Result<RingFeatures, Blocked>,
}

/// Why io_uring cannot be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// ENOSYS: the kernel has none, or a filter of a container pretends so.
    Missing,
    /// The sysctl `kernel.io_uring_disabled` says no (1: to unprivileged processes, 2: to all).
    Disabled(u8),
    /// EPERM or EACCES: a seccomp filter or a security module.
    Filtered,
    /// ENOMEM: `RLIMIT_MEMLOCK` or the control group.
    Memory,
    /// EMFILE or ENFILE: no descriptor for the ring.
    Descriptors,
    /// Anything else.
    Other(Errno),
}

impl Blocked {
    fn from_error(error: &io::Error) -> Blocked {
        let disabled = || sysctl_disabled().filter(|level| *level > 0);
        match error.raw_os_error().unwrap_or(libc::EIO) {
            libc::ENOSYS => Blocked::Missing,
            libc::EPERM | libc::EACCES => disabled().map_or(Blocked::Filtered, Blocked::Disabled),
            libc::ENOMEM => Blocked::Memory,
            libc::EMFILE | libc::ENFILE => Blocked::Descriptors,
            number => Blocked::Other(Errno(number)),
        }
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Blocked::Missing => {
                "use a kernel from 6.1 on, and in a container one whose seccomp profile allows it"
            }
            Blocked::Disabled(_) => "as root: sysctl -w kernel.io_uring_disabled=0",
            Blocked::Filtered => {
                "in a container allow io_uring_setup, io_uring_enter and io_uring_register in its \
                 seccomp profile (docker run --security-opt seccomp=FILE)"
            }
            Blocked::Memory => {
                "raise RLIMIT_MEMLOCK: ulimit -l unlimited, or LimitMEMLOCK=infinity"
            }
            Blocked::Descriptors => "raise the limit of open files: ulimit -n 65536",
            Blocked::Other(_) => "use --engine epoll",
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blocked::Missing => out.write_str("the kernel says it has no io_uring"),
            Blocked::Disabled(level) => {
                write!(out, "the sysctl kernel.io_uring_disabled is {level}")
            }
            Blocked::Filtered => {
                out.write_str("a seccomp filter or security module forbids io_uring")
            }
            Blocked::Memory => out.write_str("there is too little lockable memory for a ring"),
            Blocked::Descriptors => out.write_str("there is no free descriptor for a ring"),
            Blocked::Other(errno) => {
                write!(
                    out,
                    "the kernel refuses a ring: {}",
                    io::Error::from(*errno)
                )
            }
        }
    }
}

/// What a ring can do here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingFeatures {
    /// `SINGLE_ISSUER` (6.0): only its worker submits, so the kernel locks less.
    pub single_issuer: bool,
    /// `DEFER_TASKRUN` (6.1): completions are worked off when the worker asks.
    pub defer_taskrun: bool,
    /// `SUBMIT_ALL` (5.18): one bad entry does not hold up those behind it.
    pub submit_all: bool,
    /// `COOP_TASKRUN` (5.19): no interrupts to run completions; what tokio-uring uses.
    pub coop_taskrun: bool,
    /// `NO_SQARRAY` (6.6): one indirection less.
    pub no_sqarray: bool,
    /// A ring of provided buffers (5.19) of the wanted size could be registered.
    pub buffer_ring: bool,
    /// Buffers are consumed piece by piece (6.12).
    pub incremental_buffers: bool,
    /// One accept for all connections (5.19).
    pub multishot_accept: bool,
    /// One receive for all bytes of a connection (6.0).
    pub multishot_receive: bool,
    /// One timeout for all ticks (6.4).
    pub multishot_timeout: bool,
    /// Sends without a copy (6.0).
    pub zero_copy_send: bool,
    /// Waits for a least number of completions with a time limit (6.12).
    pub min_wait: bool,
    /// Sleeps without counting as waiting for a disk (6.15).
    pub no_iowait: bool,
    /// A kernel thread is asked to poll submissions, which excludes `DEFER_TASKRUN`.
    pub sqpoll: bool,
    /// Operations that the main engine needs and that are not there.
    pub missing_operations: Vec<&'static str>,
}

impl RingFeatures {
    /// What the main engine needs (the features of 6.1) and does not find; empty when all is there.
    pub fn missing_for_main(&self) -> Vec<&'static str> {
        let needed = [
            (self.single_issuer, "SINGLE_ISSUER"),
            (self.defer_taskrun, "DEFER_TASKRUN"),
            (self.submit_all, "SUBMIT_ALL"),
            (self.buffer_ring, "buffer rings"),
            (self.multishot_accept, "multishot accept"),
            (self.multishot_receive, "multishot receive"),
        ];
        let missing = needed.iter().filter(|(there, _)| !there);
        missing
            .map(|(_, name)| *name)
            .chain(self.missing_operations.iter().copied())
            .collect()
    }

    /// The features that shape the main engine, for the start line.
    pub fn summary(&self) -> String {
        let named = [
            (
                self.multishot_accept && self.multishot_receive,
                "multishot accept and receive",
            ),
            (self.buffer_ring, "buffer ring"),
            (self.defer_taskrun && !self.sqpoll, "deferred task work"),
            (self.sqpoll, "submission polling"),
            (self.multishot_timeout, "multishot timeout"),
            (self.no_iowait, "no iowait"),
        ];
        let there: Vec<&str> = named
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, name)| *name)
            .collect();
        there.join(", ")
    }
}

/// Tries what the kernel gives, on the calling thread.
pub fn probe(settings: &EngineSettings) -> Capabilities {
    let release = rustix::system::uname();
    let kernel = KernelVersion::read(&release.release().to_string_lossy());
    Capabilities {
        kernel,
        ring: probe_ring(kernel, settings),
    }
}

/// The sysctl `kernel.io_uring_disabled` (6.6), where there is one.
fn sysctl_disabled() -> Option<u8> {
    let text = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    text.trim().parse().ok()
}

fn probe_ring(kernel: KernelVersion, settings: &EngineSettings) -> Result<RingFeatures, Blocked> {
    // A flag that the kernel does not know is refused with EINVAL: each is tried on top of those
    // that worked, and a plain ring says whether there is io_uring at all.
    let plain = build(TRIAL, &[]).map_err(|error| Blocked::from_error(&error))?;
    drop(plain);
    let coop_taskrun = build(TRIAL, &[Flag::CoopTaskrun]).is_ok();
    let mut accepted = Vec::new();
    for flag in [
        Flag::SubmitAll,
        Flag::SingleIssuer,
        Flag::DeferTaskrun,
        Flag::NoSqarray,
    ] {
        accepted.push(flag);
        if build(TRIAL, &accepted).is_err() {
            accepted.pop();
        }
    }
    let blocked = |error: io::Error| Blocked::from_error(&error);
    let ring = build(Size::of_worker(settings), &accepted).map_err(blocked)?;
    // A filter may allow to make a ring and forbid to use it: enter it once, with nothing.
    ring.submitter().submit().map_err(blocked)?;
    let operations = operations(&ring).map_err(blocked)?;
    let defer_taskrun = accepted.contains(&Flag::DeferTaskrun);
    // What multishot means shows in no operation code. Whoever knows DEFER_TASKRUN (6.1) has what
    // came before it, backported or not.
    let since = |major, minor| kernel >= KernelVersion(major, minor);
    Ok(RingFeatures {
        single_issuer: accepted.contains(&Flag::SingleIssuer),
        defer_taskrun,
        submit_all: accepted.contains(&Flag::SubmitAll),
        coop_taskrun,
        no_sqarray: accepted.contains(&Flag::NoSqarray),
        buffer_ring: try_buffer_ring(&ring, settings.recv_buffers, 0),
        incremental_buffers: try_buffer_ring(&ring, settings.recv_buffers, INCREMENTAL),
        multishot_accept: defer_taskrun || since(5, 19),
        multishot_receive: defer_taskrun || since(6, 0),
        multishot_timeout: accepted.contains(&Flag::NoSqarray) || since(6, 4),
        zero_copy_send: operations.is_supported(opcode::SendZc::CODE),
        min_wait: ring.params().is_feature_min_timeout(),
        no_iowait: ring.params().is_feature_no_iowait(),
        sqpoll: settings.sqpoll.is_some(),
        missing_operations: missing_operations(&operations),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    SubmitAll,
    SingleIssuer,
    DeferTaskrun,
    CoopTaskrun,
    NoSqarray,
}

/// How large a ring is.
#[derive(Clone, Copy)]
struct Size {
    submissions: u32,
    completions: u32,
}

/// Flags are tried on small rings: the kernel gives memory of a closed ring back only later, and an
/// unprivileged process has little of it to lock.
const TRIAL: Size = Size {
    submissions: 4,
    completions: 8,
};

impl Size {
    fn of_worker(settings: &EngineSettings) -> Size {
        Size {
            submissions: settings.ring_entries,
            // A completion queue smaller than twice the submission queue would overflow.
            completions: COMPLETION_ENTRIES.max(settings.ring_entries * 2),
        }
    }
}

fn build(size: Size, flags: &[Flag]) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(size.completions);
    for flag in flags {
        match flag {
            Flag::SubmitAll => builder.setup_submit_all(),
            Flag::SingleIssuer => builder.setup_single_issuer(),
            Flag::DeferTaskrun => builder.setup_defer_taskrun(),
            Flag::CoopTaskrun => builder.setup_coop_taskrun(),
            Flag::NoSqarray => builder.setup_no_sqarray(),
        };
    }
    builder.build(size.submissions)
}

/// What the kernel says about its operations; one that cannot say it (before 5.6) has none of ours.
fn operations(ring: &IoUring) -> io::Result<Probe> {
    let mut operations = Probe::new();
    match ring.submitter().register_probe(&mut operations) {
        Ok(()) => Ok(operations),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(Probe::new()),
        Err(error) => Err(error), // A filter forbids io_uring_register.
    }
}

fn missing_operations(operations: &Probe) -> Vec<&'static str> {
    let needed = [
        (opcode::Accept::CODE, "accept"),
        (opcode::Recv::CODE, "recv"),
        (opcode::SendMsg::CODE, "sendmsg"),
        (opcode::Send::CODE, "send"),
        (opcode::Connect::CODE, "connect"),
        (opcode::Shutdown::CODE, "shutdown"),
        (opcode::Close::CODE, "close"),
        (opcode::AsyncCancel::CODE, "cancel"),
        (opcode::PollAdd::CODE, "poll"),
        (opcode::Timeout::CODE, "timeout"),
        (opcode::OpenAt2::CODE, "openat2"),
        (opcode::Statx::CODE, "statx"),
        (opcode::Read::CODE, "read"),
    ];
    let missing = needed
        .iter()
        .filter(|(code, _)| !operations.is_supported(*code));
    missing.map(|(_, name)| *name).collect()
}

/// Registers a buffer ring of `entries` and takes it back.
fn try_buffer_ring(ring: &IoUring, entries: u16, flags: u16) -> bool {
    let bytes = usize::from(entries) * BUFFER_ENTRY_BYTES;
    // The kernel wants whole pages of its own size, which is 64 KiB at most.
    let memory = TrialMemory::new(bytes);
    let submitter = ring.submitter();
    // SAFETY: `memory` is page-aligned, spans `entries` entries, and outlives the registration,
    // which is undone below before it is dropped; no operation is ever submitted on this ring, so
    // the kernel neither reads nor writes it.
    let registered = unsafe {
        let address = memory.address() as u64;
        submitter.register_buf_ring_with_flags(address, entries, TRIAL_GROUP, flags)
    };
    if registered.is_err() {
        return false;
    }
    if submitter.unregister_buf_ring(TRIAL_GROUP).is_err() {
        // Then the kernel may still hold the pages (it pins them itself): they are never reused.
        std::mem::forget(memory);
    }
    true
}

/// Zeroed pages, aligned for any page size of Linux.
struct TrialMemory(Vec<TrialPage>);

#[repr(C, align(65536))]
#[derive(Clone)]
struct TrialPage([u8; 65536]);

impl TrialMemory {
    fn new(bytes: usize) -> TrialMemory {
        let pages = bytes.div_ceil(size_of::<TrialPage>()).max(1);
        let mut memory = Vec::with_capacity(pages);
        memory.resize(pages, TrialPage([0; 65536]));
        TrialMemory(memory)
    }

    fn address(&self) -> *const u8 {
        self.0[0].0.as_ptr()
    }
}

/// The engine that was decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// It.
    pub kind: EngineKind,
    /// Its features, for the start line; may be empty.
    pub features: String,
    /// Why it is not the main engine although any would have been welcome, and what to do about it.
    pub fallback: Option<String>,
}

/// An engine that was asked for and does not work here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// What is the matter.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// Decides. `Auto` always finds an engine; an explicit choice is kept or refused, never replaced.
pub fn choose(choice: EngineChoice, found: &Capabilities) -> Result<Decision, Unsupported> {
    let decision = |kind, features, fallback| Decision {
        kind,
        features,
        fallback,
    };
    match choice {
        EngineChoice::Only(EngineKind::Epoll) => {
            Ok(decision(EngineKind::Epoll, String::new(), None))
        }
        EngineChoice::Only(EngineKind::TokioUring) => {
            supports_tokio_uring(found)?;
            Ok(decision(EngineKind::TokioUring, String::new(), None))
        }
        EngineChoice::Only(EngineKind::IoUring) => {
            let features = supports_io_uring(found)?;
            Ok(decision(EngineKind::IoUring, features.summary(), None))
        }
        EngineChoice::Auto => Ok(match supports_io_uring(found) {
            Ok(features) => decision(EngineKind::IoUring, features.summary(), None),
            Err(Unsupported { what, remedy }) => {
                let line = format!("using epoll, because {what}; for io_uring {remedy}");
                decision(EngineKind::Epoll, String::new(), Some(line))
            }
        }),
    }
}

/// Whether the main engine runs here.
pub fn supports_io_uring(found: &Capabilities) -> Result<&RingFeatures, Unsupported> {
    let features = found.ring.as_ref().map_err(|blocked| Unsupported {
        what: blocked.to_string(),
        remedy: blocked.remedy().to_owned(),
    })?;
    let missing = features.missing_for_main();
    if missing == ["buffer rings"] {
        return Err(Unsupported {
            what: "a ring of receive buffers cannot be registered".to_owned(),
            remedy: format!("{}, or lower --recv-buffers", Blocked::Memory.remedy()),
        });
    }
    if !missing.is_empty() {
        return Err(Unsupported {
            what: format!("kernel {} lacks {}", found.kernel, missing.join(", ")),
            remedy: "use a kernel from 6.1 on".to_owned(),
        });
    }
    Ok(features)
}

/// Whether the baseline engine was built in and runs here.
pub fn supports_tokio_uring(found: &Capabilities) -> Result<(), Unsupported> {
    if !cfg!(feature = "tokio-uring") {
        return Err(Unsupported {
            what: "this binary was built without tokio-uring".to_owned(),
            remedy: "build it with cargo build --release --features tokio-uring".to_owned(),
        });
    }
    found
        .ring
        .as_ref()
        .map(drop)
        .map_err(|blocked| Unsupported {
            what: blocked.to_string(),
            remedy: blocked.remedy().to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> RingFeatures {
        RingFeatures {
            single_issuer: true,
            defer_taskrun: true,
            submit_all: true,
            buffer_ring: true,
            multishot_accept: true,
            multishot_receive: true,
            ..RingFeatures::default()
        }
    }

    fn with(ring: Result<RingFeatures, Blocked>) -> Capabilities {
        Capabilities {
            kernel: KernelVersion(5, 15),
            ring,
        }
    }

    #[test]
    fn releases_are_read_and_ordered() {
        assert_eq!(KernelVersion::read("6.18.44-fc-v669"), KernelVersion(6, 18));
        assert_eq!(KernelVersion::read("5.15-rc1"), KernelVersion(5, 15));
        assert_eq!(KernelVersion::read("strange"), KernelVersion(0, 0));
        assert!(KernelVersion(6, 1) > KernelVersion(5, 19));
    }

    #[test]
    fn auto_takes_io_uring_at_the_floor_and_epoll_below_it_with_one_line() {
        let best = choose(EngineChoice::Auto, &with(Ok(all()))).unwrap();
        assert_eq!((best.kind, best.fallback), (EngineKind::IoUring, None));
        assert!(best.features.contains("buffer ring"));
        for blocked in [
            Blocked::Missing,
            Blocked::Disabled(2),
            Blocked::Filtered,
            Blocked::Memory,
            Blocked::Descriptors,
            Blocked::Other(Errno(libc::EIO)),
        ] {
            let fallen = choose(EngineChoice::Auto, &with(Err(blocked))).unwrap();
            assert_eq!(fallen.kind, EngineKind::Epoll);
            let line = fallen.fallback.unwrap();
            assert!(
                line.contains(blocked.remedy()) && !line.contains('\n'),
                "{line}"
            );
        }
        let polled = RingFeatures {
            sqpoll: true,
            ..all()
        };
        let best = choose(EngineChoice::Auto, &with(Ok(polled))).unwrap();
        assert!(best.features.contains("submission polling"));
        assert!(
            !best.features.contains("deferred"),
            "they exclude each other"
        );
        let old = RingFeatures {
            defer_taskrun: false,
            ..all()
        };
        let line = choose(EngineChoice::Auto, &with(Ok(old)))
            .unwrap()
            .fallback
            .unwrap();
        assert!(line.contains("kernel 5.15 lacks DEFER_TASKRUN"), "{line}");
    }

    #[test]
    fn an_explicit_choice_is_kept_or_refused() {
        let only = |kind| choose(EngineChoice::Only(kind), &with(Err(Blocked::Filtered)));
        assert_eq!(only(EngineKind::Epoll).unwrap().kind, EngineKind::Epoll);
        for kind in [EngineKind::IoUring, EngineKind::TokioUring] {
            assert!(!only(kind).unwrap_err().remedy.is_empty());
        }
        let no_buffers = RingFeatures {
            buffer_ring: false,
            ..all()
        };
        let only_main = EngineChoice::Only(EngineKind::IoUring);
        let refused = choose(only_main, &with(Ok(no_buffers))).unwrap_err();
        assert!(refused.remedy.contains("RLIMIT_MEMLOCK"));
    }

    #[test]
    fn errors_of_the_kernel_are_told_apart() {
        let of = |number| Blocked::from_error(&io::Error::from_raw_os_error(number));
        assert_eq!(of(libc::ENOSYS), Blocked::Missing);
        assert_eq!(of(libc::ENOMEM), Blocked::Memory);
        assert_eq!(of(libc::EMFILE), Blocked::Descriptors);
        assert_eq!(of(libc::EIO), Blocked::Other(Errno(libc::EIO)));
        assert!(matches!(
            of(libc::EPERM),
            Blocked::Filtered | Blocked::Disabled(_)
        ));
    }

    /// On a machine without io_uring this proves the other half: that it is said, not crashed on.
    #[test]
    fn the_running_kernel_is_probed_consistently() {
        let found = probe(&EngineSettings::default());
        assert!(found.kernel > KernelVersion(4, 0));
        match &found.ring {
            Err(blocked) => assert!(!blocked.to_string().is_empty()),
            Ok(features) if found.kernel >= KernelVersion(6, 12) => {
                assert_eq!(features.missing_for_main(), [""; 0]);
                assert!(features.incremental_buffers && features.no_sqarray);
            }
            Ok(_) => {}
        }
        assert_eq!(
            probe(&EngineSettings::default()),
            found,
            "a second look sees the same"
        );
    }
}
