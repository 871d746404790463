//! Which engine: as an operator asks for it, and as it was decided.

use std::fmt;
use std::str::FromStr;

/// The engines that a worker can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// The main one.
    IoUring,
    /// Where io_uring is blocked.
    Epoll,
    /// The baseline that the main one is compared with.
    TokioUring,
}

impl EngineKind {
    /// The name as `--engine` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            EngineKind::IoUring => "io-uring",
            EngineKind::Epoll => "epoll",
            EngineKind::TokioUring => "tokio-uring",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// The value of `--engine`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The best that this kernel gives.
    #[default]
    Auto,
    /// This one or none.
    Only(EngineKind),
}

impl FromStr for EngineChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<EngineChoice, String> {
        match text {
            "auto" => Ok(EngineChoice::Auto),
            "io-uring" | "io_uring" => Ok(EngineChoice::Only(EngineKind::IoUring)),
            "epoll" => Ok(EngineChoice::Only(EngineKind::Epoll)),
            "tokio-uring" | "tokio_uring" => Ok(EngineChoice::Only(EngineKind::TokioUring)),
            _ => Err("the engines are auto, io-uring, epoll and tokio-uring".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_from_its_name() {
        for kind in [
            EngineKind::IoUring,
            EngineKind::Epoll,
            EngineKind::TokioUring,
        ] {
            assert_eq!(kind.name().parse(), Ok(EngineChoice::Only(kind)));
        }
        assert_eq!("auto".parse(), Ok(EngineChoice::Auto));
        assert!(
            "uring"
                .parse::<EngineChoice>()
                .unwrap_err()
                .contains("tokio-uring")
        );
    }
}
