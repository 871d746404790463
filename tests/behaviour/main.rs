//! Behaviour of the real binary on every engine, as raw bytes over real sockets.
//!
//! Each check is a function of an engine's name; the macro runs all of them for each engine. A
//! check starts servers of its own, has a bound on every wait, and depends on no other.

// A check that cannot go on fails; `unwrap` says where.
#![allow(clippy::unwrap_used)]

mod access;
mod client;
mod deploys;
mod ending;
mod files;
mod finding;
mod foreign;
mod freshness;
mod hostile;
mod http2;
mod http2_abuse;
mod http2_client;
mod http2_life;
mod leaks;
mod life;
mod representations;
mod requests;
mod rig;
mod sites;
mod swaps;
mod tls;
mod tls_client;
mod welcome;
mod writing;

macro_rules! behaviour {
    ($($room:ident { $($check:ident)* })*) => {
        behaviour! { @engine io_uring "io-uring" $($room { $($check)* })* }
        behaviour! { @engine epoll "epoll" $($room { $($check)* })* }
        #[cfg(feature = "tokio-uring")]
        behaviour! { @engine tokio_uring "tokio-uring" $($room { $($check)* })* }
    };
    (@engine $engine:ident $name:literal $($room:ident { $($check:ident)* })*) => {
        mod $engine {
            $(mod $room {
                $(#[test]
                fn $check() {
                    crate::$room::$check($name);
                })*
            })*
        }
    };
}

behaviour! {
    access {
        every_answer_says_who_may_read_it
        preflights_touch_nothing
        what_is_guarded_is_guarded_in_every_way
        another_server_decides
        lists_of_addresses_keep_out
        beyond_the_limit_is_429
        a_header_before_everything_says_who_comes
        errors_come_in_the_form_that_is_wanted
        every_request_has_one_line
        the_log_is_opened_again
        counters_count_what_was_asked
        health_ends_before_the_server
        too_many_slow_answers_are_refused
        what_is_sent_is_paced
    }
    requests {
        all_forms_of_targets
        host_stands_exactly_once
        connections_persist_by_version
        a_thousand_pipelined_requests_in_order
        pipelined_over_both_lanes
        head_is_get_without_content
        no_content_for_a_head_that_is_refused
        methods
        too_long_and_unknown
        ambiguous_heads_are_refused
        an_expectation_gets_the_final_answer
        content_that_nobody_wants_is_drained
        content_that_is_too_long_ends_the_connection
        a_head_may_come_in_any_pieces
        empty_lines_before_a_request
    }
    files {
        every_size_is_sent_byte_for_byte
        conditional_requests
        ranges
        directories_and_their_index
        nothing_outside_the_root
        hidden_and_special_files
        media_types
        what_may_not_be_read_is_403
        a_slow_reader_gets_every_byte_of_a_big_file
        cold_files_arrive_whole
        a_file_truncated_while_it_is_sent
    }
    freshness {
        every_change_is_seen_within_a_second
        the_first_answer_after_a_pause_is_new
        no_answer_mixes_two_states
    }
    sites {
        rules_by_flags
        rule_files_are_obeyed_and_followed
        several_ranges
        forms_are_made_while_answers_go_out
        hosts_have_sites_of_their_own
        long_listings_are_streamed
        maintenance_follows_its_file
    }
    finding {
        one_page_for_all_paths
        patterns_are_tried_in_order
        addresses_without_html
        mounts_hide_what_is_below
        errors_have_their_pages
        rules_change_in_time
        hosts_over_one_connection
        long_listings_are_framed
    }
    representations {
        sidecars_by_accept_encoding
        a_stale_sidecar_is_not_sent
        made_forms_are_the_file
        languages_by_accept_language
        media_types_by_accept
    }
    deploys {
        every_kind_of_change_is_seen_at_once
        a_deploy_is_seen_whole
        removed_assets_are_kept_for_a_while
        no_answer_is_mixed_or_old_while_files_change
        a_watched_file_costs_no_look_at_the_disk
    }
    swaps {
        each_change_is_seen_while_watched
        each_change_is_seen_without_watching
        the_first_answer_a_moment_after_a_change_is_new
        no_deploy_comes_back
        removed_assets_end_with_their_time
        no_state_is_mixed_or_old_under_writers
        the_disk_is_left_alone
    }
    life {
        a_head_has_one_deadline
        an_idle_connection_is_closed_silently
        slow_content_has_a_deadline
        a_reader_that_reads_a_little_survives
        a_reader_that_reads_nothing_is_cut
        a_half_closed_peer_gets_its_answers
        a_killed_client_harms_nobody
        surplus_connections_wait_or_get_503
        out_of_descriptors_sheds_and_recovers
        a_small_limit_of_descriptors_is_kept_to
        the_last_answer_is_read_before_the_end
    }
    ending {
        an_orderly_end_finishes_what_is_being_answered
        an_idle_server_ends_at_once
        the_grace_period_cuts
        a_second_signal_ends_at_once
        requests_during_the_end_are_the_last
        a_unix_socket_is_served
        an_inherited_socket_is_served
        several_addresses_and_workers_all_serve
    }
    leaks {
        a_hundred_thousand_connections_leave_nothing
        aborted_requests_leave_nothing
        an_idle_connection_costs_little
    }
    hostile {
        garbage_gets_answers_or_the_end
        slow_heads_do_not_hold_up_others
        pipelining_without_reading_is_bounded
        endless_requests_are_ended
    }
    http2 {
        answers_are_those_of_http1
        bad_requests_cost_their_stream
        a_hundred_streams_in_one_write
        bodies_pass_through_windows
        windows_are_kept_to
        the_urgent_go_first
        content_is_thrown_away
        broken_content_costs_its_stream
        an_upgrade_is_ignored
        a_preface_may_come_in_any_pieces
        streams_over_both_lanes
        cold_files_arrive_over_http2
    }
    http2_life {
        idle_streams_end_with_goaway
        slow_content_over_http2_has_a_deadline
        an_orderly_end_over_http2
        the_grace_period_cuts_streams
        who_opens_no_window_is_cut
        who_does_not_read_is_cut
        a_truncated_file_resets_its_stream
        a_reset_harms_nobody
        a_half_closed_client_gets_its_streams
        a_fault_is_told_before_the_end
    }
    http2_abuse {
        cve_2016_6581_hpack_bomb
        cve_2019_9511_data_dribble
        cve_2019_9512_ping_flood
        cve_2019_9513_priority_flood
        cve_2019_9514_reset_flood
        cve_2019_9515_settings_flood
        cve_2019_9516_empty_fields
        cve_2019_9517_buffered_answers
        cve_2019_9518_empty_frames
        cve_2023_44487_rapid_reset
        cve_2024_27316_continuation_flood
        cve_2025_8671_made_you_reset
        window_updates_are_bounded
        floods_without_reading_are_bounded
        many_cold_files_are_bounded
        silent_connections_cost_little
    }
    tls {
        every_body_over_both_versions_and_protocols
        pipelined_over_tls
        cold_files_over_tls
        a_truncated_file_over_tls
        the_end_is_told
        an_orderly_end_over_tls
        a_handshake_may_come_in_any_pieces
        broken_handshakes_leave_nothing
        a_handshake_has_a_deadline
        silent_peers_keep_nobody_out
        more_handshakes_than_at_a_time
        plain_http_is_told_its_mistake
        plain_requests_are_sent_on
        certificates_change_under_open_connections
        sessions_resume_across_workers
        who_reads_nothing_over_tls_is_cut
    }
    foreign {
        curl_gets_every_body
        curl_asks_for_all_sorts
        curl_in_parallel
        nghttp_gets_every_body
        h2load_loses_nothing
        openssl_shakes_hands
    }
    welcome {
        the_welcome_site_needs_no_directory
    }
    writing {
        what_is_written_is_seen_at_once_by_every_worker
        requests_that_write_may_be_pipelined
        who_waits_to_be_told_is_told_what_is_wrong_first
        content_that_is_too_long_is_refused
        slow_content_is_given_up
        content_that_breaks_off_leaves_nothing
        an_orderly_end_waits_for_content
    }
}
