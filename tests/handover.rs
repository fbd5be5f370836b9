//! What can go wrong between an old broker and a new one: one of the two is played by the test, and fails at each
//! step of the exchange in each way. The other one is real, and goes on as if nothing had happened.

pub(crate) mod part;
mod predecessors;
mod wire;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::plugins::python;
use crate::support::{Client, Lab, Lent, Peer, brokers, names, only, wait_until};
use part::{Failure, Part, STEPS, Step, drafting_hello, hello};
use wire::{Wire, content, name_of, place};

/// A broker with `h1` in somebody's hands, and a client without anything.
struct Scene {
    lab: Lab,
    holder: Client,
    h1: Lent,
    used: Peer,
    bystander: Peer,
}

impl Scene {
    fn new() -> Scene {
        let lab = Lab::of(&["h1", "h2"], &[]);
        let mut holder = Client::of(&lab);
        let h1 = holder.lent_one(only("h1"));
        let mut used = h1.proxy();
        used.result_on(&h1.profile, "get_profile", json!([]));
        let bystander = lab.client();
        Scene { lab, holder, h1, used, bystander }
    }

    /// The old broker goes on as if nothing had happened: what was asked for meanwhile is lent, once.
    fn ends_unharmed(mut self, case: &str) {
        let granted = self.bystander.reply().unwrap_or_else(|| panic!("{case}: the bystander was cut off"));
        assert_eq!(granted["result"]["resources"].as_array().map(Vec::len), Some(1), "{case}: {granted}");
        assert_eq!(names(&granted["result"]["resources"]), ["h2"], "{case}");
        assert_eq!(
            self.used.result_on(&self.h1.profile, "get_profile", json!([])),
            self.h1.profile,
            "{case}"
        );
        assert!(self.h1.is_usable(), "{case}");
        assert_eq!(brokers(self.lab.home()), [self.lab.serving()], "{case}");
        assert_eq!(Client::of(&self.lab).refused(json!([only("h1")])).0, "Busy", "{case}");
        self.bystander.close();
        self.lab.wait_available(&["h2"]);
        assert_eq!(self.holder.lent_one(only("h2")).name, "h2", "{case}: no `Restarting`");
        // Nor is the way barred to one that works.
        self.lab.hand_over();
        assert!(self.h1.is_usable(), "{case}");
        self.holder.close();
        self.lab.wait_available(&["h1", "h2"]);
    }

    /// Somebody asks for `h2`, and gets the answer later.
    fn ask(&mut self) {
        self.bystander.ask(&Value::Null, "get", json!([only("h2")]));
    }
}

/// Plays each of these beside each other: those that hang take seconds.
fn all(cases: Vec<(Step, Failure)>, play: impl Fn(Step, &Failure) + Sync) {
    assert!(!cases.is_empty());
    thread::scope(|scope| {
        let play = &play;
        let cases: Vec<_> =
            cases.into_iter().map(|(step, how)| scope.spawn(move || play(step, &how))).collect();
        for case in cases {
            case.join().expect("no panic");
        }
    });
}

#[test]
fn a_successor_that_ends_at_any_step_changes_nothing() {
    all(STEPS.map(|step| (step, Failure::Ends)).into(), |step, failure| {
        let mut scene = Scene::new();
        let _part = Part::play(&scene.lab, step, failure);
        scene.ask();
        scene.ends_unharmed(&format!("{step:?}"));
    });
}

#[test]
fn a_successor_that_is_killed_at_any_step_changes_nothing() {
    all(STEPS.map(|step| (step, Failure::Hangs)).into(), |step, failure| {
        let mut scene = Scene::new();
        let mut part = Part::play(&scene.lab, step, failure);
        scene.ask();
        part.kill();
        scene.ends_unharmed(&format!("{step:?}"));
    });
}

#[test]
fn a_successor_that_hangs_at_any_step_is_given_up() {
    all(STEPS.map(|step| (step, Failure::Hangs)).into(), |step, failure| {
        let mut scene = Scene::new();
        let mut part = Part::play(&scene.lab, step, failure);
        scene.ask();
        if step == Step::HeardYours {
            // It was told that all is its own, and might act on it at any time: it must not live.
            assert_eq!(part.ended().code(), None, "killed");
        }
        scene.ends_unharmed(&format!("{step:?}"));
    });
}

#[test]
fn a_successor_that_talks_nonsense_at_any_step_changes_nothing() {
    let encoded = |message: &Value| rmp_serde::to_vec_named(message).expect("it can be encoded");
    let nonsense: Vec<Vec<u8>> = vec![
        vec![],
        vec![0xC1],
        vec![0x81, 0xA5],
        vec![0x91; 4096],
        vec![0xDF, 0xFF, 0xFF, 0xFF, 0xFF],
        encoded(&json!({"Nobody": {"knows": "this"}})),
        encoded(&json!("Mine")),
        encoded(&json!("Yours")),
        encoded(&json!({"Hello": {"protocol": "one"}})),
        encoded(&json!({"Departed": {"session": 1, "item": 1, "outcome": "closed"}})),
    ];
    let mut cases = Vec::new();
    for (at, step) in STEPS.into_iter().enumerate() {
        // Each kind of nonsense at some steps, each step with several kinds.
        let some = nonsense.iter().enumerate().filter(|(number, _)| (number + at) % 3 == 0);
        // Once it has said that it is ready, one word is the right one.
        let is_ready = matches!(step, Step::SaidReady | Step::HeardYours);
        let some = some.filter(|(_, bytes)| !is_ready || **bytes != encoded(&json!("Mine")));
        cases.extend(some.map(|(_, bytes)| (step, Failure::Says(bytes.clone()))));
        cases.push((step, Failure::Floods));
    }
    for some in cases.chunks(6) {
        all(some.to_vec(), |step, failure| {
            let mut scene = Scene::new();
            let _part = Part::play(&scene.lab, step, failure);
            scene.ask();
            scene.ends_unharmed(&format!("{step:?} {:?}", shortened(failure)));
        });
    }
}

fn shortened(failure: &Failure) -> String {
    format!("{failure:?}").chars().take(60).collect()
}

#[test]
fn a_successor_of_another_kind_is_refused_with_the_reason() {
    let program = "x.y.z";
    let strangers = [
        json!({"Hello": {"protocol": 2, "program": program, "snapshots": [1, 2]}}),
        json!({"Hello": {"protocol": 0, "program": program, "snapshots": [1, 2]}}),
        json!({"Hello": {"protocol": 1, "program": program, "snapshots": [98, 99]}}),
        json!({"Hello": {"protocol": 1, "program": program, "snapshots": [0, 0]}}),
    ];
    for stranger in strangers {
        let mut scene = Scene::new();
        let wire = Wire::to(scene.lab.home());
        wire.say(&stranger);
        let (message, descriptors) = wire.hear().expect("an answer");
        assert_eq!((name_of(&message), descriptors.len()), ("Refused", 0), "{stranger}");
        let reason = message["Refused"]["reason"].as_str().expect("a reason");
        assert!(reason.len() > 10, "{stranger}: {reason}");
        scene.ask();
        scene.ends_unharmed(&stranger.to_string());
    }
}

/// The real one this time. Whenever it dies, there is one broker that lends, or the broker has crashed: never two,
/// and nobody who holds something that another one lends.
#[test]
fn a_real_successor_that_is_killed_at_any_moment_leaves_one_broker_or_none() {
    let (mut carried_on, mut crashed) = (0, 0);
    for round in 0..16 {
        let lab = Lab::of(&["h1", "h2"], &[]);
        let mut holder = Client::of(&lab);
        let h1 = holder.lent_one(only("h1"));
        let old = lab.serving();
        let mut command =
            lab.restarting().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs");
        let new = || brokers(lab.home()).into_iter().find(|pid| *pid != old);
        wait_until("the new process runs", || new().is_some());
        thread::sleep(Duration::from_millis(5 * round)); // the moment differs, and none is wrong
        kill_process(new().expect("it runs"), Signal::KILL).expect("a process");
        let succeeded = command.wait().expect("a child").success();
        wait_until("it is clear who lends", || brokers(lab.home()).is_empty() || lab.serving() == old);
        if brokers(lab.home()).is_empty() {
            crashed += 1;
            assert!(holder.broker.ends(), "a crash ends all sessions");
            continue;
        }
        carried_on += 1;
        assert!(!succeeded, "round {round}");
        assert_eq!(holder.lent_one(only("h2")).name, "h2", "round {round}");
        assert!(h1.is_usable(), "round {round}");
        holder.close();
        lab.wait_available(&["h1", "h2"]);
    }
    assert!(carried_on > 0, "{crashed} crashed");
}

#[test]
fn only_one_successor_is_served_at_a_time() {
    let mut scene = Scene::new();
    let mut first = Part::play(&scene.lab, Step::HeardEstate, &Failure::Hangs);
    let wire = Wire::to(scene.lab.home());
    wire.say(&hello());
    // It is told so, or waits until the first one has failed; in no case it is given the same.
    scene.ask();
    first.kill();
    match wire.hear() {
        Some((message, _)) if name_of(&message) == "Refused" => {}
        Some((message, _)) => assert_eq!(name_of(&message), "Begin"),
        None => {}
    }
    drop(wire);
    scene.ends_unharmed("two at once");
}

#[test]
fn until_a_successor_has_taken_a_draft_in_lending_goes_on() {
    let mut scene = Scene::new();
    let mut part = Part::play(&scene.lab, Step::HeardDraft, &Failure::Hangs);
    let h2 = scene.holder.lent_one(only("h2"));
    scene.holder.give_back(&[h2]).expect("it was lent");
    assert_eq!(Client::of(&scene.lab).refused(json!([only("h1")])).0, "Busy");
    scene.ask();
    part.kill();
    scene.ends_unharmed("it was drafting");
}

/// What is lent, given back, plugged and unplugged between the draft and the rest is what counts.
#[test]
fn what_changes_after_the_draft_is_passed_on() {
    let mut scene = Scene::new();
    let wire = Wire::to(scene.lab.home());
    wire.say(&drafting_hello());
    let (_, draft) = wire.hear_of("Draft").expect("a draft");
    assert_eq!(draft.len(), 1);
    let h2 = scene.holder.lent_one(only("h2"));
    scene.holder.give_back(std::slice::from_ref(&scene.h1)).expect("it was lent");
    scene.lab.wait_available(&["h1"]);
    wire.say(&json!("Drafted"));
    let (_, estate) = wire.hear_of("Estate").expect("an estate");
    let estate = content(estate.into_iter().next().expect("a file"));
    let says = |name: &[u8]| estate.windows(name.len()).any(|found| found == name);
    assert!(says(b"h2") && !says(b"h1"), "what is in use, and nothing that the draft says");
    drop(wire);
    assert!(h2.is_usable());
}

#[test]
fn while_somebody_takes_over_clients_wait_and_everything_but_a_get_goes_on() {
    let mut scene = Scene::new();
    let mut part = Part::play(&scene.lab, Step::HeardEstate, &Failure::Hangs);
    scene.ask();
    // A new connection waits to be accepted, and is served in the end.
    let address = scene.lab.address();
    let newcomer = thread::spawn(move || Client::at(address).refused(json!([only("h1")])));
    assert_eq!(scene.used.result_on(&scene.h1.profile, "get_profile", json!([])), scene.h1.profile);
    assert_eq!(scene.holder.allocations(), ["h1"]);
    part.kill();
    assert_eq!(newcomer.join().expect("no panic").0, "Busy");
    scene.ends_unharmed("somebody came meanwhile");
}

#[test]
fn a_proxy_that_shows_its_key_while_somebody_fails_to_take_over_reaches_an_older_process() {
    let scene = Scene::new();
    scene.lab.hand_over();
    let (address, key) = scene.h1.door();
    let mut proxy = Peer::challenged(address);
    let mut part = Part::play(&scene.lab, Step::HeardEstate, &Failure::Hangs);
    proxy.send(&proxy.digest(&key));
    part.kill();
    let mut proxy = proxy.read_verdict();
    assert!(proxy.authenticated);
    assert_eq!(proxy.result_on(&scene.h1.profile, "get_profile", json!([])), scene.h1.profile);
}

#[test]
fn who_gives_back_while_somebody_fails_to_take_over_has_given_back() {
    let mut scene = Scene::new();
    let mut part = Part::play(&scene.lab, Step::HeardEstate, &Failure::Hangs);
    scene.holder.give_back(std::slice::from_ref(&scene.h1)).expect("it was lent");
    scene.bystander.ask(&Value::Null, "get", json!([only("h1")]));
    part.kill();
    assert_eq!(names(&scene.bystander.reply().expect("an answer")["result"]["resources"]), ["h1"]);
    scene.lab.wait_available(&["h2"]);
}

#[test]
fn a_client_that_vanishes_while_its_get_is_held_back_is_given_nothing() {
    let mut scene = Scene::new();
    let mut part = Part::play(&scene.lab, Step::HeardEstate, &Failure::Hangs);
    scene.ask();
    scene.bystander.close();
    part.kill();
    scene.lab.wait_available(&["h2"]);
    scene.holder.close();
    scene.lab.wait_available(&["h1", "h2"]);
}

#[test]
fn what_passes_is_the_socket_the_state_and_nothing_for_other_users() {
    let scene = Scene::new();
    let mode = fs::metadata(place(scene.lab.home())).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let wire = Wire::to(scene.lab.home());
    wire.say(&hello());
    let (_, descriptors) = wire.hear_of("Estate").expect("an estate");
    assert_eq!(descriptors.len(), 2);
    let listening = std::net::TcpListener::from(descriptors.into_iter().nth(1).expect("a socket"));
    assert_eq!(listening.local_addr().expect("an address").port(), scene.lab.address().port());
}

#[test]
fn another_user_cannot_take_over() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let mut scene = Scene::new();
    for path in ["", ".ave", ".ave/run", ".ave/run/handover"] {
        let mode = fs::Permissions::from_mode(0o777);
        fs::set_permissions(scene.lab.home().join(path), mode).expect("a path");
    }
    let takes = "import socket, sys\n\
                 s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n\
                 s.settimeout(20)\n\
                 s.connect(sys.argv[1])\n\
                 try:\n    s.send(bytes.fromhex(sys.argv[2]))\n    print(s.recv(1 << 16).hex())\n\
                 except OSError:\n    print()\n";
    let said: String = rmp_serde::to_vec_named(&hello())
        .expect("it can be encoded")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", python(), "-c", takes])
        .arg(place(scene.lab.home()))
        .arg(said)
        .stdin(Stdio::null())
        .output()
        .expect("setpriv");
    assert!(output.status.success(), "{output:?}");
    let heard = String::from_utf8(output.stdout).expect("UTF-8");
    let heard: Vec<u8> = (0..heard.trim().len() / 2)
        .map(|at| u8::from_str_radix(&heard[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    if !heard.is_empty() {
        let message: Value = rmp_serde::from_slice(&heard).expect("MessagePack");
        assert_eq!(name_of(&message), "Refused");
    }
    scene.ask();
    scene.ends_unharmed("another user came");
}

#[test]
fn a_hundred_failures_in_a_row_leave_no_descriptor_behind() {
    let mut scene = Scene::new();
    let open = || fs::read_dir(format!("/proc/{}/fd", scene.lab.pid())).expect("a process").count();
    let before = open();
    for _ in 0..100 {
        let wire = Wire::to(scene.lab.home());
        wire.say(&hello());
        wire.hear_of("Estate").expect("an estate");
    }
    wait_until("everything is closed", || open() <= before);
    scene.ask();
    scene.ends_unharmed("a hundred failures");
}
