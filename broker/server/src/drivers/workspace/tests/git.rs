use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use ave_profile::RefusalKind;

use super::*;

/// A repository outside any workspace, with commits `one` and `two` on `master` and `side` on a branch.
struct Upstream {
    folder: tempfile::TempDir,
}

impl Upstream {
    fn new() -> Upstream {
        let upstream = Upstream { folder: tempfile::tempdir().unwrap() };
        upstream.git(&["init", "--quiet", "--initial-branch=master"]);
        upstream.commit("one");
        upstream.commit("two");
        upstream.git(&["tag", "v1", "HEAD~1"]);
        upstream.git(&["checkout", "--quiet", "-b", "side"]);
        upstream.commit("side");
        upstream.git(&["checkout", "--quiet", "master"]);
        upstream
    }

    fn git(&self, words: &[&str]) -> String {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false"];
        let output =
            Command::new("git").current_dir(self.folder.path()).args(identity).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Writes `text` to `file` and commits it.
    fn commit(&self, text: &str) {
        fs::write(self.folder.path().join("file"), text).unwrap();
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message", text]);
    }

    fn id(&self, revision: &str) -> String {
        self.git(&["rev-parse", revision])
    }

    /// As a plain path and as a URL.
    fn sources(&self) -> [String; 2] {
        let path = self.folder.path().display();
        [path.to_string(), format!("file://{path}")]
    }
}

fn file(opened: &Opened, tree: &str) -> String {
    fs::read_to_string(opened.path.join(tree).join("file")).unwrap()
}

#[tokio::test]
async fn w11_clone_again_switch_and_commit_ids_back_and_forth() {
    let upstream = Upstream::new();
    let (one, two) = (upstream.id("HEAD~1"), upstream.id("HEAD"));
    for src in upstream.sources() {
        let lab = Lab::new();
        let mut opened = lab.open().await;
        let wanted = [
            ("master", "two"),
            ("master", "two"),
            ("side", "side"),
            ("master", "two"),
            (&one, "one"),
            (&two, "two"),
            (&one, "one"),
            ("refs/heads/side", "side"),
            ("refs/tags/v1", "one"),
            ("v1", "one"),
            ("master", "two"),
        ];
        for (refspec, expected) in wanted {
            opened.good("download_git", json!([src, refspec, "tree"])).await;
            assert_eq!(file(&opened, "tree"), expected, "{src} {refspec}");
        }
        let branches = fs::read_dir(opened.path.join("tree/.git/refs/heads")).unwrap();
        assert!(branches.flatten().all(|branch| branch.file_name().len() < 40));
        assert_eq!(opened.good("has_git", json!(["tree", one])).await, true.into());
        assert_eq!(opened.good("has_git", json!(["tree", "nothing"])).await, false.into());
        assert_eq!(opened.good("has_git", json!(["tree", "--all"])).await, false.into());
        assert_eq!(opened.good("has_git", json!(["tree/..", "master"])).await, false.into());
        opened.close().await;
    }
}

#[tokio::test]
async fn w11_a_commit_id_or_a_tag_may_come_first() {
    let upstream = Upstream::new();
    for src in upstream.sources() {
        for refspec in [upstream.id("HEAD~1"), "v1".into(), "refs/tags/v1".into()] {
            let lab = Lab::new();
            let mut opened = lab.open().await;
            opened.good("download_git", json!([src, refspec, "tree"])).await;
            assert_eq!(file(&opened, "tree"), "one");
        }
    }
}

#[tokio::test]
async fn w11_a_new_commit_is_pulled_but_not_into_a_dirty_tree() {
    let upstream = Upstream::new();
    for (src, text) in upstream.sources().into_iter().zip(["three", "four"]) {
        let lab = Lab::new();
        let mut opened = lab.open().await;
        opened.good("download_git", json!([src, "master", "tree"])).await;
        upstream.commit(text);
        fs::write(opened.path.join("tree/file"), "mine").unwrap();
        let message = opened.bad("download_git", json!([src, "master", "tree"])).await.message;
        assert!(message.starts_with("can't pull into a dirty tree"), "{message}");
        assert_eq!(file(&opened, "tree"), "mine");
        fs::write(opened.path.join("tree/file"), if text == "three" { "two" } else { "three" }).unwrap();
        opened.good("download_git", json!([src, "master", "tree"])).await;
        assert_eq!(file(&opened, "tree"), text);
        opened.close().await;
    }
}

#[tokio::test]
async fn w11_the_destination_is_made_checked_and_named_after_the_source() {
    let upstream = Upstream::new();
    let [src, _] = upstream.sources();
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let base = upstream.folder.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(opened.path("download_git", json!([src, "master"])).await, format!("git/{base}"));
    fs::create_dir(opened.path.join("empty")).unwrap();
    let absolute = opened.path.join("empty");
    assert_eq!(opened.path("download_git", json!([src, "master", absolute, 0, 0])).await, "empty");
    fs::write(opened.path.join("file"), "").unwrap();
    fs::create_dir(opened.path.join("full")).unwrap();
    fs::write(opened.path.join("full/x"), "").unwrap();
    for (arguments, message) in [
        (json!([src, "master", "file"]), "destination is not a directory: file"),
        (json!([src, "master", "full"]), "destination is not a git tree: full"),
        (json!([src, "master", "../x"]), "can not store git tree outside workspace: ../x"),
        (json!(["", "master"]), "must specify src, dst and refspec"),
        (json!([null, "master"]), "must specify src, dst and refspec"),
        (json!([src, ""]), "must specify src, dst and refspec"),
        (json!([src, "master", ""]), "must specify src, dst and refspec"),
        (json!([src, "--upload-pack=x"]), "src and refspec cannot start with a dash: --upload-pack=x"),
        (json!(["--config=x", "master"]), "src and refspec cannot start with a dash: --config=x"),
    ] {
        assert_eq!(opened.bad("download_git", arguments.clone()).await.message, message, "{arguments}");
    }
    opened.close().await;
}

#[tokio::test]
async fn w11_git_s_own_failures_are_run_errors() {
    let upstream = Upstream::new();
    let [src, _] = upstream.sources();
    let lab = Lab::new();
    let mut opened = lab.open().await;
    for (src, dst) in [("/nowhere/at/all", "new"), ("ext::sh -c true", "other")] {
        let refusal = opened.bad("download_git", json!([src, "master", dst])).await;
        assert_eq!(refusal.kind, RefusalKind::Driver("RunError".into()));
        let beginning = format!("failed to clone from {src} to {}/{dst} fatal: ", opened.path.display());
        assert!(refusal.message.starts_with(&beginning), "{refusal}");
        assert_eq!(refusal.details["cmd"], format!("download_git({src}, master, {dst})").into());
        assert!(refusal.details["out"].as_str().unwrap().contains("fatal: "));
        assert!(!opened.path.join(dst).exists());
    }
    let id = "0123456789012345678901234567890123456789";
    for refspec in ["nothing", id] {
        let refusal = opened.bad("download_git", json!([src, refspec, "tree"])).await;
        assert_eq!(refusal.kind, RefusalKind::Driver("RunError".into()));
        assert!(refusal.message.starts_with(&format!("failed to fetch {refspec} fatal: ")), "{refusal}");
    }
    opened.good("download_git", json!([src, "master", "tree"])).await;
    opened.close().await;
}

#[tokio::test]
async fn w11_one_limit_covers_all_steps() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    // A server that never says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let src = format!("git://{}/x", silent.local_addr().unwrap());
    let refusal = opened.bad("download_git", json!([src, "master", "tree", 0.5])).await;
    assert_eq!(refusal.kind, RefusalKind::Driver("Timeout".into()));
    assert!(
        refusal.message.starts_with("clone from ") && refusal.message.ends_with(" timed out"),
        "{refusal}"
    );
    assert!(!opened.path.join("tree").exists());
    opened.close().await;
}

#[tokio::test]
async fn a_git_that_was_made_can_be_downloaded_and_deleted() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    assert_eq!(opened.path("make_git", json!(["a/tree"])).await, "a/tree");
    assert_eq!(opened.good("has_git", json!(["a/tree", "master"])).await, true.into());
    assert_eq!(opened.path("download_git", json!(["a/tree", "master"])).await, "git/tree");
    opened.good("delete_git", json!(["a/tree"])).await;
    assert!(!opened.path.join("a/tree").exists() && opened.path.join("a").exists());
    assert_eq!(opened.bad("delete_git", json!(["a/tree"])).await.message, "Path a/tree does not exist");
    let message = opened.bad("delete_git", json!(["."])).await.message;
    assert_eq!(message, "not a directory within the workspace: .");
    opened.close().await;
}

/// A client without any tool can still put what it likes into a tree, with `unzip` for one. Git must not
/// run it with the broker's rights.
#[tokio::test]
async fn git_runs_nothing_that_a_tree_brings_along() {
    let upstream = Upstream::new();
    let src = upstream.folder.path().to_str().unwrap();
    let lab = Lab::new();
    let mut opened = lab.open().await;
    opened.good("download_git", json!([src, "master", "tree"])).await;
    let (tree, ran) = (opened.path.join("tree"), opened.path.join("ran"));
    let command = format!("touch {}", ran.display());
    for hook in ["post-checkout", "pre-commit", "post-merge", "reference-transaction"] {
        let hook = tree.join(".git/hooks").join(hook);
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::write(&hook, format!("#!/bin/sh\n{command}\n")).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }
    opened.good("download_git", json!([src, "side", "tree"])).await;
    opened.good("make_git", json!(["tree"])).await;
    assert!(!ran.exists(), "a hook ran");

    fs::write(tree.join(".git/info/attributes"), "* filter=f\n").unwrap();
    let config = tree.join(".git/config");
    let harmless = fs::read_to_string(&config).unwrap();
    let odd = [
        (format!("[filter \"f\"]\n\tsmudge = {command}; cat\n"), "filter.f.smudge"),
        (format!("[core]\n\tfsmonitor = {command}\n"), "core.fsmonitor"),
        (format!("[remote \"x\"]\n\tuploadpack = {command};\n"), "remote.x.uploadpack"),
        ("[include]\n\tpath = ../elsewhere\n".to_owned(), "include.path"),
    ];
    for (addition, name) in odd {
        fs::write(&config, format!("{harmless}{addition}")).unwrap();
        for (call, arguments) in [
            ("download_git", json!([src, "v1", "tree"])),
            ("make_git", json!(["tree"])),
            ("has_git", json!(["tree", "master"])),
        ] {
            let message = opened.bad(call, arguments).await.message;
            assert!(
                message.ends_with(&format!("git's own configuration, found {name}")),
                "{call}: {message}"
            );
        }
    }
    fs::write(&config, harmless).unwrap();
    fs::write(tree.join(".git/commondir"), "../elsewhere").unwrap();
    let message = opened.bad("make_git", json!(["tree"])).await.message;
    assert!(message.starts_with("destination is not a git tree"), "{message}");
    assert!(!ran.exists(), "something ran");
    opened.close().await;
}
