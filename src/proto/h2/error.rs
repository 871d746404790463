//! Error codes, and what ends a connection (RFC 9113 §5.4, §7).

/// An error code of RST_STREAM and GOAWAY. A peer may send any number; unknown ones have no special
/// meaning (§7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    pub const NO_ERROR: ErrorCode = ErrorCode(0x0);
    pub const PROTOCOL_ERROR: ErrorCode = ErrorCode(0x1);
    pub const INTERNAL_ERROR: ErrorCode = ErrorCode(0x2);
    pub const FLOW_CONTROL_ERROR: ErrorCode = ErrorCode(0x3);
    pub const SETTINGS_TIMEOUT: ErrorCode = ErrorCode(0x4);
    pub const STREAM_CLOSED: ErrorCode = ErrorCode(0x5);
    pub const FRAME_SIZE_ERROR: ErrorCode = ErrorCode(0x6);
    pub const REFUSED_STREAM: ErrorCode = ErrorCode(0x7);
    pub const CANCEL: ErrorCode = ErrorCode(0x8);
    pub const COMPRESSION_ERROR: ErrorCode = ErrorCode(0x9);
    pub const CONNECT_ERROR: ErrorCode = ErrorCode(0xa);
    pub const ENHANCE_YOUR_CALM: ErrorCode = ErrorCode(0xb);
    pub const INADEQUATE_SECURITY: ErrorCode = ErrorCode(0xc);
    pub const HTTP_1_1_REQUIRED: ErrorCode = ErrorCode(0xd);
}

/// A connection error (§5.4.1): what GOAWAY says, and a sentence for the person who debugs the
/// client, which goes along as its debug data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: ErrorCode,
    pub reason: &'static str,
}

impl Failure {
    pub(super) const fn new(code: ErrorCode, reason: &'static str) -> Failure {
        Failure { code, reason }
    }

    pub(super) const fn protocol(reason: &'static str) -> Failure {
        Failure::new(ErrorCode::PROTOCOL_ERROR, reason)
    }

    pub(super) const fn frame_size(reason: &'static str) -> Failure {
        Failure::new(ErrorCode::FRAME_SIZE_ERROR, reason)
    }

    pub(super) const fn flow_control(reason: &'static str) -> Failure {
        Failure::new(ErrorCode::FLOW_CONTROL_ERROR, reason)
    }

    pub(super) const fn calm(reason: &'static str) -> Failure {
        Failure::new(ErrorCode::ENHANCE_YOUR_CALM, reason)
    }
}
