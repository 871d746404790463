//! The sum of all counters, in the text format of Prometheus (version 0.0.4).

use std::fmt::Write;

use super::counters::{DURATION_BOUNDS, Refusal, Totals};
use super::entry::{CacheState, METHODS, VERSIONS, method_name, version_name};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is told of the process besides its counters.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    pub version: &'a str,
    pub engine: &'a str,
    pub workers: usize,
    /// When it started: milliseconds since 1970-01-01 UTC.
    pub started_unix_ms: u64,
}

/// The whole text.
pub fn render(totals: &Totals, about: &About<'_>) -> String {
    let mut page = Page::default();
    push_about(&mut page, about);
    push_requests(&mut page, totals);
    push_durations(&mut page, totals);
    push_connections(&mut page, totals);
    push_troubles(&mut page, totals);
    page.text
}

fn push_about(page: &mut Page, about: &About<'_>) {
    page.family("downpour_build_info", "gauge", "What runs; always 1.");
    page.sample(
        "downpour_build_info",
        &[("version", about.version), ("engine", about.engine)],
        1,
    );
    page.family(
        "downpour_start_time_seconds",
        "gauge",
        "When the server started, in seconds since 1970-01-01 UTC.",
    );
    let started = Seconds(about.started_unix_ms, 1000);
    page.sample("downpour_start_time_seconds", &[], started);
    page.family("downpour_workers", "gauge", "Worker threads.");
    page.sample("downpour_workers", &[], about.workers);
}

fn push_requests(page: &mut Page, totals: &Totals) {
    let name = "downpour_requests_total";
    page.family(name, "counter", "Requests by method.");
    for method in METHODS {
        let label = method_name(method).unwrap_or("other");
        page.sample(name, &[("method", label)], totals.requests_of(method));
    }

    let name = "downpour_responses_total";
    let help = "Requests by the class of their status; none where no answer has begun.";
    page.family(name, "counter", help);
    let classes = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
    for (class, count) in classes.into_iter().zip(totals.responses()) {
        page.sample(name, &[("status", class)], count);
    }

    let name = "downpour_protocol_requests_total";
    page.family(name, "counter", "Requests by protocol.");
    for version in VERSIONS {
        let label = version_name(version);
        page.sample(name, &[("protocol", label)], totals.requests_over(version));
    }

    let name = "downpour_cache_requests_total";
    page.family(name, "counter", "Requests by what the cache did for them.");
    for state in CacheState::ALL {
        let count = totals.requests_from(state);
        page.sample(name, &[("state", state.name())], count);
    }

    let name = "downpour_sent_bytes_total";
    page.family(name, "counter", "Bytes of content that were sent.");
    page.sample(name, &[], totals.sent_bytes());
}

/// A histogram: each bucket holds the ones before it, and the last holds all.
fn push_durations(page: &mut Page, totals: &Totals) {
    let name = "downpour_request_duration_seconds";
    let help = "Seconds from the end of a request's head to the end of its answer.";
    page.family(name, "histogram", help);
    let bucket = "downpour_request_duration_seconds_bucket";
    let mut below = 0;
    for (bound, count) in DURATION_BOUNDS.iter().zip(totals.durations()) {
        below += count;
        let bound = Seconds(u64::from(*bound), 1_000_000).to_string();
        page.sample(bucket, &[("le", &bound)], below);
    }
    let all = totals.requests();
    page.sample(bucket, &[("le", "+Inf")], all);
    let sum = Seconds(totals.duration_micros(), 1_000_000);
    page.sample("downpour_request_duration_seconds_sum", &[], sum);
    page.sample("downpour_request_duration_seconds_count", &[], all);
}

fn push_connections(page: &mut Page, totals: &Totals) {
    let name = "downpour_connections_accepted_total";
    page.family(name, "counter", "Connections that were accepted.");
    page.sample(name, &[], totals.accepted());
    let name = "downpour_connections_open";
    page.family(name, "gauge", "Connections that are open.");
    page.sample(name, &[], totals.open());
}

fn push_troubles(page: &mut Page, totals: &Totals) {
    let name = "downpour_refused_total";
    let help = "Requests and connections that a limit has refused.";
    page.family(name, "counter", help);
    for refusal in Refusal::ALL {
        let count = totals.refused(refusal);
        page.sample(name, &[("limit", refusal.name())], count);
    }
    let single: [(&str, &str, u64); 4] = [
        (
            "downpour_auth_failures_total",
            "Credentials that were wrong.",
            totals.auth_failures(),
        ),
        (
            "downpour_panics_total",
            "Panics, each of which has cost one request.",
            totals.panics(),
        ),
        (
            "downpour_access_log_lines_total",
            "Lines of the access log that were written.",
            totals.log_lines(),
        ),
        (
            "downpour_access_log_dropped_lines_total",
            "Lines of the access log that were lost, because it could not be written fast enough.",
            totals.log_lines_dropped(),
        ),
    ];
    for (name, help, count) in single {
        page.family(name, "counter", help);
        page.sample(name, &[], count);
    }
}

/// A count of parts of a second: what it counts, and how many make a second.
struct Seconds(u64, u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Counted in whole parts, so that nothing is lost as long as a float would.
        let Seconds(parts, per_second) = *self;
        write!(out, "{}", parts / per_second)?;
        let mut rest = parts % per_second;
        if rest > 0 {
            out.write_char('.')?;
        }
        while rest > 0 {
            rest *= 10;
            write!(out, "{}", rest / per_second)?;
            rest %= per_second;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.write(format_args!("{label}=\""));
            for letter in text.chars() {
                match letter {
                    '"' => self.text.push_str("\\\""),
                    '\\' => self.text.push_str("\\\\"),
                    '\n' => self.text.push_str("\\n"),
                    _ => self.text.push(letter),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.write(format_args!(" {value}\n"));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a String takes any text");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::fuzz::sample;
    use crate::record::{AllCounters, Answered};
    use std::collections::{BTreeMap, HashSet};

    const ABOUT: About<'_> = About {
        version: "1.2.3",
        engine: "io_uring",
        workers: 2,
        started_unix_ms: 1_800_000_000_250,
    };

    /// The samples of a text by their names with labels; asserts the format on the way.
    fn parse(text: &str) -> BTreeMap<String, f64> {
        assert!(text.ends_with('\n'));
        let mut samples = BTreeMap::new();
        let mut families = HashSet::new();
        let mut family = ("", "");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(
                    name.starts_with("downpour_") && help.ends_with('.'),
                    "{line}"
                );
                let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap();
                let (again, kind) = kind.split_once(' ').unwrap();
                assert!(name == again && families.insert(name), "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                family = (name, kind);
                continue;
            }
            let (name, value) = line.rsplit_once(' ').unwrap();
            let bare = name.split('{').next().unwrap();
            let suffix = bare.strip_prefix(family.0).unwrap();
            let allowed: &[&str] = match family.1 {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(allowed.contains(&suffix), "{line}");
            assert!(!name.contains('{') || name.ends_with("\"}"), "{line}");
            let before = samples.insert(name.to_owned(), value.parse().unwrap());
            assert!(before.is_none(), "{line}");
        }
        samples
    }

    fn sum(samples: &BTreeMap<String, f64>, family: &str) -> f64 {
        let of_it = |(name, _): &(&String, &f64)| name.split('{').next() == Some(family);
        samples.iter().filter(of_it).map(|(_, value)| value).sum()
    }

    #[test]
    fn every_family_counts_every_request() {
        let mut all = AllCounters::default();
        let workers = [all.add(), all.add()];
        for number in 0..1000_u32 {
            workers[number as usize % 2].on_request(&Answered {
                micros: 1 << (number % 30),
                status: (number % 700) as u16,
                ..sample().answered()
            });
        }
        let samples = parse(&render(&all.sum(), &ABOUT));
        for family in [
            "downpour_requests_total",
            "downpour_responses_total",
            "downpour_protocol_requests_total",
            "downpour_cache_requests_total",
            "downpour_request_duration_seconds_count",
        ] {
            assert_eq!(sum(&samples, family), 1000.0, "{family}");
        }
        assert_eq!(samples["downpour_requests_total{method=\"GET\"}"], 1000.0);
        assert_eq!(samples["downpour_sent_bytes_total"], 1_234_000.0);
    }

    #[test]
    fn buckets_hold_the_ones_before_them() {
        let mut all = AllCounters::default();
        let counters = all.add();
        for micros in [1, 100, 101, 600, 5_000_000, 11_000_000] {
            counters.on_request(&Answered {
                micros,
                ..sample().answered()
            });
        }
        let text = render(&all.sum(), &ABOUT);
        let samples = parse(&text);
        let mut before = (0.0, 0.0);
        let mut buckets = 0;
        for line in text.lines().filter(|line| line.contains("_bucket{")) {
            let (name, count) = line.rsplit_once(' ').unwrap();
            let (_, bound) = name.split_once("le=\"").unwrap();
            let bound = bound.trim_end_matches("\"}").parse::<f64>().unwrap();
            let count = count.parse::<f64>().unwrap();
            assert!(bound > before.0 && count >= before.1, "{line}");
            before = (bound, count);
            buckets += 1;
        }
        assert_eq!(buckets, DURATION_BOUNDS.len() + 1);
        assert_eq!(before, (f64::INFINITY, 6.0));
        let bucket = |bound| {
            let name = format!("downpour_request_duration_seconds_bucket{{le=\"{bound}\"}}");
            samples[&name]
        };
        assert_eq!([bucket("0.0001"), bucket("0.00025")], [2.0, 3.0]);
        assert_eq!([bucket("5"), bucket("10")], [5.0, 5.0]);
        let total = samples["downpour_request_duration_seconds_sum"];
        assert_eq!(total, 16.000802);
    }

    #[test]
    fn the_process_and_its_troubles_are_told() {
        let mut all = AllCounters::default();
        let counters = all.add();
        counters.on_accepted();
        counters.on_refused(Refusal::Overload);
        counters.on_panic();
        counters.on_log_lines_dropped(7);
        let samples = parse(&render(&all.sum(), &ABOUT));
        let build = "downpour_build_info{version=\"1.2.3\",engine=\"io_uring\"}";
        assert_eq!(samples[build], 1.0);
        assert_eq!(samples["downpour_start_time_seconds"], 1_800_000_000.25);
        assert_eq!(samples["downpour_workers"], 2.0);
        assert_eq!(samples["downpour_connections_open"], 1.0);
        assert_eq!(samples["downpour_refused_total{limit=\"overload\"}"], 1.0);
        assert_eq!(samples["downpour_panics_total"], 1.0);
        assert_eq!(samples["downpour_access_log_dropped_lines_total"], 7.0);
    }

    #[test]
    fn a_label_cannot_end_itself() {
        let mut page = Page::default();
        page.sample("x", &[("a", "q\"b\\s\nn"), ("b", "")], 1);
        assert_eq!(page.text, "x{a=\"q\\\"b\\\\s\\nn\",b=\"\"} 1\n");
    }

    #[test]
    fn parts_of_a_second_are_exact() {
        let shown = [0, 1, 100, 2_500_000, 10_000_000].map(|us| Seconds(us, 1_000_000).to_string());
        assert_eq!(shown, ["0", "0.000001", "0.0001", "2.5", "10"]);
    }
}
