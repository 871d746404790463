//! What the configuration has to know about this machine.

use std::num::NonZeroUsize;
use std::str::FromStr;

use super::descriptors;
use crate::base::cpu;
use crate::config::Machine;

/// Looks at the machine; changes nothing.
pub fn read() -> Machine {
    // It respects control groups, both versions, besides the affinity mask.
    let cpus_paid = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Machine {
        cpus: cpu::allowed().unwrap_or_else(|_| (0..cpus_paid.get()).collect()),
        cpus_paid,
        descriptors_max: descriptors::limits().0,
        somaxconn: sysctl("net/core/somaxconn"),
    }
}

/// The number in a file below `/proc/sys`; `None` where there is none to read.
pub fn sysctl<T: FromStr>(name: &str) -> Option<T> {
    let text = std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_processor_and_room_for_files() {
        let machine = read();
        assert!(!machine.cpus.is_empty());
        assert!(machine.cpus_paid.get() <= machine.cpus.len());
        assert!(machine.descriptors_max > 3);
        assert_eq!(sysctl::<u32>("no/such/name"), None);
    }
}
