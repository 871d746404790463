//! The contract of `downpour::engine::Engine`, checked on every engine alike.
//!
//! Each check is a generic function over a `Rig`: one engine, a watchdog and what it completed so
//! far. The macro here runs all of them for each engine.

// A check that cannot go on fails; `unwrap` says where.
#![allow(clippy::unwrap_used)]

mod accepting;
mod ending;
mod files;
mod receiving;
mod rig;
mod sending;
mod waking;

use std::io;

use downpour::engine::EngineSettings;
use downpour::engine::uring::{self, UringEngine};

/// A ring outlives its engine; in a test it lives as long as the process.
fn leaked_uring(settings: &EngineSettings) -> io::Result<UringEngine<'static>> {
    let (ring, features) = uring::build(settings)?;
    UringEngine::new(Box::leak(Box::new(ring)), features, settings)
}

macro_rules! checks {
    ($make:path; $($room:ident { $($check:ident)* })*) => {
        $($(
            #[test]
            fn $check() {
                crate::$room::$check(crate::rig::Rig::new($make));
            }
        )*)*

        /// In a process of its own, because it takes all descriptors.
        #[test]
        fn out_of_descriptors() {
            let test = module_path!().split_once("::").expect("a module of this file").1;
            crate::rig::in_a_child(&format!("{test}::out_of_descriptors"), || {
                crate::accepting::out_of_descriptors(crate::rig::Rig::new($make));
            });
        }
    };
}

macro_rules! contract {
    ($(#[$attribute:meta])* $engine:ident, $make:path) => {
        $(#[$attribute])*
        mod $engine {
            checks! {
                $make;
                accepting {
                    accepts_and_echoes_over_tcp
                    accepts_and_echoes_over_unix
                    accepts_many_from_several_listeners
                    stops_accepting_and_starts_again
                    accepts_a_peer_that_has_left_already
                }
                receiving {
                    tells_eof_and_goes_on_sending
                    hears_an_end_that_comes_later
                    hears_an_end_right_behind_bytes
                    half_closes_and_goes_on_receiving
                    starves_without_losing_a_byte
                    one_that_holds_all_buffers_starves_another_for_a_while_only
                    stops_receiving_and_loses_nothing
                    bytes_can_be_changed_in_place
                }
                sending {
                    sends_all_of_a_large_batch_to_a_slow_reader_over_tcp
                    sends_all_of_a_large_batch_to_a_slow_reader_over_unix
                    sends_and_receives_at_the_same_time
                    an_empty_batch_is_sent_at_once
                    flush_sends_without_collecting
                    a_busy_sender_does_not_hold_up_others
                    a_reset_ends_send_and_receive
                    a_send_to_a_closed_peer_fails_and_kills_nobody
                }
                ending {
                    cancel_ends_whatever_is_in_flight
                    cancel_ends_a_poll
                    closing_after_a_stopped_receive_reaches_the_peer
                    closing_ends_an_armed_receive
                    stale_ids_name_nothing
                    slots_are_used_again_under_churn
                    an_engine_ends_with_everything_in_flight
                }
                waking {
                    a_waker_ends_a_sleep_from_any_thread
                    ticks_while_ticking_is_on
                    polling_does_not_sleep_and_the_clock_is_right
                }
                files {
                    finds_inside_the_root_and_nothing_outside
                    a_fifo_is_found_and_never_opened
                    reads_at_any_offset
                    many_operations_end_once_each
                    sends_a_file_byte_for_byte
                    sends_a_file_while_receiving_over_unix
                    a_shrunken_file_is_truncated
                    a_cold_file_is_not_waited_for
                }
            }
        }
    };
}

contract!(epoll, downpour::engine::epoll::EpollEngine::new);
contract!(
    #[cfg(feature = "tokio-uring")]
    tokio_uring,
    downpour::engine::tokio_uring::TokioUringEngine::new
);
contract!(io_uring, super::leaked_uring);
