//! What a phone is at this moment: its root folder, its cable, what it runs. Everything that a script or a test
//! changes lives in files of `<root>/.simulated`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;

use super::services::Then;
use super::{Authorization, REBOOT};

/// The folder of the root in which everything is that no phone has.
const OWN: &str = ".simulated";

/// The phone's programs, by name.
const PROGRAMS: &[(&str, &str)] = &[
    ("am", include_str!("bin/am")),
    ("bugreport", include_str!("bin/bugreport")),
    ("cmd", include_str!("bin/cmd")),
    ("content", include_str!("bin/content")),
    ("df", include_str!("bin/df")),
    ("dumpsys", include_str!("bin/dumpsys")),
    ("getprop", include_str!("bin/getprop")),
    ("input", include_str!("bin/input")),
    ("kill", include_str!("bin/kill")),
    ("log", include_str!("bin/log")),
    ("logcat", include_str!("bin/logcat")),
    ("ls", include_str!("bin/ls")),
    ("mkdir", include_str!("bin/mkdir")),
    ("mount", include_str!("bin/mount")),
    ("pm", include_str!("bin/pm")),
    ("ps", include_str!("bin/ps")),
    ("rm", include_str!("bin/rm")),
    ("screencap", include_str!("bin/screencap")),
    ("service", include_str!("bin/service")),
    ("setprop", include_str!("bin/setprop")),
    ("settings", include_str!("bin/settings")),
    ("start", include_str!("bin/start")),
    ("stop", include_str!("bin/stop")),
];

const FOLDERS: &[&str] = &[
    "data/app",
    "data/local/tmp",
    "mnt",
    "proc",
    "sdcard",
    "system/app",
    "system/bin",
    ".simulated/bin",
    ".simulated/packages",
    ".simulated/properties",
];

const FILES: &[(&str, &str)] = &[
    ("system/bin/dalvikvm", ""),
    ("system/build.prop", "ro.product.model=FAKE1\n"),
    (".simulated/log", ""),
    (
        ".simulated/mounts",
        "rootfs / rootfs ro 0 0\n/dev/block/data /data ext4 rw 0 0\n/dev/fuse /sdcard fuse rw 0 0\n",
    ),
    (".simulated/phone_number", "+46700000001\n"),
    (
        ".simulated/processes",
        "root 1 0 /init\nroot 5000050 1 zygote\nshell 5000060 1 /sbin/adbd\nsystem 5000100 5000050 system_server\n",
    ),
];

const PROPERTIES: &[(&str, &str)] = &[
    ("gsm.network.type", "LTE"),
    ("gsm.operator.alpha", "Simulated"),
    ("ro.build.id", "1.0.A.0.1"),
    ("ro.build.type", "userdebug"),
    ("ro.build.version.sdk", "28"),
    ("ro.debuggable", "1"),
    ("ro.product.device", "fake"),
    ("ro.product.model", "FAKE1"),
    ("ro.product.name", "fake"),
    ("service.bootanim.exit", "1"),
    (BOOTED, "1"),
];

const BOOTED: &str = "sys.boot_completed";
const ROOT: &str = "service.adb.root";

/// Where the cable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cable {
    Plugged,
    /// Out, and back by itself after this time.
    Away(Duration),
    Unplugged,
}

/// A phone's state, shared by its handle, its links and what they run.
pub(super) struct State {
    pub(super) authorization: Authorization,
    features: Vec<&'static str>,
    folder: TempDir,
    root: PathBuf,
    cable: watch::Sender<Cable>,
    reboot: Mutex<Option<Duration>>,
    running: Mutex<BTreeMap<u32, String>>,
    links: AtomicUsize,
}

/// Counts as a link for as long as it lives.
pub(super) struct Link<'a>(&'a AtomicUsize);

impl Drop for Link<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl State {
    pub(super) fn new(
        properties: &[(String, String)],
        features: Vec<&'static str>,
        authorization: Authorization,
    ) -> io::Result<State> {
        let folder = tempfile::Builder::new().prefix("simulated-phone-").tempdir()?;
        let state = State {
            authorization,
            features,
            root: folder.path().canonicalize()?,
            folder,
            cable: watch::Sender::new(Cable::Plugged),
            reboot: Mutex::new(Some(REBOOT)),
            running: Mutex::default(),
            links: AtomicUsize::new(0),
        };
        state.furnish()?;
        for (name, value) in
            PROPERTIES.iter().copied().chain(properties.iter().map(|(n, v)| (n.as_str(), v.as_str())))
        {
            state.set_property(name, value)?;
        }
        Ok(state)
    }

    fn furnish(&self) -> io::Result<()> {
        for folder in FOLDERS {
            fs::create_dir_all(self.root.join(folder))?;
        }
        for (path, content) in FILES {
            fs::write(self.root.join(path), content)?;
        }
        for (name, script) in PROGRAMS {
            let path = self.programs().join(name);
            fs::write(&path, script)?;
            fs::set_permissions(path, Permissions::from_mode(0o755))?;
        }
        symlink("sdcard", self.root.join("storage"))
    }

    pub(super) fn root(&self) -> &Path {
        debug_assert!(self.folder.path().exists());
        &self.root
    }

    /// The folder that is first in every command's `PATH`.
    pub(super) fn programs(&self) -> PathBuf {
        self.root.join(OWN).join("bin")
    }

    /// How it introduces itself to a host.
    pub(super) fn banner(&self) -> String {
        let told = ["ro.product.name", "ro.product.model", "ro.product.device"];
        let told = told.map(|name| format!("{name}={};", self.property(name))).concat();
        format!("device::{told}features={}", self.features.join(","))
    }

    pub(super) fn property(&self, name: &str) -> String {
        self.get(&format!("properties/{name}")).unwrap_or_default()
    }

    pub(super) fn set_property(&self, name: &str, value: &str) -> io::Result<()> {
        self.set(&format!("properties/{name}"), (!value.is_empty()).then_some(value))
    }

    /// A file of `.simulated`, without the line end.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(OWN).join(name)).ok()?;
        Some(text.trim_end_matches('\n').to_owned())
    }

    pub(super) fn set(&self, name: &str, content: Option<&str>) -> io::Result<()> {
        let path = self.root.join(OWN).join(name);
        let Some(content) = content else {
            return match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        let parent = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.root)?;
        file.write_all(content.as_bytes())?;
        file.as_file().set_permissions(Permissions::from_mode(0o755))?; // canned answers may be scripts
        file.persist(path)?;
        Ok(())
    }

    pub(super) fn log(&self, lines: &str) -> io::Result<()> {
        let mut log = OpenOptions::new().append(true).open(self.root.join(OWN).join("log"))?;
        log.write_all(format!("{}\n", lines.trim_end_matches('\n')).as_bytes())
    }

    pub(super) fn cable(&self) -> watch::Receiver<Cable> {
        self.cable.subscribe()
    }

    pub(super) fn move_cable(&self, to: Cable) {
        self.cable.send_replace(to);
    }

    /// The end of a time away, unless somebody has pulled the cable in the meantime.
    pub(super) fn come_back(&self) {
        self.cable.send_if_modified(|cable| {
            let away = matches!(cable, Cable::Away(_));
            if away {
                *cable = Cable::Plugged;
            }
            away
        });
    }

    /// What a service did to the whole phone.
    pub(super) fn follow(&self, then: Then) {
        match then {
            Then::Stay => {}
            Then::Restart => self.move_cable(self.away(Some(Duration::ZERO))),
            Then::Reboot => self.reboot(),
            Then::Dump => self.move_cable(Cable::Unplugged),
        }
    }

    /// Restarts the system: what is not persistent is lost.
    pub(super) fn reboot(&self) {
        for property in [ROOT, "service.bootanim.exit"] {
            let _ = self.set_property(property, "");
        }
        let _ = self.set_property(BOOTED, self.get("boots_to").as_deref().unwrap_or("1"));
        let _ = fs::remove_file(self.root.join("proc/sysrq-trigger"));
        self.move_cable(self.away(None));
    }

    pub(super) fn reboot_takes(&self, time: Option<Duration>) {
        *lock(&self.reboot) = time;
    }

    /// Away for so long, by default for a reboot; for ever if the phone does not come back by itself.
    fn away(&self, time: Option<Duration>) -> Cable {
        lock(&self.reboot).map_or(Cable::Unplugged, |reboot| Cable::Away(time.unwrap_or(reboot)))
    }

    /// Whether its adbd runs as root, and has to be restarted for that.
    pub(super) fn become_root(&self) -> (&'static str, Then) {
        if self.property("ro.debuggable") != "1" {
            ("adbd cannot run as root in production builds\n", Then::Stay)
        } else if self.property(ROOT) == "1" {
            ("adbd is already running as root\n", Then::Stay)
        } else if self.set_property(ROOT, "1").is_err() {
            ("adbd cannot write its property\n", Then::Stay)
        } else {
            ("restarting adbd as root\n", Then::Restart)
        }
    }

    /// Whether somebody has crashed the kernel.
    pub(super) fn crashed(&self) -> bool {
        self.root.join("proc/sysrq-trigger").exists()
    }

    pub(super) fn link(&self) -> Link<'_> {
        self.links.fetch_add(1, Ordering::Relaxed);
        Link(&self.links)
    }

    /// Whether some host is connected.
    pub(super) fn linked(&self) -> bool {
        self.links.load(Ordering::Relaxed) > 0
    }

    pub(super) fn running(&self) -> Vec<String> {
        lock(&self.running).values().cloned().collect()
    }

    pub(super) fn started(&self, process: u32, line: &str) {
        lock(&self.running).insert(process, line.to_owned());
    }

    pub(super) fn ended(&self, process: u32) {
        lock(&self.running).remove(&process);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
