//! Many clients that get, use, give back and try to reach what is not theirs, while the broker is replaced again and
//! again, by two builds in turns, and now and then by one that fails. Whatever they see but `Restarting` is a
//! failure. It prints what it counted, one line of JSON each.
//!
//! | variable | what it sets |
//! |---|---|
//! | `AVE_SOAK_CLIENTS`, `AVE_SOAK_RESTARTS` | how many; few by default |
//! | `AVE_SOAK_OLDER` | a build whose snapshots are older, to restart with every second time |
//! | `AVE_SOAK_PYTHON` | a Python with the wheel, for a tenth of the clients |
//! | `AVE_SOAK_PAUSE_MS` | the 99th percentile of the time in which nobody lends must not be longer |

mod claims;
mod client;
mod tally;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use serde_json::{Value, json};

use crate::handover::part::{Failure, Part, STEPS};
use crate::support::{Lab, brokers, outcome, piece, stacks, wait_until};
use claims::Claims;
use client::{Dice, Experience, GETS_MAX, Scene, live};
use tally::{Span, Tally, percentiles};

/// Nobody reads what so many clients have the broker log.
const QUIETLY: &str = "AVE_LOG=ave_broker=warn exec \"$@\"";

/// Every so many restarts, one that fails precedes.
const FAILURE_EVERY: usize = 3;

/// Threads of one process of Python clients.
const PYTHON_THREADS: usize = 10;

/// How many stacks a client can hold or have in the making at once, at most: one for each that it asks for, and
/// those of its last life, which are being closed.
const STACKS_PER_CLIENT: usize = 2 * GETS_MAX as usize;

/// How long one of so many clients thinks at most: the more there are the longer, so that they leave the machine some
/// time. What is measured is the broker.
const THOUGHT_PER_CLIENT: Duration = Duration::from_millis(10);

fn number(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

/// A lab with this many stacks of a handset and a relay, all on paper.
fn lab(count: usize) -> Lab {
    let pairs: Vec<_> = (0..count).map(|number| [format!("h{number}"), format!("r{number}")]).collect();
    let equipment = pairs.iter().flatten().map(|name| piece(name)).collect();
    let stacked: Vec<Vec<&str>> =
        pairs.iter().map(|pair| pair.iter().map(String::as_str).collect()).collect();
    let stacked: Vec<&[&str]> = stacked.iter().map(Vec::as_slice).collect();
    let unlimited = json!({"stacks": stacks(&stacked)});
    Lab::plan().equipment(equipment).broker(unlimited).launched_by(QUIETLY).start()
}

/// Clients of the wheel, a process for some threads of them each. They end with their input.
struct Scripts(Vec<Child>);

impl Scripts {
    fn start(python: &Path, count: usize, scene: &Scene) -> Scripts {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pytests/soak_clients.py");
        let start = |number: usize| {
            let threads = PYTHON_THREADS.min(count - number * PYTHON_THREADS);
            let port = scene.broker.port().to_string();
            Command::new(python)
                .arg(&script)
                .args([&port, &threads.to_string(), &number.to_string()])
                .arg(scene.thought_max.as_secs_f64().to_string())
                .arg(scene.claims.folder())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("python")
        };
        Scripts((0..count.div_ceil(PYTHON_THREADS)).map(start).collect())
    }

    /// Lets them come to an end, and returns what they counted.
    fn end(mut self) -> Tally {
        let mut tally = Tally::default();
        self.0.iter_mut().for_each(|child| drop(child.stdin.take()));
        for child in &mut self.0 {
            let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
            let counted = lines.map_while(Result::ok).filter_map(|line| Tally::parse(&line)).last();
            tally.add(counted.expect("a script counts what it has seen"));
            assert!(child.wait().expect("a child").success());
        }
        tally
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What the restarts came to.
#[derive(Default)]
struct Restarts {
    /// Those that succeeded, from the command's start to its end.
    good: Vec<Span>,
    /// Those that were made to fail.
    bad: Vec<Span>,
    /// For how long nobody lent anything, as the new brokers tell it.
    pauses: Vec<Duration>,
    /// At which step and how those failed, and how many did so.
    failures: BTreeMap<String, usize>,
    generations_max: usize,
}

impl Restarts {
    fn good_one(&mut self, lab: &Lab, program: &Path) {
        let before = lab.serving();
        let begun = Instant::now();
        let ended =
            outcome(Command::new(program).args(["--restart", "--allow-root", "--home"]).arg(lab.home()));
        assert_eq!(ended.status, Some(0), "{}: {ended:?}", program.display());
        self.good.push(Span::since(begun));
        self.pauses.push(last_pause(lab));
        assert_ne!(lab.serving(), before);
        self.generations_max = self.generations_max.max(brokers(lab.home()).len());
    }

    /// A new broker that ends, is killed or hangs at one of the steps.
    fn bad_one(&mut self, lab: &Lab, dice: &mut Dice) {
        let before = lab.serving();
        let begun = Instant::now();
        let step = STEPS[dice.roll(STEPS.len() as u64) as usize];
        let how = ["ends", "talks nonsense", "is killed", "hangs"][dice.roll(4) as usize];
        let failure = match how {
            "ends" => Failure::Ends,
            "talks nonsense" => Failure::Says(vec![0xC1]),
            _ => Failure::Hangs,
        };
        let part = Part::play(lab, step, &failure);
        match how {
            "is killed" => thread::sleep(Duration::from_millis(dice.roll(200))),
            // Until it has been given up, and a client is served again.
            _ => drop(lab.admin().result("list_available", json!([]))),
        }
        drop(part);
        *self.failures.entry(format!("{step:?}, {how}")).or_default() += 1;
        self.bad.push(Span::since(begun));
        assert_eq!(lab.serving(), before);
    }
}

/// What the broker that rules has logged of the time in which nobody did.
fn last_pause(lab: &Lab) -> Duration {
    let log = |name: &str| fs::read_to_string(lab.home().join(".ave/log").join(name)).unwrap_or_default();
    let logs = log("ave-broker.log.1") + &log("ave-broker.log"); // it may have been put aside meanwhile
    let (_, told) = logs.rsplit_once(" within_ms=").expect("it says when it listens");
    let told = told.split_whitespace().next().expect("a number");
    Duration::from_secs_f64(told.parse::<f64>().expect("a number") / 1e3)
}

#[test]
fn clients_at_work_see_nothing_of_restarts_but_restarting() {
    let (clients, restarts) = (number("AVE_SOAK_CLIENTS", 24), number("AVE_SOAK_RESTARTS", 6));
    let python = env::var_os("AVE_SOAK_PYTHON").map(PathBuf::from);
    let older = env::var_os("AVE_SOAK_OLDER").map(PathBuf::from);
    let current = PathBuf::from(env!("CARGO_BIN_EXE_ave-broker"));
    let programs = [older.as_ref().unwrap_or(&current), &current];
    let scripted = if python.is_some() { clients / 10 } else { 0 };

    let lab = lab(clients * STACKS_PER_CLIENT);
    let folder = tempfile::tempdir().expect("a folder");
    let scene = Scene {
        broker: lab.address(),
        claims: Claims::at(folder.path()),
        is_over: AtomicBool::new(false),
        thought_max: THOUGHT_PER_CLIENT * u32::try_from(clients).expect("fewer"),
    };
    let scripts = python.map(|python| Scripts::start(&python, scripted, &scene));
    let mut seen = Experience::default();
    let mut made = Restarts::default();
    thread::scope(|scope| {
        let scene = &scene;
        let lives: Vec<_> =
            (scripted..clients).map(|seed| scope.spawn(move || live(scene, seed as u64))).collect();
        let mut dice = Dice::new(0);
        // Whatever fails here, the clients come to their end.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..restarts {
                if round % FAILURE_EVERY == FAILURE_EVERY - 1 {
                    made.bad_one(&lab, &mut dice);
                }
                made.good_one(&lab, programs[round % 2]);
                thread::sleep(Duration::from_millis(dice.roll(400)));
            }
        }));
        scene.is_over.store(true, Ordering::Relaxed);
        for life in lives {
            let Experience { tally, waits } = life.join().expect("no panic");
            seen.tally.add(tally);
            seen.waits.extend(waits);
        }
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    if let Some(scripts) = scripts {
        seen.tally.add(scripts.end());
    }
    report(&seen, &made, json!({"clients": clients, "python": scripted}));
    judge(&seen.tally, percentiles(made.pauses));
    wait_until("all is free again", || lab.available().len() == clients * STACKS_PER_CLIENT * 2);
    lab.wait_generations(1);
}

fn report(seen: &Experience, made: &Restarts, scale: Value) {
    let is_quiet = |wait: &&Span| wait.is_apart_from(&made.good) && wait.is_apart_from(&made.bad);
    let quiet = seen.waits.iter().filter(is_quiet).map(|wait| wait.length()).collect();
    // Who waited for a process that failed, too, says nothing of those that do not.
    let waits: Vec<_> = seen.waits.iter().copied().filter(|wait| wait.is_apart_from(&made.bad)).collect();
    let longest = made.good.iter().filter_map(|restart| restart.longest_of(&waits)).collect();
    let commands = made.good.iter().map(|restart| restart.length()).collect();
    let count = json!({
        "restarts": made.good.len(), "failed on purpose": made.bad.len(), "failures": made.failures,
        "generations at once": made.generations_max,
    });
    for (what, figures) in [
        ("scale", scale),
        ("restarts", count),
        ("clients saw", json!(seen.tally.done)),
        ("clients must not see", json!(seen.tally.failed)),
        ("nobody lends", percentiles(made.pauses.clone())),
        ("the longest get of each restart", percentiles(longest)),
        ("a get between restarts", percentiles(quiet)),
        ("the command", percentiles(commands)),
    ] {
        println!("{}", json!({"soak": what, "figures": figures}));
    }
}

fn judge(tally: &Tally, pauses: Value) {
    for what in ["gets", "calls", "yields", "kept out"] {
        assert!(tally.of(what) > 0, "nobody ever came to {what}: {tally:?}");
    }
    assert!(tally.failed.is_empty(), "{:?}", tally.failed);
    if let Some(limit_ms) = env::var("AVE_SOAK_PAUSE_MS").ok().and_then(|text| text.parse::<f64>().ok()) {
        assert!(pauses["p99_ms"].as_f64().is_some_and(|p99_ms| p99_ms <= limit_ms), "{pauses}");
    }
}
