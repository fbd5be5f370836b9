use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ave_core::Core;
use ave_profile::{BrokerId, Kind, KindTable};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::*;

use crate::drivers::Drivers;
use crate::drivers::place::{Place, Sweep};
use crate::hub::{Hub, HubHandle};
use crate::sightings::Sightings;

const PATIENCE: Duration = Duration::from_secs(60);

/// Long enough for a program to start on a busy machine, short enough to wait for.
const GRACE: Duration = Duration::from_secs(5);

/// A hub that is told what a lister of ovens finds, and a folder for its programs and lists.
struct Kitchen {
    folder: tempfile::TempDir,
    kind: Arc<Kind>,
    hub: HubHandle,
}

/// Nothing is left of anybody.
fn sweep() -> Sweep {
    Sweep::new(Path::new("/nowhere"))
}

impl Kitchen {
    fn new() -> Kitchen {
        let oven = json!({"type": "oven", "identity": "uid", "defaults": {"power_state": "online"}});
        let kinds = KindTable::new([serde_json::from_value(oven).unwrap()]);
        let kind = kinds.get("oven").unwrap().clone();
        let (hub, handle) =
            Hub::new(Core::new(kinds, BrokerId(1)), Drivers::new(BTreeMap::new(), sweep()), Arc::default());
        tokio::spawn(hub.run(CancellationToken::new()));
        Kitchen { folder: tempfile::tempdir().unwrap(), kind, hub: handle }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Whoever reads meanwhile sees the old or the new content.
    fn write(&self, name: &str, content: impl ToString) {
        let unfinished = self.file(".unfinished");
        fs::write(&unfinished, content.to_string()).unwrap();
        fs::rename(unfinished, self.file(name)).unwrap();
    }

    fn watch(&self, watch: impl Watch + 'static) -> JoinHandle<()> {
        tokio::spawn(Box::new(watch).watch(Sightings::new(self.hub.clone(), 0)))
    }

    /// A lister that runs this script, as often as it can.
    fn run(&self, script: &str) -> JoinHandle<()> {
        self.write("lister.sh", script);
        let words = ["sh", "lister.sh"].map(str::to_owned);
        let (folder, home) = (self.folder.path().into(), self.folder.path().into());
        let place = Place { folder, home, sweep: sweep() };
        let pause = Duration::from_millis(10);
        self.watch(CommandWatch::every(pause, GRACE, self.kind.clone(), &words, place))
    }

    /// Identities and power states of all ovens.
    async fn ovens(&self) -> Vec<(String, Value)> {
        let profiles = self.hub.look(|core| core.equipment(None, None)).await.unwrap();
        let profiles = profiles.iter().map(|profile| json!(**profile));
        profiles.map(|oven| (oven["uid"].as_str().unwrap().to_owned(), oven["power_state"].clone())).collect()
    }

    async fn until_ovens(&self, wanted: &[(&str, Value)]) {
        let wanted: Vec<_> = wanted.iter().map(|(uid, state)| (uid.to_string(), state.clone())).collect();
        let deadline = Instant::now() + PATIENCE;
        while self.ovens().await != wanted {
            assert!(Instant::now() < deadline, "wanted {wanted:?}, found {:?}", self.ovens().await);
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn oven(uid: &str) -> Value {
    json!({"type": "oven", "uid": uid})
}

fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn p_4_a_static_list_says_what_there_is() {
    let kitchen = Kitchen::new();
    let mut watch = FileWatch::new(List::new(&kitchen.kind, kitchen.file("ovens.json")));
    let sightings = Sightings::new(kitchen.hub.clone(), 0);
    let none = json!(null);
    let odd = [json!({"type": "relay", "uid": "r"}), json!({"type": "oven"}), oven("a")];
    let mut entries = vec![oven("a"), oven("b")];
    entries.extend(odd);
    kitchen.write("ovens.json", json!(entries));
    watch.read(&sightings).await;
    kitchen.until_ovens(&[("a", none.clone()), ("b", none.clone())]).await;
    for unreadable in ["[", "{}", ""] {
        kitchen.write("ovens.json", unreadable);
        watch.read(&sightings).await;
        assert_eq!(kitchen.ovens().await.len(), 2);
    }
    kitchen.write("ovens.json", json!([oven("b"), oven("c")]));
    watch.read(&sightings).await;
    kitchen.until_ovens(&[("b", none.clone()), ("c", none.clone())]).await;
    fs::remove_file(kitchen.file("ovens.json")).unwrap();
    watch.read(&sightings).await;
    kitchen.until_ovens(&[]).await;
}

#[tokio::test]
async fn p_4_a_static_list_is_read_again_when_it_changes() {
    let kitchen = Kitchen::new();
    let list = List::new(&kitchen.kind, kitchen.file("ovens.json"));
    let watch = kitchen.watch(FileWatch::new(list));
    kitchen.write("ovens.json", json!([oven("a")]));
    kitchen.until_ovens(&[("a", json!(null))]).await;
    kitchen.write("ovens.json", json!([{"type": "oven", "uid": "a", "power_state": "online"}]));
    kitchen.until_ovens(&[("a", json!("online"))]).await;
    watch.abort();
}

#[tokio::test]
async fn p_4_a_program_lists_the_pieces_and_p_5_what_it_lists_no_more_is_offline() {
    let kitchen = Kitchen::new();
    kitchen
        .write("list", json!([oven("a"), {"type": "oven", "uid": "b", "power_state": "warming"}, oven("a")]));
    let watch = kitchen.run("cat list");
    kitchen.until_ovens(&[("a", json!("online")), ("b", json!("warming"))]).await;
    kitchen.write("list", json!([oven("c"), oven("b")]));
    kitchen.until_ovens(&[("a", json!("offline")), ("b", json!("online")), ("c", json!("online"))]).await;
    kitchen.write("list", json!([oven("a"), oven("b"), oven("c")]));
    kitchen.until_ovens(&[("a", json!("online")), ("b", json!("online")), ("c", json!("online"))]).await;
    watch.abort();
}

#[tokio::test]
async fn p_5_the_pieces_of_a_lister_that_fails_are_offline_after_its_grace_time() {
    let failures = [
        "exit 3",
        "echo garbage",
        "echo {}",
        "exec sleep 1000",
        "exec yes",
        "kill -9 $$",
        "sleep 1000 & exit 0",
    ];
    join_all(failures.map(async |failure| {
        let kitchen = Kitchen::new();
        kitchen.write("list", json!([oven("a")]));
        let watch = kitchen.run(&format!("if [ -e list ]; then exec cat list; fi; {failure}"));
        kitchen.until_ovens(&[("a", json!("online"))]).await;
        let began = Instant::now();
        fs::remove_file(kitchen.file("list")).unwrap();
        kitchen.until_ovens(&[("a", json!("offline"))]).await;
        assert!(began.elapsed() > GRACE / 2, "{failure}: {:?}", began.elapsed());
        kitchen.write("list", json!([oven("a"), oven("b")]));
        kitchen.until_ovens(&[("a", json!("online")), ("b", json!("online"))]).await;
        watch.abort();
    }))
    .await;
}

#[tokio::test]
async fn a_short_failure_changes_nothing() {
    let kitchen = Kitchen::new();
    kitchen.write("list", json!([oven("a")]));
    let script = "echo >>runs; if [ $(wc -l <runs) = 2 ]; then exit 1; fi; exec cat list";
    let watch = kitchen.run(script);
    let runs = || fs::read_to_string(kitchen.file("runs")).map_or(0, |runs| runs.len());
    until("it has failed and worked again", || runs() > 4).await;
    assert_eq!(kitchen.ovens().await, [("a".to_owned(), json!("online"))]);
    watch.abort();
}

#[tokio::test]
async fn a_lister_finds_little_around_it() {
    let kitchen = Kitchen::new();
    let watch = kitchen.run("/usr/bin/env >seen.part; mv seen.part seen; pwd >where; echo []");
    until("it has run", || kitchen.file("where").exists()).await;
    let seen = fs::read_to_string(kitchen.file("seen")).unwrap();
    let mut names: Vec<_> = seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name)); // the shell's own
    names.sort_unstable();
    assert_eq!(names, ["AVE_BROKER_HOME", "AVE_BROKER_PID", "HOME", "LANG", "PATH"]);
    watch.abort();
}

#[tokio::test]
async fn p_5_a_lister_ends_with_its_watch_and_leaves_nothing() {
    let kitchen = Kitchen::new();
    let watch =
        kitchen.run("sleep 1000 & echo $! >child.part; mv child.part child; echo $$ >self; sleep 1000");
    until("it runs", || fs::read_to_string(kitchen.file("self")).is_ok_and(|pid| pid.ends_with('\n'))).await;
    let pids = ["self", "child"].map(|name| fs::read_to_string(kitchen.file(name)).unwrap());
    assert!(pids.iter().all(|pid| is_running(pid)));
    watch.abort();
    until("both are gone", || !pids.iter().any(|pid| is_running(pid))).await;
}

#[tokio::test]
async fn p_5_what_a_dead_broker_left_is_swept() {
    let home = tempfile::tempdir().unwrap();
    let place = |home: &Path| Place { folder: home.into(), home: home.into(), sweep: sweep() };
    let words = ["sleep", "1000"].map(str::to_owned);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut left = place(home.path()).command(&words).await.unwrap().spawn().unwrap();
    let mut other = place(elsewhere.path()).command(&words).await.unwrap().spawn().unwrap();
    let sweep = Sweep::new(home.path());
    sweep.of(rustix::process::Pid::INIT);
    sweep.done().await;
    assert!(left.try_wait().unwrap().is_none(), "another process's program lives");
    sweep.all();
    sweep.done().await;
    assert!(left.wait().await.unwrap().code().is_none(), "it was killed");
    assert!(other.try_wait().unwrap().is_none(), "another home's program lives");
    other.kill().await.unwrap();
}
