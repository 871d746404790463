//! A whole worker over the simulated engine: clients of every manner, a network and a disk with
//! every fault, files that change; and an oracle that knows what each answer must be.
//!
//! Each seed is a run of its own and can be run again:
//!
//! ```text
//! DOWNPOUR_SIM_SEED=17 cargo test --test simulation      one run
//! DOWNPOUR_SIM_SEEDS=1000 cargo test --test simulation   the nightly size
//! ```

#![allow(
    clippy::unwrap_used,
    reason = "it is a test, though clippy sees a program"
)]
#![allow(
    clippy::print_stdout,
    reason = "what a test prints is shown when it fails"
)]

mod calm;
mod client;

mod driver;
mod exchange;
mod lane;
mod response;
mod secure;
mod site;
mod streamed;
mod streams;
mod uploads;
mod wire;

use std::cell::RefCell;
use std::fs::File;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use downpour::cache::{Store, StoreSettings};
use downpour::conn::{ConnectionCount, ConnectionSettings, ListenerKind, Services};
use downpour::engine::sim::{Client, Coverage, Fault, Random, Sim, SimEngine, SimSettings};
use downpour::engine::{Engine, ListenerId};
use downpour::handler::files::{FileServices, Listings, Site as ServedSite};
use downpour::handler::sites::Sites;
use downpour::proto::h2::H2Settings;
use downpour::route::{Hosts, SiteSettings};
use downpour::task::Pool;
use downpour::watch::Watch;
use downpour::worker::{Mailbox, Message, Turn, Worker};
use rustls::ClientConfig;

use client::{Checked, Excuses, Heard, Plan};
use driver::Driver;
use exchange::Truth;
use secure::ClientConfigs;
use site::Site;
use streams::{StreamsClient, StreamsPlan};
use wire::Wire;

/// Runs of an ordinary test.
const SEEDS: u64 = 50;
/// The worker's listeners.
const PLAIN: ListenerId = ListenerId(0);
const SECURE: ListenerId = ListenerId(1);
/// Clients begin within this time.
const STARTS_WITHIN: Duration = Duration::from_secs(9);

/// Runs count the descriptors of the process, so they take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number_from(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {value}")),
    )
}

#[test]
fn a_worker_keeps_its_promises_in_every_world() {
    let _alone = alone();
    if let Some(seed) = number_from("DOWNPOUR_SIM_SEED") {
        let mut settings = SimSettings::random(seed);
        settings.trace_events = 500_000;
        println!("{settings:#?}");
        println!("{}", run(seed, settings).trace);
        return;
    }
    let seeds = number_from("DOWNPOUR_SIM_SEEDS").unwrap_or(SEEDS);
    let mut coverage = Coverage::default();
    let mut checked = Checked::default();
    for seed in 0..seeds {
        let run = run(seed, SimSettings::random(seed));
        coverage.add(&run.coverage);
        checked += run.checked;
    }
    println!("{seeds} runs, {checked:?}, {coverage:?}");
    let enough = |count: usize, per_run: u64| count as u64 >= per_run * seeds;
    assert!(
        enough(checked.answers, 30) && enough(checked.without_excuse, 5),
        "{checked:?}"
    );
    assert!(
        enough(checked.streams, 30) && enough(checked.secure, 10),
        "{checked:?}"
    );
    assert_eq!(
        coverage.missing(),
        [],
        "faults that no worker has met: {coverage:?}"
    );
}

#[test]
fn a_calm_world_has_no_excuses() {
    let _alone = alone();
    for seed in 0..SEEDS / 5 {
        let run = run(seed, SimSettings::calm());
        assert_eq!(run.coverage.of(Fault::IoError), 0);
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let _alone = alone();
    for seed in 0..3 {
        let first = run(seed, SimSettings::random(seed));
        let again = run(seed, SimSettings::random(seed));
        assert_eq!(first.trace, again.trace, "seed {seed}");
        assert_eq!(first.fingerprint, again.fingerprint, "seed {seed}");
    }
}

/// What is left of a run.
struct Run {
    coverage: Coverage,
    checked: Checked,
    trace: String,
    fingerprint: u64,
}

/// Says how to run a failure again.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "again: DOWNPOUR_SIM_SEED={} cargo test --test simulation",
                self.0
            );
        }
    }
}

fn run(seed: u64, settings: SimSettings) -> Run {
    let _replay = Replay(seed);
    let descriptors_before = open_descriptors();
    let run = run_in_scratch(seed, settings);
    assert_eq!(open_descriptors(), descriptors_before, "descriptors leaked");
    run
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux").count()
}

fn run_in_scratch(seed: u64, settings: SimSettings) -> Run {
    let mut random = Random::new(seed ^ 0x00C1_1E17);
    let site = Rc::new(RefCell::new(Site::new(&mut random)));
    let slow_disk = settings.slow_disk > 0.0;
    let takes_long_requests = settings.receive_buffer_bytes >= 1024;
    let engine = SimEngine::new(seed, settings).expect("an eventfd");
    let sim = engine.sim();
    let store = Arc::new(Store::new(store_settings(&mut random)));
    let connections_max = random.pick(&[4, 1000, 1000]);
    let count = ConnectionCount::new(connections_max);
    let connection_settings = connection_settings(&mut random);
    let handshakes_max = connection_settings.handshakes_max;
    let mut worker = make_worker(engine, connection_settings, &site.borrow(), &store);
    for kind in [ListenerKind::Plain, ListenerKind::Tls] {
        let listener = File::open("/dev/null").expect("any descriptor stands for a listener");
        let connections = worker.connections_mut();
        connections.listen(listener.into(), kind, count.clone());
    }
    let mailbox = worker.mailbox();
    let clients = plan_clients(&sim, &mut random, takes_long_requests);
    let _end = EndDrivers(Rc::clone(&clients));
    plan_changes(&sim, &mut random, &site);
    let drains_early = random.chance(0.25);
    if drains_early {
        let delay = Duration::from_micros(random.any_size(23));
        let message = random_end(&mut random);
        let mailbox = mailbox.clone();
        sim.after(delay, move |_| mailbox.send(message));
    }

    serve(&mut worker, &mailbox, &sim, &clients);
    drop(worker);
    assert_eq!(count.open(), 0, "connections are counted that are gone");
    sim.settle();
    clients.borrow().iter().for_each(Actor::go_on);
    sim.settle();
    sim.assert_quiescent();

    let coverage = sim.coverage();
    let excuses = Excuses {
        drained: drains_early,
        shed: coverage.of(Fault::AcceptFailed) > 0,
        may_wait_for_tls: handshakes_max < 100,
    };
    let mut checked = Checked::default();
    for actor in clients.borrow().iter() {
        let truth = Truth {
            site: &site,
            since: actor.starts_at(),
            lag: Duration::from_millis(if slow_disk { 30_000 } else { 1_200 }),
            may_fail: coverage.of(Fault::IoError) > 0,
            may_be_full: connections_max < 1000,
            tag_before: None,
        };
        let _explain = Explain(actor);
        checked += actor.check(&sim, truth, excuses);
    }
    check_store(store);
    Run {
        coverage,
        checked,
        trace: sim.trace(),
        fingerprint: sim.fingerprint(),
    }
}

/// One client with its plan.
enum Actor {
    /// HTTP/1.1, by the engine's own scripts.
    Plain(Plan, Client),
    /// The same over TLS.
    Secure(Plan, Wire, Driver),
    /// HTTP/2, with or without TLS.
    Streams(Box<StreamsPlan>, StreamsClient),
}

impl Actor {
    fn client(&self) -> &Client {
        match self {
            Actor::Plain(_, client) => client,
            Actor::Secure(_, wire, _) => wire.client(),
            Actor::Streams(_, begun) => begun.wire.client(),
        }
    }

    fn driver(&self) -> Option<&Driver> {
        match self {
            Actor::Plain(..) => None,
            Actor::Secure(_, _, driver) => Some(driver),
            Actor::Streams(_, begun) => Some(&begun.driver),
        }
    }

    /// Takes in what came last.
    fn go_on(&self) {
        self.driver().inspect(|driver| driver.go_on());
    }

    fn starts_at(&self) -> Duration {
        match self {
            Actor::Plain(plan, _) | Actor::Secure(plan, ..) => plan.starts_at,
            Actor::Streams(plan, _) => plan.starts_at,
        }
    }

    fn check(&self, sim: &Sim, truth: Truth<'_>, excuses: Excuses) -> Checked {
        match self {
            Actor::Plain(plan, client) => plan.check(&Heard::of(client), sim, truth, excuses),
            Actor::Secure(plan, wire, _) => plan.check(&wire.heard(), sim, truth, excuses),
            Actor::Streams(plan, begun) => plan.check(begun, sim, truth, excuses),
        }
    }
}

/// Lets go of the world in the end, also when a check fails: its last events are printed then.
struct EndDrivers(Clients);

impl Drop for EndDrivers {
    fn drop(&mut self) {
        let clients = self.0.borrow();
        clients
            .iter()
            .filter_map(Actor::driver)
            .for_each(Driver::end);
    }
}

/// Says what a client was about when its check fails.
struct Explain<'a>(&'a Actor);

impl Drop for Explain<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let client = self.0.client();
        let (number, end) = (client.number(), client.end());
        let (plan, received) = match self.0 {
            Actor::Plain(plan, _) => (plan.describe(), client.received().to_vec()),
            Actor::Secure(plan, wire, _) => {
                eprintln!("TLS: {:?}", wire.fault());
                (plan.describe(), wire.heard().bytes)
            }
            Actor::Streams(plan, begun) => {
                eprintln!("TLS: {:?}", begun.wire.fault());
                (plan.describe(), client.received().to_vec())
            }
        };
        let last = &received[received.len().saturating_sub(600)..];
        eprintln!("client {number}, end {end:?}, {plan}");
        eprintln!(
            "{} bytes received, the last: {}",
            received.len(),
            last.escape_ascii()
        );
    }
}

fn store_settings(random: &mut Random) -> StoreSettings {
    StoreSettings {
        bytes_max: random.pick(&[0, 100_000, 64 << 20]),
        entry_bytes_max: random.pick(&[0, 15_000, 150_000, 1 << 20]),
        descriptors_max: random.pick(&[0, 2, 100]),
        names_max: 1000,
    }
}

fn connection_settings(random: &mut Random) -> ConnectionSettings {
    let mut millis = |from, to| Duration::from_millis(random.between(from, to));
    ConnectionSettings {
        keepalive_timeout: millis(3_000, 20_000),
        header_timeout: millis(10_000, 20_000),
        send_timeout: millis(6_000, 20_000),
        handshake_timeout: millis(10_000, 20_000),
        handshakes_max: random.pick(&[1, 4, 256, 256]),
        h2: Some(H2Settings {
            max_concurrent_streams: random.pick(&[1, 3, 128]),
            initial_window: 65_535 + random.any_size(20) as u32,
            connection_window: 65_535 + random.any_size(22) as u32,
            ..H2Settings::default()
        }),
        hsts: random.pick(&[None, Some("max-age=1")]).map(str::to_owned),
        ..ConnectionSettings::default()
    }
}

fn make_worker(
    engine: SimEngine,
    settings: ConnectionSettings,
    site: &Site,
    store: &Arc<Store>,
) -> Worker<SimEngine> {
    let services = make_services(&engine, settings, site, store);
    Worker::new(engine, services)
}

fn make_services(
    engine: &SimEngine,
    settings: ConnectionSettings,
    site: &Site,
    store: &Arc<Store>,
) -> Services {
    services_of(engine, settings, site, make_sites(site, store))
}

fn make_sites(site: &Site, store: &Arc<Store>) -> Sites {
    let served = SiteSettings {
        root: Some(site.root()),
        ..SiteSettings::default()
    };
    let served = ServedSite::open(0, served, &Watch::off()).expect("it is there");
    let services = FileServices {
        store: Arc::clone(store),
        watch: Watch::off(),
        pool: Pool::new(2, 64),
        listings: Listings::default(),
    };
    Sites::new(Arc::new(Hosts::only()), &[Arc::new(served)], &services)
}

fn services_of(
    engine: &SimEngine,
    settings: ConnectionSettings,
    site: &Site,
    sites: Sites,
) -> Services {
    let tls = secure::server(site.beside_root());
    Services::new(sites, settings, Some(tls), engine.waker(), engine.now())
}

type Clients = Rc<RefCell<Vec<Actor>>>;

/// Lets clients come at their times. They make no plans after the beginning, so a run follows from
/// its seed whatever the worker does.
fn plan_clients(sim: &Sim, random: &mut Random, takes_long_requests: bool) -> Clients {
    let clients = Clients::default();
    let tls = ClientConfigs::new();
    for _ in 0..random.between(5, 40) {
        let begin = match random.below(8) {
            0..=2 => plan_plain(random),
            3 | 4 => plan_secure(random, &tls),
            what => {
                let tls = (what == 7).then(|| tls.http2(random));
                plan_streams(random, tls, takes_long_requests)
            }
        };
        let (starts_at, begin) = begin;
        assert!(starts_at < STARTS_WITHIN);
        let clients = Rc::clone(&clients);
        sim.after(starts_at, move |sim| clients.borrow_mut().push(begin(sim)));
    }
    clients
}

/// When a client comes, and how.
type Coming = (Duration, Box<dyn FnOnce(&Sim) -> Actor>);

fn plan_plain(random: &mut Random) -> Coming {
    let plan = Plan::new(random);
    let script = plan.script(random);
    let starts_at = plan.starts_at;
    let begin = move |sim: &Sim| {
        let client = sim.connect_with(PLAIN, script);
        Actor::Plain(plan, client)
    };
    (starts_at, Box::new(begin))
}

fn plan_secure(random: &mut Random, tls: &ClientConfigs) -> Coming {
    let mut plan = Plan::new(random);
    plan.is_secure = true;
    let script = plan.script(random);
    let config = tls.http1(random);
    let starts_at = plan.starts_at;
    let begin = move |sim: &Sim| {
        let client = sim.connect(SECURE);
        let wire = Wire::new(&client, Some(&config));
        let driver = Driver::new(sim, &client);
        driver.spawn(secure::follow(driver.clone(), wire.clone(), script));
        driver.go_on();
        Actor::Secure(plan, wire, driver)
    };
    (starts_at, Box::new(begin))
}

fn plan_streams(
    random: &mut Random,
    tls: Option<Arc<ClientConfig>>,
    takes_long_requests: bool,
) -> Coming {
    let plan = StreamsPlan::new(random, tls, takes_long_requests);
    let starts_at = plan.starts_at;
    let begin = move |sim: &Sim| {
        let listener = if plan.tls.is_some() { SECURE } else { PLAIN };
        let client = sim.connect(listener);
        let begun = plan.begin(sim, &client);
        begun.driver.go_on();
        Actor::Streams(Box::new(plan), begun)
    };
    (starts_at, Box::new(begin))
}

fn plan_changes(sim: &Sim, random: &mut Random, site: &Rc<RefCell<Site>>) {
    for _ in 0..random.below(6) {
        let site = Rc::clone(site);
        let len = random.any_size(14) as usize;
        let (small, big) = (
            site::content(random, len),
            site::content(random, 500_000 + len),
        );
        let what = random.below(5);
        sim.after(Duration::from_micros(random.any_size(23)), move |sim| {
            let (mut site, now) = (site.borrow_mut(), sim.elapsed());
            match what {
                0 | 1 => site.replace("changes.txt", small, now),
                2 => site.replace("changes.bin", big, now),
                3 => site.truncate("shrinks.bin", len, now),
                _ => site.toggle("goes.txt", small, now),
            }
        });
    }
}

fn random_end(random: &mut Random) -> Message {
    let millis = if random.chance(0.3) {
        0
    } else {
        random.any_size(14)
    };
    let grace = Duration::from_millis(millis);
    Message::Shutdown { grace }
}

/// Turns the worker until all clients are done, then until it has ended.
fn serve(worker: &mut Worker<SimEngine>, mailbox: &Mailbox, sim: &Sim, clients: &Clients) {
    let all_done = || {
        let clients = clients.borrow();
        let done = |client: &Client| client.is_closed() || client.has_left();
        sim.elapsed() > STARTS_WITHIN && clients.iter().all(|actor| done(actor.client()))
    };
    let (mut all_came, mut told) = (false, false);
    loop {
        if !told && (all_came || all_done()) && worker.connections_mut().is_empty() {
            told = true;
            mailbox.send(Message::Shutdown {
                grace: Duration::from_secs(5),
            });
        }
        match worker.turn() {
            Ok(Turn::Goes) => {}
            Ok(Turn::Ended) => return,
            // Nothing is left to happen: as it should be, when the worker is done with everybody.
            Err(_) if !told && worker.connections_mut().is_empty() => all_came = true,
            Err(error) => {
                let open = worker.connections_mut().len();
                panic!("{error}; {open} connections are open");
            }
        }
    }
}

/// What the cache says that it holds, it holds; what it was not allowed to hold, it does not.
fn check_store(store: Arc<Store>) {
    let store = Arc::into_inner(store).expect("the worker and its tasks have let go of it");
    if store.is_empty() {
        assert_eq!(
            store.live_bytes(),
            0,
            "bodies that nobody holds are paid for"
        );
        assert_eq!(
            store.live_descriptors(),
            0,
            "descriptors that nobody holds are paid for"
        );
    }
}
