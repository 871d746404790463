//! What was counted, as one line of JSON.

use std::fmt;
use std::time::Duration;

use crate::exchange::Fault;

#[derive(Default)]
pub struct Report {
    full: u64,
    resumed: u64,
    /// Of all answers, head and body.
    bytes: u64,
    latencies_us: Vec<u32>,
    elapsed: Duration,
    connect_faults: u64,
    tls_faults: u64,
    answer_faults: u64,
}

impl Report {
    /// One exchange that went well.
    pub fn count(&mut self, is_resumed: bool, latency: Duration, answer_bytes: usize) {
        match is_resumed {
            true => self.resumed += 1,
            false => self.full += 1,
        }
        self.bytes += answer_bytes as u64;
        let latency_us = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        self.latencies_us.push(latency_us);
    }

    /// One that did not; the first of a slot says what it was.
    pub fn fault(&mut self, fault: Fault) {
        let (count, text) = match fault {
            Fault::Connect(text) => (&mut self.connect_faults, text),
            Fault::Tls(text) => (&mut self.tls_faults, text),
            Fault::Answer(text) => (&mut self.answer_faults, text),
        };
        *count += 1;
        eprintln!("{text}");
    }

    /// Whether nothing was wrong.
    pub fn is_clean(&self) -> bool {
        self.connect_faults + self.tls_faults + self.answer_faults == 0
    }

    /// The sum over all slots.
    pub fn of_all(reports: Vec<Report>, elapsed: Duration) -> Report {
        let mut all = Report {
            elapsed,
            ..Report::default()
        };
        for report in reports {
            all.full += report.full;
            all.resumed += report.resumed;
            all.bytes += report.bytes;
            all.latencies_us.extend(report.latencies_us);
            all.connect_faults += report.connect_faults;
            all.tls_faults += report.tls_faults;
            all.answer_faults += report.answer_faults;
        }
        all.latencies_us.sort_unstable();
        all
    }

    fn percentile_us(&self, share: f64) -> u32 {
        let index = (self.latencies_us.len() as f64 * share) as usize;
        let last = self.latencies_us.len().saturating_sub(1);
        self.latencies_us
            .get(index.min(last))
            .copied()
            .unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{{\"requests\": {}, \"full\": {}, \"resumed\": {}, \"bytes\": {}, \
             \"duration_us\": {}, \"p50_us\": {}, \"p99_us\": {}, \"p999_us\": {}, \
             \"errors\": {{\"connect\": {}, \"tls\": {}, \"answer\": {}}}}}",
            self.full + self.resumed,
            self.full,
            self.resumed,
            self.bytes,
            self.elapsed.as_micros(),
            self.percentile_us(0.5),
            self.percentile_us(0.99),
            self.percentile_us(0.999),
            self.connect_faults,
            self.tls_faults,
            self.answer_faults,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_added_up_and_percentiles_taken() {
        let mut one = Report::default();
        for us in 1..=99 {
            one.count(us > 1, Duration::from_micros(us), 10);
        }
        let mut other = Report::default();
        other.count(true, Duration::from_micros(100), 10);
        other.fault(Fault::Tls("cut off".to_owned()));
        let all = Report::of_all(vec![one, other], Duration::from_millis(2));
        assert_eq!(
            all.to_string(),
            "{\"requests\": 100, \"full\": 1, \"resumed\": 99, \"bytes\": 1000, \
             \"duration_us\": 2000, \"p50_us\": 51, \"p99_us\": 100, \"p999_us\": 100, \
             \"errors\": {\"connect\": 0, \"tls\": 1, \"answer\": 0}}"
        );
    }
}
