//! The clock on the wall: it may be wrong, and it may be set while the broker runs. What the broker decides, it
//! decides by a clock that only goes on.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{Lab, Peer, only, wait_until};

/// Who may look at it, because a person reads what becomes of it, or another machine's files are dated by it.
const LOOK: [(&str, &str); 7] = [
    ("broker/adb/src/transfer.rs", "the date of a file that is pushed"),
    ("broker/server/src/daemon/hickup.rs", "the name of a dump"),
    ("broker/server/src/drivers/handset/android/mod.rs", "the name of a file of a handset's"),
    ("broker/server/src/drivers/relay/stamp.rs", "when a relay was switched, for a script's log"),
    ("broker/server/src/journal/entry.rs", "when a journal was begun"),
    ("broker/server/src/journal/recovery.rs", "the name of a journal that is set aside"),
    ("broker/server/src/usb.rs", "the birth of a device's folder, by which it is told from another one"),
];

/// How one looks at it.
const WORDS: [&str; 4] = ["SystemTime", "UNIX_EPOCH", "Utc::now", "Local::now"];

#[test]
fn nothing_is_decided_by_the_clock_on_the_wall() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project");
    let mut folders: Vec<_> = ["profile", "core", "protocol", "client", "adb", "server"]
        .map(|part| root.join("broker").join(part).join("src"))
        .into();
    folders.push(root.join("client-py/src"));
    let (mut sources, mut looking) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources += 1;
                let text = fs::read_to_string(&path).expect("a source");
                if WORDS.iter().any(|word| text.contains(word)) {
                    looking.push(path.strip_prefix(&root).expect("of the project").to_owned());
                }
            }
        }
    }
    assert!(sources > 100, "{sources} sources");
    looking.sort();
    assert_eq!(looking, LOOK.map(|(path, _)| PathBuf::from(path)));
}

/// What makes a program see another clock on the wall, where that is installed.
fn fake_clock() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime"));
    let found = folders.map(|folder| folder.join("libfaketime.so.1")).find(|path| path.exists());
    if found.is_none() {
        eprintln!("SKIPPED: there is no libfaketime on this machine (package faketime)");
    }
    found
}

#[test]
fn a_clock_that_is_set_back_or_forward_changes_nothing() {
    let Some(library) = fake_clock() else { return };
    let script = format!(
        "echo +0 > \"$0/clock\"; export LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE=\"$0/clock\" FAKETIME_NO_CACHE=1 \
         FAKETIME_DONT_FAKE_MONOTONIC=1; exec \"$@\"",
        library.display()
    );
    let lab = Lab::having(&["h1", "r1"]).launched_by(&script).start();
    let mut holder = lab.client();
    let mut proxy = Peer::session_of(&holder.get(json!([only("h1")])));
    let mut dates = vec![date(&lab.log())];
    for jump in ["-40d", "+400d", "+0"] {
        let mut stranger = Peer::challenged(lab.address());
        fs::write(lab.home().join("clock"), jump).expect("the clock");
        let mut client = lab.client();
        client.get(json!([only("r1")]));
        client.close();
        lab.wait_available(&["r1"]);
        let before = dates.last().cloned();
        wait_until("the log says another day", || Some(date(&lab.log())) != before);
        dates.push(date(&lab.log()));
        proxy.result_on(&only("h1"), "get_profile", json!([]));
        stranger.send(&stranger.digest(""));
        assert_eq!(stranger.read_verdict().result("get_version", json!([])), 1, "it had not waited long");
    }
    assert!(dates[1] < dates[0] && dates[2] > dates[0], "the clock was set: {dates:?}");
    assert_eq!(lab.list("list_allocations_all"), ["h1"]);
    holder.close();
    wait_until("all is free", || lab.available().len() == 2);
}

/// The day on which the last line of a log was written.
fn date(log: &str) -> String {
    log.lines().last().expect("a line").trim_start().chars().take(10).collect()
}
