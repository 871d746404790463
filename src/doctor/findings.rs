//! From facts to judgements. Pure but for [`Facts::read`].

use rustix::process::{Resource, getrlimit};

use crate::base::limits;
use crate::cold::{descriptors, machine};
use crate::config::{Machine, cpus};
use crate::engine::probe::{self, Capabilities, KernelVersion, RingFeatures};
use crate::engine::{EngineChoice, EngineKind, EngineSettings};

/// Bytes that one worker's rings may lock, at the default settings: 512 submissions of 64 bytes,
/// 4096 completions of 16, 128 buffer entries of 16, and the kernel's page or two around each.
const RING_BYTES: u64 = 128 << 10;
/// Below this many open files a busy site runs out of connections.
const DESCRIPTORS_WANTED: u64 = 16_384;

/// What was seen on this machine.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub capabilities: Capabilities,
    pub machine: Machine,
    /// The soft and the hard limit of open files.
    pub descriptors: (u64, u64),
    /// `RLIMIT_MEMLOCK` in bytes; `None` for no limit.
    pub lockable_bytes: Option<u64>,
    /// `net.ipv4.tcp_max_syn_backlog` and `net.ipv4.tcp_syncookies`.
    pub syn_backlog: Option<u32>,
    pub syn_cookies: Option<u32>,
    /// Whether a seccomp filter watches this process, as in a container.
    pub seccomp: bool,
    /// Whether the processor has instructions for AES and its counter mode.
    pub has_aes: bool,
}

impl Facts {
    /// Looks at the machine.
    pub(super) fn read() -> Facts {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Facts {
            capabilities: probe::probe(&EngineSettings::default()),
            machine: machine::read(),
            descriptors: descriptors::limits(),
            lockable_bytes: getrlimit(Resource::Memlock).current,
            syn_backlog: machine::sysctl("net/ipv4/tcp_max_syn_backlog"),
            syn_cookies: machine::sysctl("net/ipv4/tcp_syncookies"),
            seccomp: is_filtered(&status),
            has_aes: has_aes(),
        }
    }
}

/// Whether `/proc/self/status` tells of a seccomp filter (mode 2).
fn is_filtered(status: &str) -> bool {
    status
        .lines()
        .filter_map(|line| line.strip_prefix("Seccomp:"))
        .any(|mode| mode.trim() == "2")
}

/// Without them TLS goes by tables and carry-less multiplication in software.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return true; // Unknown: no complaint.
}

/// How good a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    No,
    Fine,
    Hurts,
}

/// One row: a thing, how good it is, what that means, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub subject: String,
    pub verdict: Verdict,
    pub meaning: String,
    pub remedy: Option<String>,
}

impl Finding {
    fn new(subject: &str, verdict: Verdict, meaning: impl Into<String>) -> Finding {
        Finding {
            subject: subject.to_owned(),
            verdict,
            meaning: meaning.into(),
            remedy: None,
        }
    }

    fn with_remedy(self, remedy: impl Into<String>) -> Finding {
        Finding {
            remedy: Some(remedy.into()),
            ..self
        }
    }
}

/// The engines, which of them `auto` is, and the features of the main one.
pub(super) fn engines(facts: &Facts) -> Vec<Finding> {
    let found = &facts.capabilities;
    let automatic = probe::choose(EngineChoice::Auto, found).map(|decision| decision.kind);
    let mut rows = Vec::new();
    for kind in [
        EngineKind::IoUring,
        EngineKind::Epoll,
        EngineKind::TokioUring,
    ] {
        let meaning = match kind {
            EngineKind::IoUring => "the main engine",
            EngineKind::Epoll => "works on every Linux",
            EngineKind::TokioUring => "the baseline to compare with",
        };
        rows.push(match probe::choose(EngineChoice::Only(kind), found) {
            Ok(_) if automatic == Ok(kind) => Finding::new(
                kind.name(),
                Verdict::Yes,
                format!("{meaning}; --engine auto takes it"),
            ),
            Ok(_) => Finding::new(kind.name(), Verdict::Yes, meaning),
            Err(why) => Finding::new(kind.name(), Verdict::No, why.what).with_remedy(why.remedy),
        });
    }
    if let Ok(features) = &found.ring {
        rows.extend(ring_features(features, found.kernel));
    }
    rows
}

fn ring_features(features: &RingFeatures, kernel: KernelVersion) -> Vec<Finding> {
    let row = |name: &str, there: bool, since: (u32, u32), meaning: &str| {
        let verdict = if there { Verdict::Yes } else { Verdict::No };
        let since = KernelVersion(since.0, since.1);
        let finding = Finding::new(&format!("  {name}"), verdict, meaning);
        match there {
            true => finding,
            false if kernel < since => finding.with_remedy(format!("use a kernel from {since} on")),
            false => finding.with_remedy("this kernel was built or limited without it"),
        }
    };
    let multishot = features.multishot_accept && features.multishot_receive;
    vec![
        row(
            "deferred task work",
            features.defer_taskrun,
            (6, 1),
            "a third less work a request",
        ),
        row(
            "single issuer",
            features.single_issuer,
            (6, 0),
            "fewer locks in the kernel",
        ),
        row(
            "buffer ring",
            features.buffer_ring,
            (5, 19),
            "idle connections hold no buffer",
        ),
        row(
            "multishot",
            multishot,
            (6, 0),
            "one accept, one receive for many events",
        ),
        row(
            "multishot timeout",
            features.multishot_timeout,
            (6, 4),
            "one timer for all deadlines",
        ),
        row(
            "zero-copy send",
            features.zero_copy_send,
            (6, 0),
            "needed by --zero-copy-min",
        ),
        row(
            "no iowait",
            features.no_iowait,
            (6, 15),
            "an idle server does not look busy",
        ),
    ]
}

/// The limits of this process and its kernel.
pub(super) fn limits(facts: &Facts) -> Vec<Finding> {
    let mut rows = vec![processors(facts), open_files(facts), lockable_memory(facts)];
    rows.extend(somaxconn(facts));
    rows.extend(syn_backlog(facts));
    rows.push(match (facts.seccomp, &facts.capabilities.ring) {
        (false, _) => Finding::new("seccomp", Verdict::Fine, "no filter"),
        (true, Ok(_)) => Finding::new("seccomp", Verdict::Fine, "a filter that allows io_uring"),
        (true, Err(blocked)) => Finding::new(
            "seccomp",
            Verdict::Hurts,
            "a filter, as containers have; no io_uring",
        )
        .with_remedy(blocked.remedy()),
    });
    rows.push(match facts.has_aes {
        true => Finding::new("TLS", Verdict::Fine, "this processor has AES instructions"),
        false => Finding::new(
            "TLS",
            Verdict::Hurts,
            "AES in software; TLS costs several times more",
        )
        .with_remedy("on a virtual machine: pass the host's processor through (aes, pclmulqdq)"),
    });
    rows
}

fn processors(facts: &Facts) -> Finding {
    let Machine {
        cpus, cpus_paid, ..
    } = &facts.machine;
    let listed = cpus::show(cpus);
    if cpus_paid.get() < cpus.len() {
        let meaning = format!("{listed}, of which the control group pays for {cpus_paid}");
        return Finding::new("processors", Verdict::Hurts, meaning).with_remedy(
            "raise the quota (docker --cpus, CPUQuota=), or prefer a set of processors (docker \
             --cpuset-cpus): a quota stops all workers at once when it is used up",
        );
    }
    Finding::new(
        "processors",
        Verdict::Fine,
        format!("{listed}; so many workers by default"),
    )
}

fn open_files(facts: &Facts) -> Finding {
    let (soft, hard) = facts.descriptors;
    let meaning = format!("{soft}, raised to {hard} at start; bounds connections");
    if hard >= DESCRIPTORS_WANTED {
        return Finding::new("open files", Verdict::Fine, meaning);
    }
    Finding::new("open files", Verdict::Hurts, meaning)
        .with_remedy("raise the hard limit: ulimit -Hn 65536 as root, or LimitNOFILE=65536")
}

fn lockable_memory(facts: &Facts) -> Finding {
    let subject = "lockable memory";
    let Some(bytes) = facts.lockable_bytes else {
        return Finding::new(subject, Verdict::Fine, "no limit");
    };
    let workers = facts.machine.cpus.len() as u64;
    let shown = bytes >> 10;
    let enough_for = bytes / RING_BYTES;
    if enough_for >= workers {
        let meaning = format!("{shown} KiB, enough for the rings of {enough_for} workers");
        return Finding::new(subject, Verdict::Fine, meaning);
    }
    let meaning = format!("{shown} KiB may be too little for the rings of {workers} workers");
    Finding::new(subject, Verdict::Hurts, meaning)
        .with_remedy("raise RLIMIT_MEMLOCK: ulimit -l unlimited, or LimitMEMLOCK=infinity")
}

fn somaxconn(facts: &Facts) -> Option<Finding> {
    let (somaxconn, wanted) = (facts.machine.somaxconn?, limits::BACKLOG_DEFAULT);
    let subject = "net.core.somaxconn";
    Some(if somaxconn >= wanted {
        Finding::new(
            subject,
            Verdict::Fine,
            format!("{somaxconn}; caps --backlog"),
        )
    } else {
        let meaning = format!("{somaxconn} cuts --backlog {wanted}; bursts are dropped sooner");
        Finding::new(subject, Verdict::Hurts, meaning)
            .with_remedy(format!("as root: sysctl -w net.core.somaxconn={wanted}"))
    })
}

fn syn_backlog(facts: &Facts) -> Option<Finding> {
    let subject = "tcp_max_syn_backlog";
    let backlog = facts.syn_backlog?;
    // With SYN cookies a full queue costs options, not connections (tcp(7)).
    Some(match facts.syn_cookies {
        Some(0) if backlog < limits::BACKLOG_DEFAULT => {
            let meaning = format!("{backlog} without SYN cookies; bursts of new peers are dropped");
            Finding::new(subject, Verdict::Hurts, meaning)
                .with_remedy("as root: sysctl -w net.ipv4.tcp_syncookies=1")
        }
        Some(0) => Finding::new(subject, Verdict::Fine, format!("{backlog}, no SYN cookies")),
        _ => Finding::new(
            subject,
            Verdict::Fine,
            format!("{backlog}, SYN cookies beyond that"),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::probe::Blocked;
    use std::num::NonZeroUsize;

    fn good() -> Facts {
        Facts {
            capabilities: Capabilities {
                kernel: KernelVersion(6, 18),
                ring: Ok(RingFeatures {
                    single_issuer: true,
                    defer_taskrun: true,
                    submit_all: true,
                    buffer_ring: true,
                    multishot_accept: true,
                    multishot_receive: true,
                    multishot_timeout: true,
                    zero_copy_send: true,
                    no_iowait: true,
                    ..RingFeatures::default()
                }),
            },
            machine: Machine {
                cpus: vec![0, 1],
                cpus_paid: NonZeroUsize::new(2).unwrap(),
                descriptors_max: 20_000,
                somaxconn: Some(4096),
            },
            descriptors: (1024, 20_000),
            lockable_bytes: Some(8 << 20),
            syn_backlog: Some(512),
            syn_cookies: Some(1),
            seccomp: false,
            has_aes: true,
        }
    }

    fn hurting(facts: &Facts) -> Vec<String> {
        let rows = engines(facts).into_iter().chain(limits(facts));
        rows.filter(|row| matches!(row.verdict, Verdict::No | Verdict::Hurts))
            .map(|row| {
                assert!(row.remedy.is_some(), "{} has no remedy", row.subject);
                row.subject.trim().to_owned()
            })
            .collect()
    }

    #[test]
    fn a_good_machine_hurts_nowhere() {
        let tokio_uring_only = if cfg!(feature = "tokio-uring") { 0 } else { 1 };
        assert_eq!(hurting(&good()).len(), tokio_uring_only);
        assert!(engines(&good())[0].meaning.contains("auto takes it"));
    }

    #[test]
    fn a_container_hurts_where_it_does() {
        let mut facts = good();
        facts.seccomp = true;
        facts.capabilities.ring = Err(Blocked::Filtered);
        facts.machine.cpus_paid = NonZeroUsize::MIN;
        assert_eq!(
            hurting(&facts),
            ["io-uring", "tokio-uring", "processors", "seccomp"]
        );
        assert!(
            engines(&facts)[1].meaning.contains("auto takes it"),
            "epoll"
        );
    }

    #[test]
    fn tight_limits_are_named_with_their_remedies() {
        let mut facts = good();
        facts.descriptors = (64, 256);
        facts.lockable_bytes = Some(64 << 10);
        facts.machine.somaxconn = Some(128);
        facts.syn_cookies = Some(0);
        facts.has_aes = false;
        let expected = [
            "open files",
            "lockable memory",
            "net.core.somaxconn",
            "tcp_max_syn_backlog",
            "TLS",
        ];
        let hurts = hurting(&facts);
        assert!(hurts.ends_with(&expected.map(str::to_owned)), "{hurts:?}");
    }

    #[test]
    fn a_missing_feature_names_the_kernel_that_has_it() {
        let mut facts = good();
        facts.capabilities.kernel = KernelVersion(6, 1);
        if let Ok(features) = &mut facts.capabilities.ring {
            features.no_iowait = false;
        }
        let rows = engines(&facts);
        let row = rows
            .iter()
            .find(|row| row.subject.contains("no iowait"))
            .unwrap();
        assert_eq!(row.remedy.as_deref(), Some("use a kernel from 6.15 on"));
    }

    #[test]
    fn a_seccomp_filter_is_seen() {
        assert!(is_filtered("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"));
        assert!(!is_filtered("Seccomp:\t0\nSeccomp_filters:\t0\n"));
        assert!(!is_filtered(""));
    }
}
