//! A broker under load, killed at random instants: `AVE_KILLS` says how often, `AVE_SEED` when.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;

use ave_client::{Broker, Credential, Grant, Options};
use ave_profile::{Profile, Want};
use ave_protocol::arguments::Arguments;

use super::*;

const CLIENTS: usize = 8;
const LAMPS: usize = 24;

/// How often the broker is killed in a usual run of the tests.
const FEW: usize = 5;

/// Numbers that a seed determines.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What the clients and whoever kills their broker share.
struct Scene {
    /// Which broker is there now, and where. Whoever kills it holds this alone.
    broker: RwLock<(u64, std::net::SocketAddr)>,
    home: std::path::PathBuf,
    over: AtomicBool,
    granted: AtomicUsize,
    cut: AtomicUsize,
    /// Milliseconds between a kill and the last client that noticed it.
    noticed_after: AtomicU64,
    killed_at: Mutex<Instant>,
    wrong: Mutex<Vec<String>>,
}

impl Scene {
    fn complain(&self, what: String) {
        self.wrong.lock().expect("no panic").push(what);
    }

    /// Gets, uses and gives back, until it is over.
    fn work(&self, seed: u64) {
        let mut dice = Dice(seed | 1);
        while !self.over.load(Ordering::SeqCst) {
            let (generation, address) = *self.broker.read().expect("no panic");
            let options = Options { reply_limit: Some(PATIENCE), ..Options::default() };
            let address = (address.ip().to_string(), address.port());
            let mut broker = Broker::new(address, Credential::Anonymous, options);
            if let Err(error) = self.use_broker(&mut broker, generation, &mut dice) {
                self.judge(error, generation);
            }
        }
    }

    fn use_broker(&self, broker: &mut Broker, generation: u64, dice: &mut Dice) -> Result<(), ClientError> {
        for _ in 0..1 + dice.below(4) {
            let lamp = match dice.below(3) {
                0 => json!({"type": "lamp", "uid": format!("l{}", dice.below(LAMPS as u64))}),
                _ => any("lamp"),
            };
            let mut wanted = vec![Profile::of(lamp)];
            wanted.extend((dice.below(3) == 0).then(|| Profile::of(any("workspace"))));
            let grants = broker.get(&Want { groups: vec![wanted] })?;
            let profiles: Vec<Profile> = grants.iter().map(|grant| grant.profile.clone()).collect();
            if !self.use_pieces(broker, generation, grants)? {
                return Ok(());
            }
            if dice.below(2) == 0 {
                broker.yield_resources(profiles)?;
            }
        }
        Ok(())
    }

    /// False if the broker has been killed meanwhile: what it lent is not ours any more.
    fn use_pieces(&self, broker: &Broker, generation: u64, grants: Vec<Grant>) -> Result<bool, ClientError> {
        {
            let now = self.broker.read().expect("no panic");
            if now.0 != generation {
                return Ok(false);
            }
            let lamp = grants[0].profile["uid"].as_str().expect("a name");
            if !soil(&self.home, lamp) {
                self.complain(format!("broker {generation} lent {lamp}, which was not clean"));
            }
        }
        self.granted.fetch_add(1, Ordering::SeqCst);
        for grant in grants {
            broker.proxy(grant).call("get_profile", Arguments::default())?;
        }
        Ok(true)
    }

    fn judge(&self, error: ClientError, generation: u64) {
        let seen = Instant::now();
        match error {
            ClientError::Fault(fault) if matches!(fault.kind.as_str(), "Busy") => {}
            ClientError::Closed | ClientError::Refused if self.is_dead(generation) => {
                self.cut.fetch_add(1, Ordering::SeqCst);
                let after = seen.saturating_duration_since(*self.killed_at.lock().expect("no panic"));
                self.noticed_after.fetch_max(after.as_millis() as u64, Ordering::SeqCst);
            }
            error => self.complain(format!("broker {generation}: {error}")),
        }
    }

    /// Whether a broker was killed; one that is being killed is waited for.
    fn is_dead(&self, generation: u64) -> bool {
        self.broker.read().expect("no panic").0 != generation
    }
}

/// Tells everybody that it is over, also when something has failed.
struct Ending<'s>(&'s AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Kills the broker, and sometimes the next ones before they answer; how long the last of them took to start.
fn kill_and_start(lab: &mut Lab, scene: &Scene, dice: &mut Dice) -> Duration {
    let mut broker = scene.broker.write().expect("no panic");
    *scene.killed_at.lock().expect("no panic") = Instant::now();
    lab.kill();
    while dice.below(4) == 0 {
        let mut stillborn = lab.command();
        stillborn.arg("--foreground").stdout(Stdio::null()).stderr(Stdio::null());
        let mut stillborn = stillborn.spawn().expect("it starts");
        thread::sleep(Duration::from_millis(dice.below(60)));
        stillborn.kill().expect("a process");
        stillborn.wait().expect("it was killed");
    }
    let begun = Instant::now();
    lab.restart();
    *broker = (broker.0 + 1, lab.address());
    begun.elapsed()
}

#[test]
fn a_broker_killed_at_random_instants_loses_nothing_and_lends_nothing_twice() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let kills = number("AVE_KILLS").unwrap_or(FEW as u64) as usize;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let seed = number("AVE_SEED").unwrap_or(now.as_nanos() as u64) | 1;
    eprintln!("AVE_SEED={seed}");
    let mut lab = lamps(LAMPS).start();
    let scene = Scene {
        broker: RwLock::new((0, lab.address())),
        home: lab.home().to_owned(),
        over: AtomicBool::new(false),
        granted: AtomicUsize::new(0),
        cut: AtomicUsize::new(0),
        noticed_after: AtomicU64::new(0),
        killed_at: Mutex::new(Instant::now()),
        wrong: Mutex::default(),
    };
    let mut dice = Dice(seed);
    let mut starts = Vec::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..CLIENTS).map(|n| dice.below(u64::MAX) ^ n as u64).collect();
        for seed in workers {
            let scene = &scene;
            scope.spawn(move || scene.work(seed));
        }
        let _ending = Ending(&scene.over);
        let at_work = || scene.granted.load(Ordering::SeqCst) > kills && scene.cut.load(Ordering::SeqCst) > 0;
        let deadline = Instant::now() + PATIENCE;
        while starts.len() < kills || !at_work() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10 + dice.below(150)));
            starts.push(kill_and_start(&mut lab, &scene, &mut dice));
            if !scene.wrong.lock().expect("no panic").is_empty() {
                break;
            }
        }
    });
    let wrong = scene.wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "AVE_SEED={seed}: {wrong:#?}");
    wait_until("every lamp is free again", || lab.available().len() == LAMPS);
    wait_until("every lamp is clean", || entries(&lab.home().join("dirt")) == 0);
    wait_until("no workspace is left", || entries(&lab.home().join("workspaces")) == 0);
    assert_eq!(lab.list("list_allocations_all"), [""; 0]);
    starts.sort();
    let at = |percent: usize| starts[(starts.len() - 1) * percent / 100].as_millis();
    let (granted, cut) = (scene.granted.into_inner(), scene.cut.into_inner());
    assert!(granted > kills && cut > 0, "{granted} grants, {cut} cuts");
    println!(
        "{}",
        json!({
            "kills": starts.len(), "grants": granted, "clients cut off": cut, "lent twice": 0, "left behind": 0,
            "noticed within ms": scene.noticed_after.into_inner(),
            "start ms p50": at(50), "start ms p99": at(99), "start ms max": at(100),
        })
    );
}
