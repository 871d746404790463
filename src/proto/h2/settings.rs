//! SETTINGS of both sides (RFC 9113 §6.5, RFC 9218 §2.1).

use super::error::{ErrorCode, Failure};
use super::flow::{DEFAULT_WINDOW, WINDOW_MAX};
use super::frame::{SETTING_BYTES, write_settings, write_window_update};
use crate::base::limits::{
    H2_CONNECTION_WINDOW_BYTES, H2_FRAME_BYTES_MAX, H2_STREAM_WINDOW_BYTES, H2_STREAMS_DEFAULT,
    H2_TURN_BYTES_MAX, HEAD_BYTES_DEFAULT, HPACK_TABLE_BYTES_MAX,
};

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;
const NO_RFC7540_PRIORITIES: u16 = 0x9;

/// What an operator may choose.
#[derive(Clone, Copy, Debug)]
pub struct H2Settings {
    /// Streams that a client may have open at a time.
    pub max_concurrent_streams: u32,
    /// Content that may come on one stream before it is taken; at least 65,535, since a client may
    /// send as much before it hears from us (§6.9.2).
    pub initial_window: u32,
    /// Content that may come on all streams before it is taken; at least 65,535, which cannot be
    /// lowered (§6.9.2).
    pub connection_window: u32,
    /// Bytes of a field list as §6.5.2 counts them, and of a field block in several frames.
    pub header_list_bytes_max: u32,
}

impl Default for H2Settings {
    fn default() -> H2Settings {
        H2Settings {
            max_concurrent_streams: H2_STREAMS_DEFAULT,
            initial_window: H2_STREAM_WINDOW_BYTES,
            connection_window: H2_CONNECTION_WINDOW_BYTES,
            header_list_bytes_max: HEAD_BYTES_DEFAULT as u32,
        }
    }
}

impl H2Settings {
    /// Appends the server's connection preface (§3.4).
    pub(super) fn write_preface(&self, out: &mut Vec<u8>) {
        assert!(
            self.initial_window >= DEFAULT_WINDOW as u32
                && self.initial_window <= WINDOW_MAX as u32
        );
        assert!(
            self.connection_window >= DEFAULT_WINDOW as u32
                && self.connection_window <= WINDOW_MAX as u32
        );
        // The defaults of the others are what we want.
        const _: () = assert!(H2_FRAME_BYTES_MAX == 16_384 && HPACK_TABLE_BYTES_MAX == 4096);
        let settings = [
            (MAX_CONCURRENT_STREAMS, self.max_concurrent_streams),
            (INITIAL_WINDOW_SIZE, self.initial_window),
            (MAX_HEADER_LIST_SIZE, self.header_list_bytes_max),
            // RFC 9218 §2.1: the tree of priorities of RFC 7540 is not used here.
            (NO_RFC7540_PRIORITIES, 1),
        ];
        write_settings(out, &settings);
        let more = self.connection_window - DEFAULT_WINDOW as u32;
        if more > 0 {
            write_window_update(out, 0, more);
        }
    }
}

/// What the peer has told of itself, as far as a server needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerSettings {
    /// Where the send window of a new stream begins.
    pub(super) initial_window: i32,
    /// Payload of the largest frame that it gets: as it takes, up to the length of a turn.
    pub(super) frame_bytes_max: usize,
    header_table_bytes: u32,
    /// `None` until its first SETTINGS.
    has_no_rfc7540_priorities: Option<bool>,
}

/// What one SETTINGS frame changes beyond the values themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    /// The largest initial window that the frame names on its way to the last one.
    pub(super) initial_window_peak: i32,
    /// It has lowered its dynamic table: our next field block must say that we follow (§4.3.1).
    pub(super) lowers_header_table: bool,
}

impl PeerSettings {
    /// The initial values of §6.5.2.
    pub(super) fn new() -> PeerSettings {
        PeerSettings {
            initial_window: DEFAULT_WINDOW,
            frame_bytes_max: 16_384,
            header_table_bytes: 4096,
            has_no_rfc7540_priorities: None,
        }
    }

    /// Takes the values of one frame in order (§6.5.3); its size was checked.
    pub(super) fn apply(&mut self, payload: &[u8]) -> Result<Changed, Failure> {
        let mut changed = Changed {
            initial_window_peak: self.initial_window,
            lowers_header_table: false,
        };
        let mut no_priorities = false;
        for setting in payload.chunks_exact(SETTING_BYTES) {
            let [a, b, c, d, e, f] = *setting.first_chunk().expect("chunks are of this size");
            let value = u32::from_be_bytes([c, d, e, f]);
            match u16::from_be_bytes([a, b]) {
                HEADER_TABLE_SIZE => {
                    changed.lowers_header_table |= value < self.header_table_bytes;
                    self.header_table_bytes = value;
                }
                ENABLE_PUSH if value > 1 => {
                    return Err(Failure::protocol("SETTINGS_ENABLE_PUSH is neither 0 nor 1"));
                }
                INITIAL_WINDOW_SIZE => {
                    let window = i32::try_from(value).map_err(|_| {
                        Failure::new(
                            ErrorCode::FLOW_CONTROL_ERROR,
                            "SETTINGS_INITIAL_WINDOW_SIZE is above the largest window",
                        )
                    })?;
                    changed.initial_window_peak = changed.initial_window_peak.max(window);
                    self.initial_window = window;
                }
                MAX_FRAME_SIZE => {
                    if !(16_384..=(1 << 24) - 1).contains(&value) {
                        return Err(Failure::protocol("SETTINGS_MAX_FRAME_SIZE out of bounds"));
                    }
                    self.frame_bytes_max = H2_TURN_BYTES_MAX.min(value as usize);
                }
                NO_RFC7540_PRIORITIES => {
                    if value > 1 {
                        return Err(Failure::protocol(
                            "SETTINGS_NO_RFC7540_PRIORITIES is neither 0 nor 1",
                        ));
                    }
                    no_priorities = value == 1;
                    self.expect_same_priorities(no_priorities)?;
                }
                // Unknown ones are ignored, and those that concern a sender of requests (§6.5.2).
                _ => {}
            }
        }
        self.has_no_rfc7540_priorities.get_or_insert(no_priorities);
        Ok(changed)
    }

    /// RFC 9218 §2.1: the value must not change after the first SETTINGS.
    fn expect_same_priorities(&self, value: bool) -> Result<(), Failure> {
        match self.has_no_rfc7540_priorities {
            Some(before) if before != value => Err(Failure::protocol(
                "SETTINGS_NO_RFC7540_PRIORITIES has changed",
            )),
            _ => Ok(()),
        }
    }
}
