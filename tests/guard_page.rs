//! Parser inputs that end where a forbidden page begins: reading one byte too far kills the test.
//!
//! SIMD parsers read whole registers; that they stop at the end of the input is shown here and not
//! assumed.

#![allow(unsafe_code)] // mmap and mprotect; see `GuardedBuffer`

use std::ptr::NonNull;

use downpour::http::fuzz::{
    fuzz_accept, fuzz_accept_encoding, fuzz_accept_language, fuzz_path, fuzz_range,
};
use downpour::http::{Authority, date, validator};
use downpour::proto::h1::{BodyReader, Framing, HeadLimits, HeadStorage, ParsedHead, parse_head};

/// Memory of whole pages, followed by a page that must not be touched.
struct GuardedBuffer {
    start: NonNull<u8>,
    len: usize,
    page: usize,
}

impl GuardedBuffer {
    fn new(pages: usize) -> GuardedBuffer {
        // SAFETY: sysconf has no preconditions.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).expect("the kernel knows its page size");
        let len = pages * page;
        // SAFETY: a new anonymous mapping touches no memory of ours.
        let mapping = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len + page,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(mapping, libc::MAP_FAILED);
        let start = NonNull::new(mapping.cast::<u8>()).expect("mmap never maps page zero here");
        // SAFETY: the last page lies within the mapping made above, and nobody refers to it.
        let result =
            unsafe { libc::mprotect(start.add(len).as_ptr().cast(), page, libc::PROT_NONE) };
        assert_eq!(result, 0);
        GuardedBuffer { start, len, page }
    }

    /// A copy of `input` whose last byte lies right before the forbidden page.
    fn place(&mut self, input: &[u8]) -> &[u8] {
        assert!(input.len() <= self.len);
        // SAFETY: the first `len` bytes of the mapping are readable, writable and initialised (to
        // zero) for as long as `self` lives, and `&mut self` makes this the only reference.
        let buffer = unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) };
        let placed = &mut buffer[self.len - input.len()..];
        placed.copy_from_slice(input);
        placed
    }
}

impl Drop for GuardedBuffer {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `new`, and no reference outlives `self`.
        let result = unsafe { libc::munmap(self.start.as_ptr().cast(), self.len + self.page) };
        assert_eq!(result, 0);
    }
}

const HEAD: &[u8] =
    b"GET /a/b/c/d/e/f/g/h/i/j/k/l/m/n/index.html?query=0123456789abcdef HTTP/1.1\r\n\
    Host: www.a-rather-long-name.example.org:8080\r\nConnection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nX:\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn every_prefix_of_a_head_stays_inside() {
    let mut memory = GuardedBuffer::new(1);
    let limits = HeadLimits {
        head_bytes_max: 4096,
    };
    for len in 0..=HEAD.len() {
        let input = memory.place(&HEAD[..len]);
        match parse_head(input, &mut HeadStorage::new(), &limits) {
            ParsedHead::Complete(head) => assert_eq!((len, head.len), (HEAD.len(), len)),
            ParsedHead::Partial => assert!(len < HEAD.len()),
            ParsedHead::Invalid(fault) => panic!("{len}: {fault:?}"),
        }
    }
}

#[test]
fn every_prefix_with_a_bad_last_byte_stays_inside() {
    let mut memory = GuardedBuffer::new(1);
    let limits = HeadLimits {
        head_bytes_max: 4096,
    };
    for bad in *b"\0\r\n \x7f\xff" {
        for len in 0..HEAD.len() {
            let mut prefix = HEAD[..len].to_vec();
            prefix.push(bad);
            let input = memory.place(&prefix);
            if let ParsedHead::Complete(head) = parse_head(input, &mut HeadStorage::new(), &limits)
            {
                // Only the head's own last byte can complete it.
                assert_eq!((bad, head.len), (b'\n', HEAD.len()));
            }
        }
    }
}

#[test]
fn every_prefix_of_a_body_stays_inside() {
    let mut memory = GuardedBuffer::new(1);
    let body = b"5;name=value\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n";
    for len in 0..=body.len() {
        let mut reader = BodyReader::new(Framing::Chunked).unwrap();
        let mut rest = memory.place(&body[..len]);
        let mut ended = false;
        while !rest.is_empty() {
            let step = reader.handle_input(rest).unwrap();
            rest = &rest[step.consumed..];
            ended = step.ended;
        }
        assert_eq!(ended, len == body.len());
    }
}

#[test]
fn every_prefix_of_a_value_stays_inside() {
    let mut memory = GuardedBuffer::new(1);
    let values: [&[u8]; 9] = [
        b"/a/%2e%2e/b/%41%20c/./d/",
        b"\x0b\0\0\0\0\0\0\0bytes=0-4, -5, 7-",
        b"www.example.org:8080",
        b"[2001:db8::1]:443",
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"\"abc\", W/\"def\", \"\"",
        b"\x0fgzip, x-gzip;q=0.5, br, zstd;q=0.001, *;q=0",
        b"\x01en-GB, zh-Hant-CN-x-private;q=0.5, *;q=0.1",
        b"text/html;a=\"b\\\"c\";q=0.9, */*;q=0.8",
    ];
    for value in values {
        for len in 0..=value.len() {
            let input = memory.place(&value[..len]);
            fuzz_path(input);
            fuzz_range(input);
            fuzz_accept(input);
            fuzz_accept_encoding(input);
            fuzz_accept_language(input);
            Authority::parse(input);
            date::parse(input);
            validator::tags(input).count();
        }
    }
}

#[test]
fn the_guard_bites() {
    // In a child, since it is to die: the last byte is readable, the next one is not.
    let memory = GuardedBuffer::new(1);
    // SAFETY: the child calls only async-signal-safe functions before it ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: the mapping is readable up to its last byte; the read behind it is meant to fault
        // at a page that is mapped and forbidden, which ends the child by SIGSEGV.
        unsafe {
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
            std::ptr::read_volatile(memory.start.as_ptr().add(memory.len - 1));
            std::ptr::read_volatile(memory.start.as_ptr().add(memory.len));
            libc::_exit(0);
        }
    }
    assert!(child > 0);
    let mut status = 0;
    // SAFETY: `child` is our own child and `status` a place for its end.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV);
}
