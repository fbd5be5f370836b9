use std::fs;
use std::os::unix::fs::symlink;

use super::*;

#[tokio::test]
async fn c1_every_listed_call_is_answered_and_documented() {
    let documented = include_str!("../../../../../../docs/workspace.md");
    let lab = Lab::new();
    let mut names = Vec::new();
    for signature in lab.open().await.unit.methods() {
        assert!(documented.contains(&format!("`{signature}`")), "{signature}");
        names.push((signature.name().to_owned(), signature.clone()));
    }
    assert_eq!(names.len(), 34);
    for (name, signature) in names {
        let mut opened = lab.open().await;
        let required = (0..4)
            .find_map(|count| signature.bind(Arguments::positional((0..count).map(|_| Value::Null))).ok());
        if let Err(refusal) = opened.unit.call(&name, required.unwrap()).await {
            assert!(!refusal.message.contains("no such RPC"), "{name}: {refusal}");
        }
    }
}

#[tokio::test]
async fn w6_every_path_argument_is_checked() {
    let lab = Lab::with(json!({"tools": {"aapt": "/bin/true"}}));
    let mut opened = lab.open().await;
    let root = opened.path.display().to_string();
    fs::create_dir_all(format!("{root}x")).unwrap();
    fs::write(opened.path.join("in.zip"), "").unwrap();
    symlink("/etc", opened.path.join("link")).unwrap();
    let ways = ["/etc/hosts".to_owned(), "../x".into(), format!("{root}x/file"), "link/hosts".into()];
    for way in &ways {
        for (method, arguments) in [
            ("make_tempfile", json!([way])),
            ("cat", json!([way])),
            ("get_checksum", json!([way])),
            ("ls", json!([way])),
            ("ls", json!(["", way])),
            ("path_exists", json!([way])),
            ("path_exists", json!([way, "symlink"])),
            ("copy", json!([way, "to"])),
            ("copy", json!(["in.zip", way])),
            ("zip", json!([way])),
            ("zip", json!([["in.zip", way]])),
            ("zip", json!(["in.zip", way])),
            ("unzip", json!([way])),
            ("validate_zip_file", json!([way])),
            ("has_git", json!([way, "master"])),
            ("delete_git", json!([way])),
            ("get_package_name", json!([way])),
            ("get_apk_version", json!([way])),
            ("make_coverage_report", json!([way, "in.zip"])),
        ] {
            let message = opened.bad(method, arguments.clone()).await.message;
            assert_eq!(message, format!("path cannot be outside workspace: {way}"), "{method} {arguments}");
        }
        let message = opened.bad("make_git", json!([way])).await.message;
        assert!(message.starts_with("can not create git outside workspace"), "{message}");
        let message = opened.bad("download_git", json!(["/nowhere", "master", way])).await.message;
        assert!(message.starts_with("can not store git tree outside workspace"), "{message}");
    }
    assert!(!opened.path.join("to").exists());
    opened.close().await;
}

#[tokio::test]
async fn copies_files_and_trees_without_writing_through_links() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    fs::create_dir_all(opened.path.join("a/b")).unwrap();
    fs::write(opened.path.join("a/b/file"), "new").unwrap();
    assert_eq!(opened.good("copy", json!(["a", "c"])).await, Value::Null);
    assert_eq!(fs::read(opened.path.join("c/b/file")).unwrap(), b"new");
    let outside = lab.home().join("outside");
    fs::write(&outside, "old").unwrap();
    fs::create_dir(opened.path.join("d")).unwrap();
    symlink(&outside, opened.path.join("d/file")).unwrap();
    opened.good("copy", json!(["a/b/file", "d"])).await;
    assert_eq!(fs::read(&outside).unwrap(), b"old");
    assert_eq!(fs::read(opened.path.join("d/file")).unwrap(), b"new");
    assert_eq!(opened.good("copy", json!(["missing", "e"])).await, Value::Null);
    opened.close().await;
}

#[tokio::test]
async fn tells_what_the_host_knows() {
    let lab = Lab::with(json!({"wlan": {"ssid": "air", "auth": "key"}, "pretty": "lab"}));
    let mut opened = lab.open().await;
    assert_eq!(opened.good("get_path", json!([])).await, opened.path.to_str().unwrap().into());
    assert_eq!(opened.good("get_wifi_ssid", json!([])).await, "air".into());
    assert_eq!(opened.good("get_wifi_pw", json!([])).await, "key".into());
    assert_eq!(opened.good("has_tool", json!(["sh"])).await, true.into());
    assert_eq!(opened.good("has_tool", json!(["rm"])).await, false.into());
    let profile = opened.good("get_profile", json!([])).await;
    let profile = profile.as_map().unwrap();
    assert_eq!((&profile["uid"], &profile["pretty"]), (&"0123456789".into(), &"lab".into()));
    opened.close().await;

    let mut opened = Lab::new().open().await;
    for (method, message) in
        [("get_wifi_ssid", "Fail to get wlan-ssid:"), ("get_wifi_pw", "Fail to get wlan-auth:")]
    {
        assert!(opened.bad(method, json!([])).await.message.starts_with(message));
    }
}

#[tokio::test]
async fn a_wrong_argument_is_named_and_the_workspace_stays_usable() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    for (method, arguments, message) in [
        ("cat", json!([1]), "path must be a string, found number"),
        ("cat", json!(["x", 1]), "encoding must be a string or null, found number"),
        ("run", json!([[]]), "cmd must be a string or a list of strings, and not empty, found list"),
        ("run", json!([" "]), "cmd must be a string or a list of strings, and not empty, found string"),
        ("run", json!([["sh", 1]]), "cmd must be a string or a list of strings, and not empty, found list"),
        ("run", json!(["sh", "1"]), "timeout must be a number of seconds, found string"),
        ("validate_zip_file", json!(["x", 1]), "crc_check must be a boolean, found number"),
        ("download_git", json!(["s", "r", null, 0, "1"]), "depth must be a whole number, found string"),
        (
            "write_tempfile",
            json!(["x", "utf-8", 1]),
            "promoted_target must be a string or null, found number",
        ),
        (
            "download_jenkins",
            json!(["x", 1.5, null, null, 0, "b"]),
            "build_id must be a string, a whole number or null, found number",
        ),
        ("download", json!([null]), "url is None"),
    ] {
        assert_eq!(opened.bad(method, arguments.clone()).await.message, message, "{method} {arguments}");
    }
    let file = opened.path("write_tempfile", json!([["a", "b"]])).await;
    assert_eq!(opened.good("cat", json!([file])).await, Value::Bytes(b"ab".to_vec()));
    opened.close().await;
}
