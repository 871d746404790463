//! What is left of an answer on a stream, and the parts of files that were read for it.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::Millis;
use crate::base::limits::{COPY_BODY_BYTES_MAX, FILES_AHEAD_BYTES_MAX, H2_FRAME_BYTES_MAX};
use crate::engine::{Engine, Errno, FileRange, SendBatch, SocketId};
use crate::exchange::{BodyStream, Part, StreamState};
use crate::proto::h2::{ErrorCode, StreamId};
use crate::task::TaskId;

use super::Connections;
use super::blocks::{BlockRead, Blocks};

/// What is left of an answer's body.
pub(super) enum StreamBody {
    Bytes(Bytes),
    File(FileRange),
    /// The first of them is being sent.
    Parts(VecDeque<Part>),
    Stream(BodyStream),
}

/// Appends content. Small pieces are copied: cheaper than naming them to the kernel.
pub(super) fn push_piece(batch: &mut SendBatch, piece: Bytes) {
    if piece.len() <= COPY_BODY_BYTES_MAX {
        batch.push(&piece);
    } else {
        batch.push_shared(piece);
    }
}

/// Parts of files that were read and not sent yet, the latest last. Bounded over all streams, since
/// a client can stop each of them after one byte; what had to go is read again.
#[derive(Default)]
pub(super) struct ReadAhead(VecDeque<(StreamId, Bytes)>);

impl ReadAhead {
    pub(super) fn take(&mut self, stream: StreamId) -> Option<Bytes> {
        let position = self.0.iter().position(|(known, _)| *known == stream)?;
        self.0.remove(position).map(|(_, bytes)| bytes)
    }

    pub(super) fn keep(&mut self, stream: StreamId, bytes: Bytes) {
        self.0.push_back((stream, bytes));
        let mut held: usize = self.0.iter().map(|(_, bytes)| bytes.len()).sum();
        while held > FILES_AHEAD_BYTES_MAX && self.0.len() > 1 {
            held -= self.0.pop_front().map_or(0, |(_, bytes)| bytes.len());
        }
    }
}

/// One frame's worth of a body.
pub(super) enum Pulled {
    Piece {
        bytes: Bytes,
        end: bool,
    },
    /// The next slice is not in memory.
    Cold(FileRange),
    /// The next bytes were not made yet.
    Pending,
    Broken,
}

/// Where files are read from.
pub(super) struct Reader<'a, E: Engine> {
    pub(super) engine: &'a mut E,
    pub(super) blocks: &'a mut Blocks,
    pub(super) ahead: &'a mut ReadAhead,
    pub(super) now: Millis,
}

impl StreamBody {
    /// The next piece, of `max` bytes at most.
    pub(super) fn pull<E: Engine>(
        &mut self,
        stream: StreamId,
        max: usize,
        from: Reader<'_, E>,
    ) -> Pulled {
        match self {
            StreamBody::Bytes(bytes) => pull_bytes(bytes, max),
            StreamBody::File(rest) => pull_file(rest, stream, max, from),
            StreamBody::Parts(parts) => pull_parts(parts, stream, max, from),
            StreamBody::Stream(body) => pull_stream(body, max),
        }
    }

    /// The file that is being sent.
    pub(super) fn file(&self) -> Option<&FileRange> {
        match self {
            StreamBody::File(rest) => Some(rest),
            StreamBody::Parts(parts) => match parts.front()? {
                Part::File(rest) => Some(rest),
                Part::Bytes(_) => None,
            },
            StreamBody::Bytes(_) | StreamBody::Stream(_) => None,
        }
    }
}

fn pull_bytes(rest: &mut Bytes, max: usize) -> Pulled {
    let bytes = rest.split_to(max.min(rest.len()));
    let end = rest.is_empty();
    Pulled::Piece { bytes, end }
}

fn pull_parts<E: Engine>(
    parts: &mut VecDeque<Part>,
    stream: StreamId,
    max: usize,
    from: Reader<'_, E>,
) -> Pulled {
    let pulled = match parts.front_mut() {
        Some(Part::Bytes(rest)) => pull_bytes(rest, max),
        Some(Part::File(rest)) => pull_file(rest, stream, max, from),
        None => unreachable!("the last piece was the end"),
    };
    let Pulled::Piece { bytes, end: true } = pulled else {
        return pulled;
    };
    parts.pop_front();
    let end = parts.is_empty();
    Pulled::Piece { bytes, end }
}

fn pull_stream(body: &mut BodyStream, max: usize) -> Pulled {
    if let Some(bytes) = body.take(max) {
        let end = body.state() == StreamState::Ended;
        return Pulled::Piece { bytes, end };
    }
    match body.state() {
        StreamState::Ended => Pulled::Piece {
            bytes: Bytes::new(),
            end: true,
        },
        StreamState::Broken => Pulled::Broken,
        StreamState::Pending | StreamState::Ready(_) => Pulled::Pending,
    }
}

fn pull_file<E: Engine>(
    rest: &mut FileRange,
    stream: StreamId,
    max: usize,
    from: Reader<'_, E>,
) -> Pulled {
    let mut bytes = match from.ahead.take(stream) {
        Some(bytes) => bytes,
        None => {
            let mut next = rest.clone();
            if max < H2_FRAME_BYTES_MAX {
                // Behind so small a window nothing can follow soon.
                next.len = next.len.min(max as u64);
            }
            match from.blocks.read(from.engine, &next, from.now) {
                BlockRead::Piece(bytes) => bytes,
                BlockRead::Cold => {
                    let len = rest.slice_len();
                    return Pulled::Cold(FileRange { len, ..next });
                }
                BlockRead::Truncated | BlockRead::Failed(_) => return Pulled::Broken,
            }
        }
    };
    let piece = bytes.split_to(max.min(bytes.len()));
    rest.offset += piece.len() as u64;
    rest.len -= piece.len() as u64;
    if !bytes.is_empty() {
        from.ahead.keep(stream, bytes);
    }
    let end = rest.len == 0;
    Pulled::Piece { bytes: piece, end }
}

impl<E: Engine> Connections<E> {
    /// A task reads for this stream.
    pub(super) fn note_stream_task(&mut self, socket: SocketId, stream: StreamId, task: TaskId) {
        if let Some(streams) = self.streams_mut(socket) {
            streams.note_read(stream, task);
        }
    }

    /// A slice of a file came from the disk for this stream.
    pub(super) fn on_stream_slice(
        &mut self,
        socket: SocketId,
        stream: StreamId,
        slice: Vec<u8>,
        result: Result<usize, Errno>,
    ) {
        self.mark_dirty(socket);
        let Some(streams) = self.streams_mut(socket) else {
            return;
        };
        streams.tasks.retain(|task| task.stream != stream);
        let body = streams.core.body_mut(stream);
        let Some(rest) = body.and_then(|body| body.file()) else {
            return; // Reset meanwhile.
        };
        let read = result.unwrap_or(0);
        if read == 0 {
            self.with_output(socket, |streams, out| {
                streams.core.reset(stream, ErrorCode::INTERNAL_ERROR, out);
            });
        } else {
            let range = FileRange {
                len: read as u64,
                ..rest.clone()
            };
            streams.ahead.keep(stream, slice.into());
            streams.core.set_ready(stream);
            self.engine.note_read(&range);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many streams stop after a byte, what is held for them has a bound; the latest stays.
    #[test]
    fn what_was_read_ahead_is_bounded() {
        let mut ahead = ReadAhead::default();
        let piece = Bytes::from(vec![0; FILES_AHEAD_BYTES_MAX / 3]);
        for stream in 0..100 {
            ahead.keep(StreamId(2 * stream + 1), piece.clone());
            let held: usize = ahead.0.iter().map(|(_, bytes)| bytes.len()).sum();
            assert!(held <= FILES_AHEAD_BYTES_MAX);
        }
        assert!(ahead.take(StreamId(1)).is_none(), "it had to go");
        assert_eq!(ahead.take(StreamId(199)), Some(piece));
        assert!(ahead.take(StreamId(199)).is_none());
        // More than the bound at once is still of use to its own stream.
        ahead.keep(StreamId(201), vec![0; FILES_AHEAD_BYTES_MAX + 1].into());
        assert_eq!(ahead.0.len(), 1);
        assert!(ahead.take(StreamId(201)).is_some());
    }
}
