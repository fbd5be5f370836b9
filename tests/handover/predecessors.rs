//! An old broker that fails: the command says why, and no new broker stays.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use ave_core::{Core, Snapshot};
use ave_profile::{BrokerId, KindTable};
use serde_json::{Value, json};
use socket2::{SockRef, TcpKeepalive};

use super::wire::{Listening, Wire, memory, name_of, place};
use crate::support::{Client, Lab, brokers, only};

/// A real broker whose place at the private socket somebody else has taken.
struct Impostor {
    lab: Lab,
    listening: Listening,
}

impl Impostor {
    fn new() -> Impostor {
        let lab = Lab::of(&["h1"], &[]);
        let place = place(lab.home());
        fs::rename(&place, place.with_extension("real")).expect("the broker listens");
        let listening = Listening::at(lab.home());
        Impostor { lab, listening }
    }

    /// Has the command meet this old broker, and returns what it said when it failed.
    fn meets(&self, play: impl FnOnce(Wire) + Send) -> String {
        thread::scope(|scope| {
            scope.spawn(|| play(self.listening.accept()));
            self.lab.fails_to_hand_over()
        })
    }

    /// The real broker lends, and nobody else is there.
    fn ends_unharmed(self) {
        assert_eq!(brokers(self.lab.home()), [self.lab.serving()]);
        let place = place(self.lab.home());
        fs::rename(place.with_extension("real"), &place).expect("it was moved");
        let mut client = Client::of(&self.lab);
        let h1 = client.lent_one(only("h1"));
        self.lab.hand_over();
        assert!(h1.is_usable());
    }
}

fn says_hello(wire: &Wire) {
    let (message, _) = wire.hear().expect("a successor speaks first");
    assert_eq!(name_of(&message), "Hello");
    let hello = &message["Hello"];
    assert_eq!((&hello["protocol"], &hello["drafts"]), (&json!(1), &json!(true)));
    let versions = [0, 1].map(|at| hello["snapshots"][at].as_u64().expect("a version"));
    assert!(versions[0] >= 1 && versions[0] <= versions[1], "{message}");
}

fn begins(wire: &Wire) {
    says_hello(wire);
    wire.say(&json!({"Begin": {"generation": 1}}));
}

fn drafts(wire: &Wire, draft: &[u8]) {
    says_hello(wire);
    wire.say_with(&json!({"Draft": {"generation": 1}}), &[memory(draft).as_fd()]);
}

/// What an old broker passes on, with this in place of its snapshot, and no keys.
fn estate(snapshot: &[u8]) -> Vec<u8> {
    let length = u16::try_from(snapshot.len()).expect("a short one").to_be_bytes();
    [&[0x82, 0xA8], &b"snapshot"[..], &[0xC5], &length, snapshot, &[0xA4], b"keys", &[0x90]].concat()
}

fn listener() -> OwnedFd {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a port").into()
}

#[test]
fn an_old_broker_that_refuses_is_quoted() {
    let impostor = Impostor::new();
    let said = impostor.meets(|wire| {
        says_hello(&wire);
        wire.say(&json!({"Refused": {"reason": "it is Sunday"}}));
        wire.hear();
    });
    assert!(said.starts_with("ERROR: could not restart") && said.contains("it is Sunday"), "{said}");
    impostor.ends_unharmed();
}

/// Does something to a successor, and keeps the connection until that one has ended it.
type Play = fn(&Wire);

#[test]
fn an_old_broker_that_breaks_off_hangs_or_talks_nonsense_leaves_no_new_one() {
    let plays: [(&str, bool, Play); 16] = [
        ("breaks off at once", true, |_| {}),
        ("breaks off after Hello", true, says_hello),
        ("breaks off after Draft", true, |wire| drafts(wire, &[])),
        ("breaks off after Begin", true, begins),
        ("breaks off after Ready", true, |wire| {
            // As no estate was sent, nobody is ready.
            begins(wire);
            wire.say(&json!("Yours"));
        }),
        ("hangs at once", false, |_| {}),
        ("hangs after Hello", false, says_hello),
        ("hangs after Begin", false, begins),
        ("drafts without a file", false, |wire| {
            says_hello(wire);
            wire.say(&json!({"Draft": {"generation": 1}}));
        }),
        ("drafts what is none", false, |wire| drafts(wire, &[0xC1; 64])),
        ("drafts nothing", false, |wire| drafts(wire, &[])),
        ("sends what is no message", false, |wire| {
            says_hello(wire);
            wire.send(&[0xC1], &[]);
        }),
        ("sends an unknown message", false, |wire| {
            says_hello(wire);
            wire.say(&json!({"Nobody": {"knows": "this"}}));
        }),
        ("sends too much", false, |wire| {
            says_hello(wire);
            wire.send(&vec![0xA5; 200_000], &[]);
        }),
        ("sends a state that is none", false, |wire| {
            begins(wire);
            wire.say_with(
                &json!({"Estate": {"version": 1}}),
                &[memory(&[0xC1; 64]).as_fd(), listener().as_fd()],
            );
        }),
        ("sends no descriptors", false, |wire| {
            begins(wire);
            wire.say(&json!({"Estate": {"version": 1}}));
        }),
    ];
    for some in plays.chunks(4) {
        thread::scope(|scope| {
            for (case, ends, play) in some {
                scope.spawn(move || {
                    let impostor = Impostor::new();
                    let said = impostor.meets(|wire| {
                        play(&wire);
                        if !ends {
                            while wire.hear().is_some() {}
                        }
                    });
                    assert!(said.starts_with("ERROR: could not restart: "), "{case}: {said}");
                    assert!(said.trim().len() > "ERROR: could not restart: ".len() + 5, "{case}: {said}");
                    impostor.ends_unharmed();
                });
            }
        });
    }
}

#[test]
fn what_an_old_broker_passes_on_is_checked() {
    let whole = estate(&[0x93, 0x01, 0x90, 0x90]);
    let estates: [(&str, Vec<u8>); 8] = [
        ("nothing", vec![]),
        ("no message", vec![0xC1; 64]),
        ("a list", vec![0x90]),
        ("an endless list", vec![0xDD, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("a deep list", vec![0x91; 100_000]),
        ("an empty snapshot", estate(&[])),
        ("a snapshot that is none", whole.clone()),
        ("half of it", whole[..whole.len() / 2].to_vec()),
    ];
    let impostor = Impostor::new();
    for (case, estate) in &estates {
        let said = impostor.meets(|wire| {
            begins(&wire);
            wire.say_with(&json!("Estate"), &[memory(estate).as_fd(), listener().as_fd()]);
            while wire.hear().is_some() {}
        });
        assert!(said.starts_with("ERROR: could not restart: "), "{case}: {said}");
        assert_eq!(brokers(impostor.lab.home()), [impostor.lab.serving()], "{case}");
    }
    impostor.ends_unharmed();
}

#[test]
fn a_new_broker_that_does_not_come_to_rule_changes_nothing_of_the_socket() {
    let impostor = Impostor::new();
    let core = Core::new(KindTable::builtin(), BrokerId(1));
    let estate = estate(&core.snapshot().encode(Snapshot::OLDEST).expect("a version"));
    let listener = listener();
    let idle = Duration::from_secs(100);
    SockRef::from(&listener).set_tcp_keepalive(&TcpKeepalive::new().with_time(idle)).expect("a socket");
    impostor.meets(|wire| {
        begins(&wire);
        wire.say_with(&json!("Estate"), &[memory(&estate).as_fd(), listener.as_fd()]);
        assert_eq!(name_of(&wire.hear().expect("a word").0), "Ready");
    });
    assert_eq!(SockRef::from(&listener).tcp_keepalive_time().expect("a socket"), idle);
    impostor.ends_unharmed();
}

#[test]
fn who_comes_too_late_hears_who_was_first() {
    let impostor = Impostor::new();
    let said = impostor.meets(|_| {});
    let first = impostor.lab.serving();
    assert_eq!(said, format!("ERROR: could not restart: another process has just taken over: {first}\n"));
    impostor.ends_unharmed();
}

#[test]
fn nobody_at_the_private_socket_is_said() {
    let lab = Lab::of(&["h1"], &[]);
    let place = place(lab.home());
    fs::rename(&place, place.with_extension("real")).expect("the broker listens");
    let said = lab.fails_to_hand_over();
    let rules = format!("ERROR: could not restart: process {}, which rules, has not opened ", lab.serving());
    assert!(said.starts_with(&rules) && said.contains("handover"), "{said}");
    assert_eq!(brokers(lab.home()), [lab.serving()]);
    let _: Value = lab.client().get(json!([only("h1")]));
}
