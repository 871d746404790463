//! Calm worlds, in which one thing is looked at: the end of a worker that has time for it, and
//! frames at odd moments.

use std::cell::RefCell;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use downpour::cache::Store;
use downpour::conn::{ConnectionCount, ConnectionSettings, ListenerKind};
use downpour::engine::sim::{ClientEnd, Random, Sim, SimEngine, SimSettings};
use downpour::proto::h2::PREFACE;
use downpour::worker::{Message, Turn, Worker};

use crate::client::Checked;
use crate::exchange::Truth;
use crate::secure::ClientConfigs;
use crate::site::Site;
use crate::streams::StreamsPlan;
use crate::{
    Actor, Clients, EndDrivers, Explain, PLAIN, Replay, SECURE, alone, connection_settings,
    make_worker, store_settings,
};

const SEEDS: u64 = 12;
/// Ample for a calm world: the last word, and a peer's time to hear it.
const ENDS_WITHIN: Duration = Duration::from_secs(8);

#[test]
fn a_worker_that_ends_in_peace_ends_no_stream_in_the_middle() {
    let _alone = alone();
    let mut checked = Checked::default();
    for seed in 0..SEEDS {
        checked += run(seed);
    }
    assert!(checked.answers as u64 > 10 * SEEDS, "{checked:?}");
}

/// A client that was in the middle of its preface when the end began hears of it, too.
#[test]
fn a_connection_that_becomes_http2_during_the_end_does_not_hold_it_up() {
    let _alone = alone();
    let (mut worker, sim, _site) = calm_worker(|_| {});
    let client = sim.connect(PLAIN);
    let (first, second) = PREFACE.split_at(10);
    client.write(first);
    let mailbox = worker.mailbox();
    sim.after(Duration::from_millis(10), move |_| {
        let grace = Duration::from_secs(600);
        mailbox.send(Message::Shutdown { grace });
    });
    let writer = client.clone();
    sim.after(Duration::from_millis(20), move |_| {
        writer.write(second);
        writer.write(b"\0\0\0\x04\0\0\0\0\0"); // SETTINGS
        // The answer to the PING that asks whether the end was heard of.
        writer.write(b"\0\0\x08\x06\x01\0\0\0\0downpour");
    });
    while worker.turn().expect("it has something to wait for") == Turn::Goes {}
    assert!(sim.elapsed() < ENDS_WITHIN, "{:?}", sim.elapsed());
    assert_eq!(client.end(), Some(ClientEnd::Eof));
}

/// A frame may be larger than a head: its end must be heard before it can be refused.
#[test]
fn a_large_frame_is_heard_to_its_end_where_heads_must_be_small() {
    let _alone = alone();
    let (mut worker, sim, _site) = calm_worker(|settings| settings.head_bytes_max = 1024);
    let client = sim.connect(PLAIN);
    client.write(PREFACE);
    client.write(b"\0\0\0\x04\0\0\0\0\0"); // SETTINGS
    let mut block = b"\x82\x84\x86\x41\x01a".to_vec(); // GET http://a/
    // A field `x`; the length of its value is 127 + 1 + 0x2d * 128 (RFC 7541 §5.1).
    block.extend(b"\0\x01x\x7f\x81\x2d");
    block.extend([b'y'; 127 + 1 + 0x2d * 128]);
    client.write(&(block.len() as u32).to_be_bytes()[1..]);
    client.write(b"\x01\x05\0\0\0\x01");
    let rest = block.split_off(3000);
    client.write(&block);
    let writer = client.clone();
    sim.after(Duration::from_millis(50), move |_| writer.write(&rest));
    let mailbox = worker.mailbox();
    sim.after(Duration::from_secs(1), move |_| {
        let grace = Duration::from_secs(1);
        mailbox.send(Message::Shutdown { grace });
    });
    while worker.turn().expect("it has something to wait for") == Turn::Goes {}
    let received = client.received();
    let mut rest = &received[..];
    let mut heads = Vec::new();
    while let [a, b, c, kind, _, id @ ..] = rest {
        let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if *kind == 1 {
            assert_eq!(id[..4], [0, 0, 0, 1]);
            heads.push(&id[4..4 + len]);
        }
        rest = &id[4 + len..];
    }
    // `:status: 431` is a literal behind the name of index 8.
    let [head] = heads[..] else {
        panic!("not one answer: {heads:?}");
    };
    assert_eq!(head[0] & 0x0f, 8, "{head:?}");
}

/// A worker with a plain listener in a world without faults.
fn calm_worker(change: impl FnOnce(&mut ConnectionSettings)) -> (Worker<SimEngine>, Sim, Site) {
    let mut random = Random::new(1);
    let site = Site::new(&mut random);
    let engine = SimEngine::new(1, SimSettings::calm()).expect("an eventfd");
    let sim = engine.sim();
    let store = Arc::new(Store::new(store_settings(&mut random)));
    let mut settings = connection_settings(&mut random);
    change(&mut settings);
    let mut worker = make_worker(engine, settings, &site, &store);
    let listener = File::open("/dev/null").expect("any descriptor stands for a listener");
    let count = ConnectionCount::new(1000);
    let connections = worker.connections_mut();
    connections.listen(listener.into(), ListenerKind::Plain, count);
    (worker, sim, site)
}

fn run(seed: u64) -> Checked {
    let _replay = Replay(seed);
    let mut random = Random::new(seed ^ 0x0D2A_1400);
    let site = Rc::new(RefCell::new(Site::new(&mut random)));
    let engine = SimEngine::new(seed, SimSettings::calm()).expect("an eventfd");
    let sim = engine.sim();
    let store = Arc::new(Store::new(store_settings(&mut random)));
    let settings = connection_settings(&mut random);
    let mut worker = make_worker(engine, settings, &site.borrow(), &store);
    for kind in [ListenerKind::Plain, ListenerKind::Tls] {
        let listener = File::open("/dev/null").expect("any descriptor stands for a listener");
        let connections = worker.connections_mut();
        connections.listen(listener.into(), kind, ConnectionCount::new(1000));
    }
    let clients = Clients::default();
    let _end = EndDrivers(Rc::clone(&clients));
    let tls = ClientConfigs::new();
    for _ in 0..random.between(1, 10) {
        let tls = random.chance(0.5).then(|| tls.http2(&mut random));
        let listener = if tls.is_some() { SECURE } else { PLAIN };
        let mut plan = StreamsPlan::new(&mut random, tls, true);
        plan.make_gentle();
        let clients = Rc::clone(&clients);
        let starts_at = Duration::from_micros(random.any_size(16));
        sim.after(starts_at, move |sim| {
            let begun = plan.begin(sim, &sim.connect(listener));
            begun.driver.go_on();
            clients
                .borrow_mut()
                .push(Actor::Streams(Box::new(plan), begun));
        });
    }
    let drains_at = Duration::from_micros(random.below(500_000));
    let mailbox = worker.mailbox();
    sim.after(drains_at, move |_| {
        let grace = Duration::from_secs(600);
        mailbox.send(Message::Shutdown { grace });
    });
    while worker.turn().expect("it has something to wait for") == Turn::Goes {}
    let took = sim.elapsed() - drains_at;
    drop(worker);
    sim.settle();
    clients.borrow().iter().for_each(Actor::go_on);
    sim.settle();
    sim.assert_quiescent();
    let mut checked = Checked::default();
    for actor in clients.borrow().iter() {
        let _explain = Explain(actor);
        let Actor::Streams(plan, _) = actor else {
            unreachable!("all of them speak HTTP/2");
        };
        let truth = Truth {
            site: &site,
            since: Duration::ZERO,
            lag: Duration::ZERO,
            may_fail: false,
            may_be_full: false,
            tag_before: None,
        };
        checked += plan.check_drained(&sim, truth);
        assert!(took < ENDS_WITHIN, "the end took {took:?}");
    }
    checked
}
