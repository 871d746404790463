//! How rough a simulated world is.

use std::time::Duration;

use super::Random;

/// Sizes, delays, and the probability of each fault each time it could happen.
#[derive(Clone, Debug)]
pub struct SimSettings {
    /// Longest ordinary delay of a packet or a completion, in microseconds.
    pub latency_max_us: u64,
    /// Receive buffers of the engine.
    pub receive_buffers: u16,
    /// Bytes of each of them.
    pub receive_buffer_bytes: usize,
    /// Bytes that the kernel takes from us before the peer has them.
    pub send_room_bytes: usize,
    /// Bytes that lie in the kernel until we receive them.
    pub receive_room_bytes: usize,
    /// Bytes that lie at the peer until it reads them.
    pub peer_room_bytes: usize,
    /// `Date` at the beginning of the simulation.
    pub unix_seconds: u64,
    /// The simulation ends with an error after so much virtual time.
    pub virtual_time_max: Duration,
    /// The simulation ends with an error after so many calls of `wait`.
    pub waits_max: u64,
    /// Events that are printed when a test fails: the last ones.
    pub trace_events: usize,

    /// A message is cut at any byte.
    pub short_receive: f64,
    /// A send leaves in several pieces although there is room.
    pub short_send: f64,
    /// Completions that the contract does not order change places.
    pub reorder: f64,
    /// No receive buffer is free although there is one.
    pub starved: f64,
    /// A multishot receive ends for reasons of its own.
    pub spontaneous_stop: f64,
    /// Accepting stops: no descriptor is left.
    pub accept_failure: f64,
    /// A client resets its connection at some point.
    pub peer_reset: f64,
    /// A client stops sending at some point, and goes on reading.
    pub peer_half_close: f64,
    /// A client falls silent for ever.
    pub peer_vanish: f64,
    /// `send_file` finds the socket full although it is not.
    pub would_block: f64,
    /// `send_file` takes less than it could.
    pub partial_file: f64,
    /// `Writable` comes although nothing has changed.
    pub spurious_writable: f64,
    /// A block of a file is not in memory when it is first touched.
    pub cold: f64,
    /// A slow-lane operation takes up to a second.
    pub slow_disk: f64,
    /// A read gives less than it could.
    pub short_read: f64,
    /// A slow-lane operation or `send_file` fails.
    pub io_error: f64,
    /// Cancelling takes long, so that the operation may still succeed.
    pub late_cancel: f64,
    /// `Woken` without a call of `wake`.
    pub spurious_wake: f64,
    /// A completion of a socket that was closed long ago.
    pub stale_completion: f64,
    /// `wait` returns with nothing (EINTR).
    pub interrupted: f64,
    /// The worker was not scheduled for up to 20 ms, so that many completions are there at once.
    pub stall: f64,
    /// Ticks come up to a half too early or too late.
    pub tick_jitter: f64,
}

impl SimSettings {
    /// A world without faults: short delays, ample room.
    pub fn calm() -> SimSettings {
        SimSettings {
            latency_max_us: 200,
            receive_buffers: 64,
            receive_buffer_bytes: 4096,
            send_room_bytes: 256 * 1024,
            receive_room_bytes: 64 * 1024,
            peer_room_bytes: 64 * 1024,
            unix_seconds: 2_000_000_000,
            virtual_time_max: Duration::from_secs(3600),
            waits_max: 2_000_000,
            trace_events: 200,
            short_receive: 0.0,
            short_send: 0.0,
            reorder: 0.0,
            starved: 0.0,
            spontaneous_stop: 0.0,
            accept_failure: 0.0,
            peer_reset: 0.0,
            peer_half_close: 0.0,
            peer_vanish: 0.0,
            would_block: 0.0,
            partial_file: 0.0,
            spurious_writable: 0.0,
            cold: 0.0,
            slow_disk: 0.0,
            short_read: 0.0,
            io_error: 0.0,
            late_cancel: 0.0,
            spurious_wake: 0.0,
            stale_completion: 0.0,
            interrupted: 0.0,
            stall: 0.0,
            tick_jitter: 0.0,
        }
    }

    /// A world that follows from `seed`. Each kind of fault is absent in half of the worlds, so
    /// that one kind cannot hide what another would show.
    pub fn random(seed: u64) -> SimSettings {
        let mut random = Random::new(seed ^ 0x5E77_1265);
        let random = &mut random;
        SimSettings {
            latency_max_us: 1 + random.any_size(14),
            receive_buffers: 1 + random.any_size(6) as u16,
            receive_buffer_bytes: 1 << random.between(4, 12),
            send_room_bytes: 1 << random.between(11, 18),
            receive_room_bytes: 1 << random.between(11, 16),
            peer_room_bytes: 1 << random.between(11, 16),
            short_receive: sometimes(random, 0.9),
            short_send: sometimes(random, 0.5),
            reorder: sometimes(random, 1.0),
            starved: sometimes(random, 0.2),
            spontaneous_stop: sometimes(random, 0.1),
            accept_failure: sometimes(random, 0.3),
            peer_reset: sometimes(random, 0.2),
            peer_half_close: sometimes(random, 0.2),
            peer_vanish: sometimes(random, 0.1),
            would_block: sometimes(random, 0.5),
            partial_file: sometimes(random, 0.5),
            spurious_writable: sometimes(random, 0.5),
            cold: sometimes(random, 0.7),
            slow_disk: sometimes(random, 0.3),
            short_read: sometimes(random, 0.5),
            io_error: sometimes(random, 0.03),
            late_cancel: sometimes(random, 0.5),
            spurious_wake: sometimes(random, 0.05),
            stale_completion: sometimes(random, 0.05),
            interrupted: sometimes(random, 0.05),
            stall: sometimes(random, 0.1),
            tick_jitter: sometimes(random, 0.5),
            ..SimSettings::calm()
        }
    }
}

fn sometimes(random: &mut Random, probability_max: f64) -> f64 {
    let share = random.below(1001) as f64 / 1000.0;
    if random.chance(0.5) {
        share * probability_max
    } else {
        0.0
    }
}
