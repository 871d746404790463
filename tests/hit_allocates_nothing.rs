//! The fast lane of files allocates nothing: a counting allocator proves it.

#![allow(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use downpour::base::{Millis, Now};
use downpour::cache::{Store, StoreSettings};
use downpour::handler::files::{Files, Loaded, Served, Site};
use downpour::http::{
    Field, Fields, Method, OwnedRequestHead, RequestHead, Status, TargetForm, Version,
};
use downpour::task::Io;

struct Counting;

thread_local! {
    /// Of this thread alone: the test harness allocates on others.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator with the arguments as they came; counting
// touches a thread-local without a destructor, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: Now = Now {
    monotonic: Millis(1_000_000),
    unix_seconds: 1_800_000_000,
};

fn head<'a>(method: Method, path: &'a [u8], fields: &'a [Field<'a>]) -> RequestHead<'a> {
    RequestHead {
        method,
        version: Version::Http11,
        form: TargetForm::Origin,
        path,
        query: Some(b"v=1"),
        authority: Some(b"a.example"),
        fields: Fields::new(fields),
    }
}

#[test]
fn hits_allocate_nothing() {
    let store = Store::new(StoreSettings {
        bytes_max: 1 << 20,
        entry_bytes_max: 1 << 16,
        descriptors_max: 8,
    });
    let site = Site::welcome("test");
    let mut files = Files::new(Arc::new(site), Arc::new(store));
    let everything = [Field {
        name: "If-None-Match",
        value: b"*",
    }];
    let rows = [
        (head(Method::Get, b"/", &[]), Status::OK),
        (head(Method::Head, b"/", &[]), Status::OK),
        (
            head(Method::Get, b"/hello.txt", &everything),
            Status::NOT_MODIFIED,
        ),
        (head(Method::Get, b"/missing", &[]), Status::NOT_FOUND),
    ];
    for (head, _) in &rows {
        let mut load = pin!(files.load(OwnedRequestHead::new(head), Io::default(), NOW));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Loaded { remember, .. }) = load.as_mut().poll(&mut context) else {
            panic!("the welcome site has no disk to wait for")
        };
        files.remember(remember.expect("it is kept"), NOW);
    }
    let before = ALLOCATIONS.get();
    drop(Box::new(1_u8));
    assert_eq!(ALLOCATIONS.get(), before + 1, "the counter counts");
    for (head, expected) in &rows {
        let before = ALLOCATIONS.get();
        for _ in 0..1_000 {
            match files.serve(head, NOW) {
                Served::Hit { head, .. } => assert_eq!(head.status(), *expected),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(ALLOCATIONS.get(), before, "{expected:?}");
    }
}
