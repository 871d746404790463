//! The store, the indexes and the budgets together.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::base::Millis;
use crate::base::limits::{
    FRESH_FOR, INDEX_BYTES_MAX, INDEX_SWEEP_PAUSE, PAGES_BYTES_MAX, PROMOTE_HITS, PROMOTE_WINDOW,
};
use crate::engine::named::NamedFile;
use crate::engine::operation::{FileKind, FileStat};
use crate::http::{Coding, CodingSet, HeadTemplate, ResponseHead, Status, Validators};

const SETTINGS: StoreSettings = StoreSettings {
    bytes_max: 64 * 1024,
    entry_bytes_max: 16 * 1024,
    descriptors_max: 16,
    names_max: 1000,
};

fn stat(len: u64) -> FileStat {
    FileStat {
        kind: FileKind::Regular,
        mode: 0o644,
        len,
        device: (1, 2),
        inode: 3,
        hard_links: 1,
        modified: (4, 5),
        changed: (6, 7),
    }
}

fn entry(path: &[u8], content: Content, hold: Hold, racy: bool, now: Millis) -> Arc<Entry> {
    let len = match &content {
        Content::Memory(bytes) => bytes.len() as u64,
        Content::File(_) | Content::Named(_) => 1 << 40,
    };
    let template = |status| HeadTemplate::new(&ResponseHead::new(status));
    let about = About {
        media_type: Cow::Borrowed("text/plain"),
        coding: Coding::Identity,
        language: None,
        variant: 0,
        state: 0,
    };
    let first = Representation {
        full: template(Status::OK),
        not_modified: template(Status::NOT_MODIFIED),
        about,
        validators: Validators::default(),
        len,
        content,
        makes: CodingSet::default(),
        partial: OnceLock::new(),
    };
    let resource = Resource {
        first,
        others: Box::default(),
        vary: Vary::default(),
        by_query: false,
    };
    let outcome = Outcome::Resource(Box::new(resource));
    let states = [stat(len)].into();
    let origin = Origin::Files { states, racy };
    Arc::new(Entry::new(path.into(), outcome, origin, hold, now))
}

fn page(path: &[u8], now: Millis) -> Arc<Entry> {
    let outcome = Outcome::Page(Page {
        head: HeadTemplate::new(&ResponseHead::new(Status::NOT_FOUND)),
        body: Bytes::new(),
        location: None,
    });
    let (origin, hold) = (Origin::Unknown, Hold::unkept());
    Arc::new(Entry::new(path.into(), outcome, origin, hold, now))
}

fn body_of(entry: &Entry) -> Option<&Bytes> {
    match entry.outcome() {
        Outcome::Resource(resource) => match &resource.first.content {
            Content::Memory(bytes) => Some(bytes),
            Content::File(_) | Content::Named(_) => None,
        },
        Outcome::Page(_) | Outcome::PerRequest => None,
    }
}

/// What a load does: an entry with a body of `len` bytes, or one that is not kept.
fn load(store: &Store, path: &[u8], len: u64, wanted: Wanted, now: Millis) -> Arc<Entry> {
    let file = || -> crate::engine::operation::SharedFile {
        let file = std::fs::File::open("/dev/null").unwrap();
        Arc::new(file.into())
    };
    let (content, hold) = match store.place(len, wanted) {
        Place::Memory(permit) => {
            let body = permit.into_body(vec![7; len as usize]);
            (Content::Memory(body.bytes()), Hold::default())
        }
        Place::Descriptor(permit) => {
            let descriptors = vec![permit];
            let hold = Hold {
                is_unkept: false,
                descriptors,
            };
            (Content::File(file()), hold)
        }
        Place::Named(permit) => {
            let named = NamedFile {
                root: file(),
                path: c"a".into(),
                stat: stat(len),
                opened: permit.is_some().then(file),
            };
            let hold = Hold {
                is_unkept: false,
                descriptors: permit.into_iter().collect(),
            };
            (Content::Named(Arc::new(named)), hold)
        }
        Place::Unkept => (Content::File(file()), Hold::unkept()),
    };
    entry(path, content, hold, false, now)
}

fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match poll(future) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nobody else holds the path"),
    }
}

/// Looks a path up and loads it when it is not known well enough.
fn fetch_wanted(store: &Store, path: &[u8], len: u64, wanted: Wanted, now: Millis) -> Arc<Entry> {
    let ticket = match ready(store.lookup(path, now)) {
        Lookup::Current(entry) => return entry,
        Lookup::Vacant(ticket) | Lookup::Stale(ticket, _) => ticket,
    };
    let entry = load(store, path, len, wanted, now);
    ticket.fill(Arc::clone(&entry));
    entry
}

/// The same, into memory at the cost of others.
fn fetch(store: &Store, path: &[u8], len: u64, now: Millis) -> Arc<Entry> {
    fetch_wanted(store, path, len, Wanted::Often, now)
}

fn is_current(store: &Store, path: &[u8], now: Millis) -> bool {
    matches!(ready(store.lookup(path, now)), Lookup::Current(_))
}

#[test]
fn what_was_loaded_is_found_until_it_is_stale() {
    let store = Store::new(SETTINGS);
    let start = Millis(1_000);
    let first = fetch(&store, b"a", 100, start);
    assert!(Arc::ptr_eq(&first, &fetch(&store, b"a", 100, start)));
    let Lookup::Stale(ticket, old) = ready(store.lookup(b"a", start + FRESH_FOR)) else {
        panic!("it is as old as it may become")
    };
    assert!(Arc::ptr_eq(&first, &old));
    old.touch(start + FRESH_FOR);
    ticket.confirm();
    assert!(is_current(&store, b"a", start + FRESH_FOR));
    assert!(!first.is_retired());
    assert_eq!(store.retirements(), 0);
}

#[test]
fn a_replaced_entry_is_retired_and_one_whose_comparison_was_dropped_waits_for_the_next() {
    let store = Store::new(SETTINGS);
    let late = Millis(0) + FRESH_FOR;
    let old = fetch(&store, b"a", 100, Millis(0));
    let new = fetch(&store, b"a", 200, late);
    assert!(old.is_retired() && !new.is_retired());
    let Lookup::Stale(ticket, _) = ready(store.lookup(b"a", late + FRESH_FOR)) else {
        panic!("stale again")
    };
    drop(ticket);
    assert!(!new.is_retired());
    let next = ready(store.lookup(b"a", late + FRESH_FOR));
    assert!(matches!(next, Lookup::Stale(_, entry) if Arc::ptr_eq(&entry, &new)));
    assert_eq!(store.retirements(), 1);
}

#[test]
fn a_forgotten_entry_is_gone_and_another_one_stays() {
    let store = Store::new(SETTINGS);
    let old = fetch(&store, b"a", 100, Millis(0));
    store.forget(&old);
    assert!(old.is_retired() && store.is_empty());
    let new = fetch(&store, b"a", 100, Millis(0));
    store.forget(&old); // A second comparison of the same old entry comes late.
    assert!(!new.is_retired() && store.len() == 1);
    assert_eq!(store.retirements(), 1);
}

#[test]
fn what_was_looked_at_before_a_write_is_not_current_after_it() {
    let store = Store::new(SETTINGS);
    let old = fetch(&store, b"a", 100, Millis(0));
    assert!(is_current(&store, b"a", Millis(0)));
    store.note_write();
    assert!(old.is_overtaken_by(store.writes()));
    let Lookup::Stale(ticket, _) = ready(store.lookup(b"a", Millis(0))) else {
        panic!("nobody knows whether it is what was written")
    };
    old.seen_at(store.writes());
    ticket.confirm();
    assert!(is_current(&store, b"a", Millis(0)));
    store.note_write();
    assert!(!is_current(&store, b"a", Millis(0)));
}

#[test]
fn who_asks_after_a_write_does_not_share_a_load_that_began_before() {
    let store = Store::new(SETTINGS);
    let mut context = Context::from_waker(Waker::noop());
    let Lookup::Vacant(ticket) = ready(store.lookup(b"a", Millis(0))) else {
        panic!("the store is empty")
    };
    let mut before = pin!(store.lookup(b"a", Millis(0)));
    assert!(before.as_mut().poll(&mut context).is_pending());
    store.note_write();
    let mut after = pin!(store.lookup(b"a", Millis(0)));
    assert!(after.as_mut().poll(&mut context).is_pending());
    ticket.fill(page(b"a", Millis(0)));
    let shared = before.as_mut().poll(&mut context);
    assert!(matches!(shared, Poll::Ready(Lookup::Current(_))));
    let own = after.as_mut().poll(&mut context);
    assert!(matches!(own, Poll::Ready(Lookup::Vacant(_))));
}

struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn those_who_wait_share_one_load_even_of_what_is_not_kept() {
    let store = Store::new(SETTINGS);
    let wakes = Arc::new(CountWakes(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&waker);
    let Lookup::Vacant(ticket) = ready(store.lookup(b"a", Millis(0))) else {
        panic!("the store is empty")
    };
    let mut first = pin!(store.lookup(b"a", Millis(0)));
    let mut second = pin!(store.lookup(b"a", Millis(0)));
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_pending());
    ticket.fill(page(b"a", Millis(0)));
    assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
    for waiter in [&mut first, &mut second] {
        let Poll::Ready(Lookup::Current(entry)) = waiter.as_mut().poll(&mut context) else {
            panic!("it was handed out")
        };
        assert!(matches!(entry.outcome(), Outcome::Page(_)));
    }
    assert!(store.is_empty());
    let next = ready(store.lookup(b"a", Millis(0)));
    assert!(matches!(next, Lookup::Vacant(_)), "a page is not kept");
}

#[test]
fn a_dropped_load_passes_to_the_next_who_waits() {
    let store = Store::new(SETTINGS);
    let mut context = Context::from_waker(Waker::noop());
    let Lookup::Vacant(ticket) = ready(store.lookup(b"a", Millis(0))) else {
        panic!("the store is empty")
    };
    let mut waiter = pin!(store.lookup(b"a", Millis(0)));
    assert!(waiter.as_mut().poll(&mut context).is_pending());
    drop(ticket);
    assert!(matches!(
        waiter.as_mut().poll(&mut context),
        Poll::Ready(Lookup::Vacant(_))
    ));
}

#[test]
fn over_the_budget_nothing_is_kept_and_room_comes_back() {
    let store = Store::new(SETTINGS);
    let mut held = Vec::new();
    for n in 0..40_u8 {
        held.push(fetch(&store, &[n], 10_000, Millis(0)));
        assert!(store.live_bytes() <= SETTINGS.bytes_max);
    }
    assert!(store.is_pressed());
    let unkept = load(&store, b"x", 10_000, Wanted::Often, Millis(0));
    assert!(body_of(&unkept).is_none(), "it stays in its file");
    drop(unkept);
    held.clear();
    assert!(!store.is_pressed());
    assert!(store.live_bytes() <= SETTINGS.bytes_max * 7 / 8);
    let kept = fetch(&store, b"y", 10_000, Millis(0));
    assert!(!kept.is_retired());
}

#[test]
fn a_store_of_no_bytes_keeps_nothing_and_still_answers() {
    let store = Store::new(StoreSettings {
        bytes_max: 0,
        ..SETTINGS
    });
    for len in [0, 1, 1 << 30] {
        let entry = fetch(&store, b"a", len, Millis(0));
        assert!(entry.is_retired(), "{len}");
        assert!(store.is_empty());
    }
    assert_eq!((store.live_bytes(), store.live_descriptors()), (0, 0));
}

#[test]
fn large_files_are_bounded_by_descriptors_and_make_room_for_each_other() {
    let store = Store::new(SETTINGS);
    let mut last = None;
    for n in 0..200_u8 {
        last = Some(fetch(&store, &[n], 1 << 30, Millis(0)));
        assert!(store.live_descriptors() <= SETTINGS.descriptors_max);
    }
    assert!(
        !last.unwrap().is_retired(),
        "the two hundredth still gets a place"
    );
    assert_eq!(store.live_bytes(), 0);
}

#[test]
fn small_files_without_room_are_kept_open_and_leave_descriptors_to_large_ones() {
    let store = Store::new(SETTINGS);
    for n in 0..100_u8 {
        fetch_wanted(&store, &[b's', n], 2_000, Wanted::Now, Millis(0));
    }
    assert_eq!(store.live_descriptors(), 12, "three quarters of them");
    assert_eq!(store.len(), 100, "the others are known by name");
    for n in 0..3_u8 {
        let large = fetch(&store, &[b'l', n], 1 << 30, Millis(0));
        assert!(!large.is_retired());
    }
    assert!(store.live_descriptors() <= SETTINGS.descriptors_max);
}

#[test]
fn a_scan_of_many_files_does_not_push_out_what_is_in_use() {
    let store = Store::new(SETTINGS);
    let hot: Vec<Arc<Entry>> = (0..8_u8)
        .map(|n| fetch(&store, &[b'h', n], 2_000, Millis(0)))
        .collect();
    for n in 0..2_000_u32 {
        fetch(&store, &n.to_le_bytes(), 2_000, Millis(0));
        if n % 10 == 0 {
            // As the background comparisons of hot entries do.
            hot.iter().for_each(|entry| store.mark_used(entry));
        }
    }
    let kept = hot.iter().filter(|entry| !entry.is_retired()).count();
    assert!(kept >= 7, "{kept} of 8 survived");
}

#[test]
fn freshness_goes_from_fresh_to_ageing_to_stale() {
    let start = Millis(10_000);
    let body = Content::Memory(Bytes::from_static(b"x"));
    let entry = entry(b"a", body, Hold::default(), false, start);
    assert_eq!(entry.freshness(start), Freshness::Fresh);
    assert_eq!(entry.freshness(start + FRESH_FOR / 2), Freshness::Ageing);
    assert_eq!(entry.freshness(start + FRESH_FOR), Freshness::Stale);
    entry.touch(start + FRESH_FOR);
    entry.touch(start); // A slower comparison that began earlier.
    assert_eq!(entry.freshness(start + FRESH_FOR), Freshness::Fresh);
    assert!(entry.retire() && !entry.retire());
    assert_eq!(entry.freshness(start + FRESH_FOR), Freshness::Stale);
}

#[test]
fn one_refresh_at_a_time() {
    let body = Content::Memory(Bytes::from_static(b"x"));
    let entry = entry(b"a", body, Hold::default(), false, Millis(0));
    let claim = entry.claim_refresh().unwrap();
    assert!(entry.claim_refresh().is_none());
    drop(claim);
    assert!(entry.claim_refresh().is_some());
}

#[test]
fn only_a_state_that_proves_something_is_unchanged() {
    let body = || Content::Memory(Bytes::from_static(b"x"));
    let settled = entry(b"a", body(), Hold::default(), false, Millis(0));
    assert!(settled.is_unchanged(&[stat(1)]));
    for other in [
        FileStat {
            inode: 9,
            ..stat(1)
        },
        FileStat { mode: 0, ..stat(1) },
        FileStat {
            changed: (6, 8),
            ..stat(1)
        },
        FileStat {
            modified: (4, 6),
            ..stat(1)
        },
        stat(2),
    ] {
        assert!(!settled.is_unchanged(&[other]), "{other:?}");
    }
    let racy = entry(b"a", body(), Hold::default(), true, Millis(0));
    assert!(!racy.is_unchanged(&[stat(1)]));
}

#[test]
fn an_index_knows_spellings_and_lets_go_of_what_was_retired() {
    let store = Store::new(SETTINGS);
    let mut index = Index::new();
    let start = Millis(1) + INDEX_SWEEP_PAUSE;
    let entry = fetch(&store, b"a", 100, start);
    for raw in [&b"/a"[..], b"/%61", b"/./a"] {
        index.insert(raw.into(), Arc::clone(&entry), start);
        assert!(Arc::ptr_eq(index.get(raw).unwrap(), &entry));
    }
    assert!(index.get(b"/b").is_none());
    index.sweep(&store, start);
    assert_eq!(index.len(), 3);
    store.forget(&entry);
    index.sweep(&store, start + INDEX_SWEEP_PAUSE);
    assert!(index.is_empty());
    let weak = Arc::downgrade(&entry);
    drop(entry);
    assert!(weak.upgrade().is_none());
    assert_eq!(store.live_bytes(), 0);
}

#[test]
fn an_index_remembers_pages_and_resources_one_for_each_path() {
    let store = Store::new(SETTINGS);
    let mut index = Index::new();
    let missing = page(b"a", Millis(0));
    index.insert(b"/a"[..].into(), Arc::clone(&missing), Millis(0));
    assert!(Arc::ptr_eq(index.get(b"/a").unwrap(), &missing));
    assert!(!missing.is_retired());
    assert_eq!(missing.freshness(Millis(0) + FRESH_FOR), Freshness::Stale);
    let entry = fetch(&store, b"a", 1, Millis(0));
    index.insert(b"/a"[..].into(), Arc::clone(&entry), Millis(0));
    assert!(Arc::ptr_eq(index.get(b"/a").unwrap(), &entry));
    index.insert(b"/a"[..].into(), Arc::clone(&missing), Millis(0));
    assert!(Arc::ptr_eq(index.get(b"/a").unwrap(), &missing));
    index.clear();
    assert!(index.get(b"/a").is_none());
}

#[test]
fn an_index_is_bounded_by_its_keys_and_pages_push_no_entry_out() {
    let store = Store::new(SETTINGS);
    let mut index = Index::new();
    let entry = fetch(&store, b"a", 1, Millis(0));
    index.insert(b"/a"[..].into(), Arc::clone(&entry), Millis(0));
    let key = |n: u64| {
        let mut key = vec![b'/'; 4_000];
        key.extend(n.to_le_bytes());
        key.into_boxed_slice()
    };
    let missing = page(b"a", Millis(0));
    for n in 0..2 * PAGES_BYTES_MAX / 4_000 {
        index.insert(key(n), Arc::clone(&missing), Millis(0));
    }
    assert!(index.get(b"/a").is_some());
    let spellings = 2 * INDEX_BYTES_MAX / 4_000;
    for n in 0..spellings {
        index.insert(key(n), Arc::clone(&entry), Millis(0));
    }
    assert!(index.len() as u64 <= INDEX_BYTES_MAX / 4_000);
}

#[test]
fn a_suspect_entry_is_stale_at_once() {
    let store = Store::new(SETTINGS);
    let entry = fetch(&store, b"a", 1, Millis(100_000));
    assert!(is_current(&store, b"a", Millis(100_000)));
    entry.suspect();
    assert_eq!(entry.freshness(Millis(100_000)), Freshness::Stale);
    assert!(!is_current(&store, b"a", Millis(100_000)));
    entry.touch(Millis(100_000));
    assert!(is_current(&store, b"a", Millis(100_000)));
}

#[test]
fn what_has_no_room_is_known_by_name_until_it_is_asked_for_often() {
    let store = Store::new(SETTINGS);
    let mut bodies = 0;
    for n in 0..200_u8 {
        let entry = fetch_wanted(&store, &[n], 1_000, Wanted::Now, Millis(0));
        assert!(!entry.is_retired());
        bodies += usize::from(body_of(&entry).is_some());
    }
    assert!((25..60).contains(&bodies), "{bodies}");
    assert_eq!(store.len(), 200, "nothing was pushed out");
    let often = load(&store, &[199], 1_000, Wanted::Often, Millis(0));
    assert!(body_of(&often).is_some());
    store.replace(&often);
    assert_eq!(store.len(), 200, "in place of the one by name");
    let Lookup::Current(found) = ready(store.lookup(&[199], Millis(0))) else {
        panic!("it was replaced")
    };
    assert!(Arc::ptr_eq(&found, &often));
}

#[test]
fn hits_within_a_moment_are_counted() {
    let store = Store::new(SETTINGS);
    let entry = fetch(&store, b"a", 1, Millis(0));
    let now = Millis(1_000_000);
    for _ in 1..PROMOTE_HITS {
        assert!(!entry.count_hit(now));
    }
    assert!(entry.count_hit(now));
    assert!(!entry.count_hit(now), "once");
    for second in 0..2 * u64::from(PROMOTE_HITS) {
        assert!(!entry.count_hit(Millis(2_000_000) + PROMOTE_WINDOW * second as u32));
    }
}

#[test]
fn a_compressed_form_makes_its_entry_suspect_and_new_to_who_holds_less() {
    let store = Store::new(SETTINGS);
    let entry = fetch(&store, b"a", 1, Millis(0));
    assert!(!entry.has_new_forms());
    entry.add_made(Made {
        variant: 0,
        coding: Coding::Brotli,
        tag: "fast",
        is_final: false,
        bytes: Bytes::new(),
    });
    assert_eq!(entry.freshness(Millis(10_000)), Freshness::Stale);
    assert!(entry.has_new_forms());
    let (made, version) = entry.forms().all();
    assert_eq!(made.len(), 1);
    let (path, outcome) = (Box::from(&b"a"[..]), Outcome::PerRequest);
    let next = Entry::new(path, outcome, Origin::Unknown, Hold::default(), Millis(0));
    let next = next.with_forms(Arc::clone(entry.forms()), version);
    assert!(!next.has_new_forms());
}

#[test]
fn what_is_gone_is_kept_for_a_while_from_the_first_question() {
    let entry = fetch(&Store::new(SETTINGS), b"a", 1, Millis(0));
    let keep = std::time::Duration::from_secs(60);
    assert!(entry.keep_for(keep, Millis(1_000)));
    assert!(entry.keep_for(keep, Millis(60_000)));
    assert!(!entry.keep_for(keep, Millis(61_000)));
}

#[derive(Clone, Debug)]
enum Act {
    Fetch { path: u8, len: u64, hold: bool },
    Forget { path: u8 },
    DropHeld { position: usize },
    Advance { ms: u64 },
    Sweep,
}

fn act() -> impl Strategy<Value = Act> {
    let len = prop_oneof![0..200_u64, 5_000..20_000_u64];
    prop_oneof![
        6 => (0..24_u8, len, any::<bool>())
            .prop_map(|(path, len, hold)| Act::Fetch { path, len, hold }),
        1 => (0..24_u8).prop_map(|path| Act::Forget { path }),
        3 => (0..64_usize).prop_map(|position| Act::DropHeld { position }),
        1 => (0..2_000_u64).prop_map(|ms| Act::Advance { ms }),
        1 => Just(Act::Sweep),
    ]
}

/// Every body that was ever made, and who still sends it.
#[derive(Default)]
struct Model {
    made: Vec<(u64, Weak<Entry>)>,
    sending: Vec<(u64, Weak<Entry>, Bytes)>,
}

impl Model {
    fn live_bytes(&self) -> u64 {
        let is_alive = |entry: &Weak<Entry>| entry.strong_count() > 0;
        let entries = self.made.iter().filter(|(_, entry)| is_alive(entry));
        // A body that is sent counts once, however many send it, and not beside its entry.
        let mut orphans: Vec<(*const u8, u64)> = self
            .sending
            .iter()
            .filter(|(_, entry, _)| !is_alive(entry))
            .map(|(len, _, body)| (body.as_ptr(), *len))
            .collect();
        orphans.sort_unstable();
        orphans.dedup();
        entries.map(|(len, _)| len).sum::<u64>() + orphans.iter().map(|(_, len)| len).sum::<u64>()
    }
}

proptest! {
    #[test]
    fn the_budget_counts_exactly_the_bodies_that_are_alive(
        acts in proptest::collection::vec(act(), 1..200),
    ) {
        let store = Store::new(SETTINGS);
        let mut indexes = [Index::new(), Index::new()];
        let mut model = Model::default();
        let mut now = Millis(100_000);
        for (turn, act) in acts.into_iter().enumerate() {
            let index = &mut indexes[turn % 2];
            match act {
                Act::Fetch { path, len, hold } => {
                    let entry = fetch(&store, &[path], len, now);
                    let Some(body) = body_of(&entry) else {
                        continue;
                    };
                    let len = body.len() as u64;
                    let weak = Arc::downgrade(&entry);
                    if !model.made.iter().any(|(_, made)| made.ptr_eq(&weak)) {
                        model.made.push((len, Weak::clone(&weak)));
                    }
                    if hold && len > 0 {
                        model.sending.push((len, weak, body.clone()));
                    }
                    index.insert([path].into(), Arc::clone(&entry), now);
                }
                Act::Forget { path } => {
                    if let Lookup::Current(entry) = ready(store.lookup(&[path], now)) {
                        store.forget(&entry);
                    }
                }
                Act::DropHeld { position } => {
                    if !model.sending.is_empty() {
                        let position = position % model.sending.len();
                        model.sending.swap_remove(position);
                    }
                }
                Act::Advance { ms } => now = Millis(now.0 + ms),
                Act::Sweep => index.sweep(&store, now),
            }
            prop_assert_eq!(store.live_bytes(), model.live_bytes());
            prop_assert!(store.live_bytes() <= SETTINGS.bytes_max);
        }
        drop(indexes);
        model.sending.clear();
        for path in 0..24_u8 {
            if let Some(entry) = store.peek(&[path]) {
                store.forget(&entry);
            }
        }
        prop_assert_eq!((store.len(), store.live_bytes()), (0, 0));
    }
}
