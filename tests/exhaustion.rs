//! What a host may run out of: descriptors, disk, processes. It is reported, survived, and nothing is lent
//! wrongly; once there is enough again, everything works again.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::{Lab, Peer, any, command, names, only, raised, wait_until};

#[test]
fn without_descriptors_nothing_is_lent_wrongly_and_nobody_is_lost() {
    let lab = Lab::having(&["h1"]).start();
    let mut holder = lab.client();
    let got = holder.get(json!([any("workspace"), only("h1")]));
    let workspace = got["resources"][0].clone();
    let mut proxy = Peer::session_of(&got);
    proxy.result_on(&workspace, "run", json!([["true"]]));
    let mut wanting = lab.client();
    wanting.result("get_version", json!([]));
    let mut admin = lab.admin();
    let plenty = lab.descriptors() + 100;
    lab.limit_descriptors(3);

    let (kind, message) = raised(&proxy.call_on(&workspace, "run", json!([["true"]])));
    assert!(kind == "RunError" && message.contains("Too many open files"), "{kind}: {message}");
    let (_, message) = wanting.get_refused(json!([any("workspace")]));
    assert!(message.contains("Too many open files"), "{message}");
    let held = admin.result("list_allocations_all", json!([]));
    assert_eq!(held.as_array().map(Vec::len), Some(2), "what was held is held: {held}");
    let address = lab.address();
    let late = std::thread::spawn(move || Peer::connect(address, "").result("get_version", json!([])));
    wait_until("it has tried to accept again and again", || lab.log().matches("not accepted").count() > 3);

    lab.limit_descriptors(plenty);
    assert_eq!(late.join().expect("an answer"), 1, "who came meanwhile is served");
    proxy.result_on(&workspace, "run", json!([["true"]]));
    let mut client = lab.client();
    client.get(json!([any("workspace")]));
    client.close();
    holder.close();
    lab.wait_available(&["h1"]);
    let log = lab.stop();
    assert_eq!(
        log.matches("cannot accept connections").count(),
        1,
        "told once, however often it was tried: {log}"
    );
}

#[test]
fn without_descriptors_no_session_gets_a_port() {
    let lab = Lab::having(&["h1"]).session_ports().start();
    let (mut wanting, mut admin) = (lab.client(), lab.admin());
    wanting.result("get_version", json!([]));
    admin.result("get_version", json!([]));
    let plenty = lab.descriptors() + 100;
    lab.limit_descriptors(3);
    let (_, message) = wanting.get_refused(json!([only("h1")]));
    assert!(message.starts_with("cannot open a port for the session: Too many open files"), "{message}");
    assert_eq!(names(&admin.result("list_available", json!([]))), ["h1"], "nothing is lent");
    lab.limit_descriptors(plenty);
    lab.client().get(json!([only("h1")]));
    let log = lab.stop();
    assert!(
        !log.contains("a port of session_ports cannot be used"),
        "one port is no worse than another: {log}"
    );
}

#[test]
fn without_processes_a_tool_is_refused_and_the_next_one_runs() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("SKIPPED: only root can be somebody else, who has no processes left");
    }
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let launcher = format!("chown -R 65534:65534 \"$0\" && exec setpriv {} \"$@\"", nobody.join(" "));
    let lab = Lab::plan().launched_by(&launcher).start();
    let limit = |processes: &str| {
        let mut command = Command::new("setpriv");
        command.args(nobody).args(["prlimit", "--pid", &lab.pid().to_string(), processes]);
        assert!(command.status().expect("a process").success(), "the limit is set");
    };
    let mut holder = lab.client();
    let got = holder.get(json!([any("workspace")]));
    let (mut proxy, workspace) = (Peer::session_of(&got), &got["resources"][0]);
    proxy.result_on(workspace, "run", json!([["true"]]));
    limit("--nproc=1:");
    let (kind, message) = raised(&proxy.call_on(workspace, "run", json!([["true"]])));
    assert!(kind == "RunError" && message.contains("Resource temporarily unavailable"), "{kind}: {message}");
    limit("--nproc=10000:");
    proxy.result_on(workspace, "run", json!([["true"]]));
}

#[test]
fn descriptors_that_were_open_at_its_start_reach_no_tool() {
    let inherited = "exec 9<\"$0/.ave/config/broker.json\" && exec \"$@\"";
    let lab = Lab::plan().workspace(json!({"tools": {"ls": "/bin/ls"}})).launched_by(inherited).start();
    let of_broker = fs::read_dir(format!("/proc/{}/fd", lab.pid())).expect("a process");
    let open: Vec<_> = of_broker.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect();
    assert!(open.len() > 3, "{open:?}");
    assert!(!open.iter().any(|path| path.ends_with("broker.json")), "{open:?}");
    let mut holder = lab.client();
    let got = holder.get(json!([any("workspace")]));
    let run = json!([["ls", "-l", "/proc/self/fd"]]);
    let listed = Peer::session_of(&got).result_on(&got["resources"][0], "run", run).to_string();
    assert!(listed.contains("pipe:") && !listed.contains("broker.json"), "{listed}");
}

/// Whether tests may mount a disk that nobody else sees; a word about it if not.
fn may_mount() -> bool {
    let output = Command::new("unshare").args(["-m", "true"]).output();
    let may = output.is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("SKIPPED: nobody may mount a disk here; run it as root");
    }
    may
}

/// A lab whose workspaces and marks are on a disk of 16 MiB, of which the journal takes two, where tests may mount one.
fn lab_on_a_small_disk() -> Option<Lab> {
    if !may_mount() {
        return None;
    }
    let inside = "mkdir -p \"$0/workspaces\" && mount -t tmpfs -o size=16m none \"$0/workspaces\" \
        && mkdir \"$0/workspaces/state\" \"$0/.ave/state\" && mount --bind \"$0/workspaces/state\" \"$0/.ave/state\" \
        && exec \"$@\"";
    let script = format!("exec unshare -m sh -c '{inside}' \"$0\" \"$@\"");
    let workspace = json!({"root": "~/workspaces/root"});
    Some(Lab::having(&["h1"]).workspace(workspace).launched_by(&script).start())
}

#[test]
fn on_a_full_disk_no_workspace_is_lent_and_nothing_stays_stuck() {
    let Some(lab) = lab_on_a_small_disk() else { return };
    let mut holder = lab.client();
    let got = holder.get(json!([any("workspace")]));
    let workspace = got["resources"][0].clone();
    let mut proxy = Peer::session_of(&got);
    // Seen from here, the broker's disks are below its own root.
    let home = lab.home().strip_prefix("/").expect("an absolute path");
    let disk = Path::new("/proc").join(lab.pid().to_string()).join("root").join(home).join("workspaces");
    fs::write(disk.join("filler"), vec![0; 32 << 20]).expect_err("more than fits");

    let (_, message) = raised(&proxy.call_on(&workspace, "write_tempfile", json!(["x".repeat(10_000)])));
    assert!(message.contains("No space left on device"), "{message}");
    let mut wanting = lab.client();
    let (_, message) = wanting.get_refused(json!([any("workspace"), only("h1")]));
    assert!(message.contains("No space left on device"), "{message}");
    assert_eq!(lab.available(), ["h1"], "what was to be lent with it is free");
    assert_eq!(fs::read_dir(disk.join("state/workspaces")).expect("marks").count(), 1, "and no mark is left");
    // What is given back makes no demands on the disk.
    holder.close();
    wait_until("the workspace is gone", || fs::read_dir(disk.join("root")).expect("a root").count() == 0);

    fs::remove_file(disk.join("filler")).expect("a file");
    let mut client = lab.client();
    let got = client.get(json!([any("workspace"), only("h1")]));
    let path = Peer::session_of(&got).result_on(&got["resources"][0], "write_tempfile", json!(["x"]));
    assert!(path.is_string(), "{path}");
}

#[test]
fn a_tool_that_gets_no_memory_or_is_killed_for_it_says_so() {
    let lab = Lab::plan().start();
    let mut holder = lab.client();
    let got = holder.get(json!([any("workspace")]));
    let (mut proxy, workspace) = (Peer::session_of(&got), &got["resources"][0]);
    // As the kernel does when memory is gone.
    let killed = proxy.call_on(workspace, "run", json!([["sh", "-c", "kill -KILL $$"]]));
    assert!(killed.to_string().contains("-119"), "{killed}");
    let starved = json!([["sh", "-c", "ulimit -v 4000; exec tail /dev/zero"]]);
    let starved = proxy.call_on(workspace, "run", starved).to_string();
    assert!(starved.contains("memory") || starved.contains("cannot"), "{starved}");
    proxy.result_on(workspace, "run", json!([["true"]]));
}

#[test]
fn without_room_for_its_files_a_broker_does_not_start_and_says_why() {
    if !may_mount() {
        return;
    }
    let home = Lab::plan().home();
    let inside = "mkdir \"$0/.ave/run\" && mount -t tmpfs -o size=4k none \"$0/.ave/run\" \
        && (head -c 8000 /dev/zero > \"$0/.ave/run/filler\" 2>/dev/null; exec \"$@\")";
    let broker = command(home.path());
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", inside])
        .arg(home.path())
        .arg(broker.get_program())
        .args(broker.get_args())
        .arg("--foreground")
        .output()
        .expect("a shell");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    assert!(told.contains("ERROR: could not start") && told.contains("No space left on device"), "{told}");
}
