//! A new broker that is played: a process of its own, which goes as far as it is told and then fails as it is told.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::{env, io};

use serde_json::{Value, json};

use super::wire::{Wire, name_of};
use crate::support::{Lab, wait_until};

/// Tells the process which part it has.
const PART: &str = "AVE_TEST_PART";

/// What precedes each line of it.
const MARK: &str = "part: ";

/// More than any message holds, and less than the socket.
const FLOOD_BYTES: usize = 150_000;

/// How far a new broker comes before it fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    Connected,
    SaidHello,
    HeardDraft,
    SaidDrafted,
    HeardEstate,
    SaidReady,
    HeardYours,
}

pub(crate) const STEPS: [Step; 7] = [
    Step::Connected,
    Step::SaidHello,
    Step::HeardDraft,
    Step::SaidDrafted,
    Step::HeardEstate,
    Step::SaidReady,
    Step::HeardYours,
];

/// How it fails then.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// It ends, as one does that has crashed.
    Ends,
    /// It does nothing any more, and lives.
    Hangs,
    /// It says this, and does nothing any more.
    Says(Vec<u8>),
    /// It says more than any message holds.
    Floods,
}

/// The process, killed when dropped.
pub(crate) struct Part {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Part {
    /// Begins, and returns as soon as it has come that far and failed.
    pub(crate) fn play(lab: &Lab, step: Step, failure: &Failure) -> Part {
        let failure = match failure {
            Failure::Ends => json!("ends"),
            Failure::Hangs => json!("hangs"),
            Failure::Says(bytes) => json!(bytes),
            Failure::Floods => json!("floods"),
        };
        let part = json!({"home": lab.home(), "step": format!("{step:?}"), "failure": failure});
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "handover::part::played", "--ignored", "--nocapture"])
            .env(PART, part.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("this program runs");
        let lines = BufReader::new(child.stdout.take().expect("stdout"));
        let mut part = Part { child, lines };
        part.wait_for("done");
        part
    }

    fn wait_for(&mut self, wanted: &str) {
        let mut line = String::new();
        while !line.trim_end().ends_with(&format!("{MARK}{wanted}")) {
            line.clear();
            assert_ne!(
                self.lines.read_line(&mut line).expect("a line"),
                0,
                "it ended without having {wanted}"
            );
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a process");
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the played broker has ended", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a new broker says first that knows no drafts.
pub(crate) fn hello() -> Value {
    json!({"Hello": {"protocol": 1, "program": env!("CARGO_PKG_VERSION"), "snapshots": [1, 2]}})
}

/// What one says that takes a draft.
pub(crate) fn drafting_hello() -> Value {
    let mut hello = hello();
    hello["Hello"]["drafts"] = json!(true);
    hello
}

#[test]
#[ignore = "is played by other tests, in a process of its own"]
fn played() {
    let Ok(part) = env::var(PART) else { return };
    let part: Value = serde_json::from_str(&part).expect("JSON");
    let home = Path::new(part["home"].as_str().expect("a home"));
    let last = part["step"].as_str().expect("a step");
    let wire = Wire::to(home);
    let mut kept = Vec::new();
    for step in STEPS {
        match step {
            Step::Connected => {}
            Step::SaidHello => wire.say(&drafting_hello()),
            Step::HeardDraft => kept.extend(wire.hear_of("Draft").expect("a draft").1),
            Step::SaidDrafted => wire.say(&json!("Drafted")),
            Step::HeardEstate => kept.extend(wire.hear_of("Estate").expect("an estate").1),
            Step::SaidReady => wire.say(&json!("Ready")),
            Step::HeardYours => {
                let (message, _) = wire.hear().expect("an answer");
                assert_eq!(name_of(&message), "Yours");
            }
        }
        if format!("{step:?}") == last {
            break;
        }
    }
    println!("{MARK}done"); // before the last word, upon which this process may be killed
    if part["failure"] == "floods" {
        wire.send(&vec![0xA5; FLOOD_BYTES], &[]);
    } else if let Some(bytes) = part["failure"].as_array() {
        let bytes: Vec<u8> = bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
        wire.send(&bytes, &[]);
    }
    if part["failure"] != "ends" {
        // Until whoever plays it ends.
        let _ = io::stdin().read(&mut [0]);
    }
    drop((wire, kept));
}
