//! Makes a ring with the best features that the kernel has, one step down at a time.

use std::io;

use io_uring::IoUring;

use crate::engine::settings::EngineSettings;

/// What the ring was made with, for the start line and the engine's choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingFeatures {
    /// Completions wait until we ask for them: no interruptions, the largest gain of all.
    pub defer_taskrun: bool,
    /// The kernel trusts that one thread submits.
    pub single_issuer: bool,
    /// No indirection array in the submission queue.
    pub no_sqarray: bool,
    /// A kernel thread polls the submission queue.
    pub sqpoll: bool,
    /// Sleeping is not accounted as waiting for a disk.
    pub no_iowait: bool,
}

impl RingFeatures {
    /// For the start line.
    pub fn names(&self) -> Vec<&'static str> {
        let all = [
            (self.defer_taskrun, "deferred task work"),
            (self.single_issuer, "single issuer"),
            (self.no_sqarray, "no index array"),
            (self.sqpoll, "submission polling"),
            (self.no_iowait, "no iowait"),
        ];
        all.into_iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| name)
            .collect()
    }
}

/// Completions that fit into the queue; an overflow would end multishot operations.
const COMPLETIONS_MIN: u32 = 4096;

/// Makes the ring on the thread that will use it.
pub fn build(settings: &EngineSettings) -> io::Result<(IoUring, RingFeatures)> {
    let sqpoll = settings.sqpoll.is_some();
    let best = RingFeatures {
        defer_taskrun: !sqpoll,
        single_issuer: true,
        no_sqarray: true,
        sqpoll,
        no_iowait: false,
    };
    let steps = [
        best,
        RingFeatures {
            no_sqarray: false,
            ..best
        },
        RingFeatures {
            no_sqarray: false,
            defer_taskrun: false,
            ..best
        },
        RingFeatures {
            no_sqarray: false,
            defer_taskrun: false,
            single_issuer: false,
            ..best
        },
    ];
    let mut refusal = io::Error::from(io::ErrorKind::Unsupported);
    for step in steps {
        match build_with(settings, step) {
            Ok(ring) => {
                let no_iowait = ring.params().is_feature_no_iowait();
                return Ok((ring, RingFeatures { no_iowait, ..step }));
            }
            // An older kernel does not know one of the flags.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refusal = error,
            Err(error) => return Err(error),
        }
    }
    Err(refusal)
}

fn build_with(settings: &EngineSettings, features: RingFeatures) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    let completions = COMPLETIONS_MIN.max(settings.ring_entries.saturating_mul(4));
    builder
        .setup_cqsize(completions)
        .setup_clamp()
        .setup_submit_all()
        .dontfork();
    if features.single_issuer {
        builder.setup_single_issuer();
    }
    if features.defer_taskrun {
        builder.setup_defer_taskrun();
    } else if !features.sqpoll {
        builder.setup_coop_taskrun();
    }
    if features.no_sqarray {
        builder.setup_no_sqarray();
    }
    if let Some(idle) = settings.sqpoll {
        builder.setup_sqpoll(u32::try_from(idle.as_millis()).unwrap_or(u32::MAX).max(1));
    }
    builder.build(settings.ring_entries)
}
