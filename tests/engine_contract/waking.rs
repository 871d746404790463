//! Waking, ticking and the clock.

use std::thread;
use std::time::{Duration, Instant};

use downpour::base::limits::TICK;
use downpour::engine::{Completion, Engine, Wait};

use crate::rig::*;

fn woken<E: Engine>(rig: &mut Rig<E>) {
    rig.until("the wake-up", |c| {
        matches!(c, Completion::Woken).then_some(())
    });
}

pub(crate) fn a_waker_ends_a_sleep_from_any_thread<E: Engine>(mut rig: Rig<E>) {
    for round in 0..3 {
        let waker = rig.engine.waker();
        let begun = Instant::now();
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            waker.wake();
        });
        woken(&mut rig);
        assert!(
            begun.elapsed() >= Duration::from_millis(30),
            "round {round}"
        );
        other.join().unwrap();
        let quiet = rig.completed_within(Duration::from_millis(20));
        assert!(quiet.is_empty(), "{quiet:?}");
    }
    // Before the sleep, and more than once: it is not lost, and it ends.
    rig.engine.waker().wake();
    rig.engine.waker().wake();
    woken(&mut rig);
    rig.completed_within(Duration::from_millis(20)).clear();
    rig.engine.waker().wake();
    woken(&mut rig);
}

pub(crate) fn ticks_while_ticking_is_on<E: Engine>(mut rig: Rig<E>) {
    let quiet = rig.completed_within(TICK * 2);
    assert!(quiet.is_empty(), "off at first: {quiet:?}");
    rig.engine.set_ticking(true);
    let begun = Instant::now();
    let before = rig.engine.now().monotonic;
    for _ in 0..3 {
        rig.until("a tick", |c| matches!(c, Completion::Ticked).then_some(()));
    }
    let elapsed = begun.elapsed();
    assert!(elapsed >= TICK * 2, "too fast: {elapsed:?}");
    assert!(elapsed <= TICK * 30, "too slow: {elapsed:?}");
    let clock = rig.engine.now().monotonic.since(before);
    assert!(
        clock >= 150,
        "the engine's clock went on with it: {clock} ms"
    );
    rig.engine.set_ticking(true);
    rig.engine.set_ticking(false);
    // One may be on its way.
    rig.completed_within(Duration::from_millis(20)).clear();
    let quiet = rig.completed_within(TICK * 2);
    assert!(quiet.is_empty(), "{quiet:?}");
    rig.engine.set_ticking(true);
    rig.until("a tick", |c| matches!(c, Completion::Ticked).then_some(()));
}

pub(crate) fn polling_does_not_sleep_and_the_clock_is_right<E: Engine>(mut rig: Rig<E>) {
    let begun = Instant::now();
    for _ in 0..10 {
        rig.turn(Wait::Poll);
    }
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(rig.queue.is_empty());
    let real = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    assert!(rig.engine.now().unix_seconds.abs_diff(real.as_secs()) <= 1);
    assert!(!rig.engine.name().is_empty());
}
