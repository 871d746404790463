//! A list of processors, as `--cpus` says it. Pure.

use std::str::FromStr;

use crate::base::cpu::CPUS_MAX;

/// Processors in the order in which workers are pinned to them; never empty, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(Vec<usize>);

impl CpuList {
    /// The processors.
    pub fn as_slice(&self) -> &[usize] {
        &self.0
    }
}

impl FromStr for CpuList {
    type Err = String;

    fn from_str(text: &str) -> Result<CpuList, String> {
        let mut cpus = Vec::new();
        for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!(
                    "the range {part} runs backwards; say {last}-{first}"
                ));
            }
            for cpu in first..=last {
                if !cpus.contains(&cpu) {
                    cpus.push(cpu);
                }
            }
        }
        if cpus.is_empty() {
            return Err(sentence());
        }
        Ok(CpuList(cpus))
    }
}

fn number(digits: &str) -> Result<usize, String> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(sentence());
    }
    digits
        .parse()
        .ok()
        .filter(|cpu| *cpu < CPUS_MAX)
        .ok_or_else(|| format!("processors are numbered below {CPUS_MAX}"))
}

fn sentence() -> String {
    "a list of processors reads as in 0, 0-3 or 0,2,4-7".to_owned()
}

/// Shows processors the short way: `0-3,6`.
pub fn show(cpus: &[usize]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for run in cpus.chunk_by(|before, after| before + 1 == *after) {
        match run {
            [] => {}
            [only] => parts.push(only.to_string()),
            [first, .., last] => parts.push(format!("{first}-{last}")),
        }
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<usize>, String> {
        text.parse::<CpuList>().map(|list| list.0)
    }

    #[test]
    fn numbers_and_ranges_in_any_order() {
        assert_eq!(read("0"), Ok(vec![0]));
        assert_eq!(read("0-3"), Ok(vec![0, 1, 2, 3]));
        assert_eq!(read("6,0-1"), Ok(vec![6, 0, 1]));
        assert_eq!(read("0,0-1,1"), Ok(vec![0, 1]), "each once");
        assert_eq!(read("0 2"), Ok(vec![0, 2]));
    }

    #[test]
    fn what_is_not_a_list_is_refused() {
        for text in ["", ",", "a", "0-", "-1", "0-1-2", "0x1", "0;1"] {
            assert!(read(text).unwrap_err().contains("0-3"), "{text}");
        }
        assert!(read("3-0").unwrap_err().contains("0-3"));
        assert!(read("0-99999999").unwrap_err().contains("below"));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(set in proptest::collection::btree_set(0usize..64, 1..20)) {
            let cpus: Vec<usize> = set.into_iter().collect();
            prop_assert_eq!(read(&show(&cpus)), Ok(cpus));
        }

        #[test]
        fn any_text_is_answered_without_a_panic(text in "[0-9, \\-]{0,30}") {
            let _ = read(&text);
        }
    }
}
