//! The limit of open files (`RLIMIT_NOFILE`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Stands for "no limit"; the kernel itself ends at `fs.nr_open`, a billion at most.
const UNLIMITED: u64 = 1 << 30;

/// Raises the soft limit to the hard one and returns the limit that holds now.
///
/// The soft limit is low (1024) for the sake of programs that use `select(2)`; we do not.
pub fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current == limit.maximum || setrlimit(Resource::Nofile, raised).is_err() {
        return limit.current.unwrap_or(UNLIMITED);
    }
    limit.maximum.unwrap_or(UNLIMITED)
}

/// The soft and the hard limit, as they are.
pub fn limits() -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    let number = |limit: Option<u64>| limit.unwrap_or(UNLIMITED);
    (number(limit.current), number(limit.maximum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_rises_to_the_hard_one() {
        let raised = raise();
        assert_eq!(limits(), (raised, raised));
        assert_eq!(raise(), raised, "a second call changes nothing");
    }
}
