//! Journals that something has happened to, and disks that have no room for one.

use std::path::PathBuf;

use super::*;

/// What is done to a lab's journal before the next broker starts.
type Spoil = fn(&Path);

fn damage_the_middle(journal: &Path) {
    let mut bytes = fs::read(journal).expect("a journal");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(journal, bytes).expect("a file");
}

#[test]
fn a_spoiled_journal_is_set_aside_with_a_clear_word_and_the_broker_starts() {
    let cases: [(Spoil, &str); 4] = [
        (
            |journal| fs::write(journal, "{}").expect("a file"),
            "wanted the header of a journal, found 2 bytes",
        ),
        (|journal| fs::write(journal, [b'x'; 99]).expect("a file"), "found a file that begins with xxxxxxxx"),
        (damage_the_middle, "at byte "),
        (
            |journal| {
                fs::remove_file(journal).expect("a journal");
                fs::create_dir(journal).expect("a folder");
            },
            "wanted a regular file",
        ),
    ];
    for (spoil, said) in cases {
        let mut lab = lamps(1).start();
        let mut client = lab.client();
        client.get(json!([any("lamp")]));
        lab.kill();
        let state = lab.home().join(".ave/state");
        let _ = fs::remove_file(state.join("journal.1"));
        spoil(&state.join("journal"));
        lab.restart();
        lab.wait_available(&["l0"]);
        lab.client().get(json!([any("lamp")]));
        let aside = fs::read_dir(&state).expect("a folder").flatten().map(|entry| entry.file_name());
        assert_eq!(aside.filter(|name| name.to_string_lossy().starts_with("journal.damaged-")).count(), 1);
        let log = lab.stop();
        assert!(log.contains("damaged and set aside") && log.contains(said), "{said}: {log}");
    }
}

#[test]
fn a_torn_journal_is_read_up_to_there() {
    let mut lab = lamps(1).start();
    let mut client = lab.client();
    client.get(json!([any("lamp")]));
    assert!(soil(lab.home(), "l0"));
    lab.kill();
    let journal = lab.home().join(".ave/state/journal");
    let mut bytes = fs::read(&journal).expect("a journal");
    bytes.extend([1, 2, 3]);
    fs::write(&journal, bytes).expect("a file");
    lab.restart();
    lab.wait_available(&["l0"]);
    lab.client().get(json!([any("lamp")]));
    assert!(soil(lab.home(), "l0"), "it was lent before it was clean");
    assert!(lab.stop().contains("never finished"));
}

/// A small disk, gone with the test.
struct Disk(PathBuf);

impl Disk {
    /// `None` where the test may not mount one.
    fn at(folder: PathBuf, megabytes: usize) -> Option<Disk> {
        fs::create_dir_all(&folder).expect("a folder");
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(&folder).output().ok()?;
        mounted.status.success().then_some(Disk(folder))
    }

    /// Leaves no room on it.
    fn fill(&self) {
        let full = fs::write(self.0.join("filling"), vec![0; 64 << 20]);
        assert!(full.is_err(), "it is small");
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filling")).expect("it was filled");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn on_a_full_disk_nothing_is_lent_and_everything_else_goes_on() {
    let plan = lamps(3);
    let home = plan.home();
    let Some(disk) = Disk::at(home.path().join(".ave/state"), 8) else {
        eprintln!("not tried: no disk can be mounted here");
        return;
    };
    let lab = Lab::start_in(home);
    let mut holder = lab.client();
    let got = holder.get(json!([{"type": "lamp", "uid": "l0"}]));
    let mut session = Peer::session_of(&got);
    disk.fill();
    // What is reserved is enough for a while, but not for this.
    let long = json!({"type": "wlan", "uid": "n1", "text": "x".repeat(1 << 20)});
    lab.lister().result("add_equipment", json!(["local", [long]]));
    let (kind, said) = lab.client().get_refused(json!([{"type": "lamp", "uid": "l1"}]));
    assert_eq!(kind, "Exception");
    assert!(said.starts_with("cannot lend: the journal ") && said.contains("No space left"), "{said}");
    session.result_on(&got["resources"][0], "get_profile", json!([]));
    holder.result("yield_resources", got["resources"].clone());
    lab.wait_available(&["l0", "l1", "l2", "n1"]);
    disk.make_room();
    let lent = || lab.client().call("get", json!([any("wlan")])).get("result").is_some();
    wait_until("something is lent again", lent);
    let log = lab.stop();
    assert_eq!(log.matches("nothing is lent before the journal can be written again").count(), 1, "{log}");
    assert_eq!(log.matches("the journal is written again").count(), 1, "{log}");
}
