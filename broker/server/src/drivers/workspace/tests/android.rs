use std::fs;
use std::process::Command;

use ave_profile::RefusalKind;

use super::*;

/// A lab with a tool of this name that is a script.
fn with_tool(name: &str, script: &str) -> Lab {
    let mut lab = Lab::new();
    let (text, program) = (lab.home().join("script"), lab.home().join(name));
    fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
    // Not written by this process: a child of another test could still hold it, and then it cannot be run.
    let installed = Command::new("install").args([&text, &program]).status().unwrap();
    assert!(installed.success());
    let content = json!({"root": "~/w", "tools": {name: program.to_str().unwrap()}});
    let config = WorkspaceConfig::of(Path::new("workspace.json"), content.into(), &lab.home()).unwrap();
    lab.driver = WorkspaceDriver::new(config, &lab.home());
    lab
}

#[tokio::test]
async fn a_package_tells_its_name_and_version() {
    let badging = "package: name='com.example.app' versionCode='217' versionName='2.1.7'";
    let lab =
        with_tool("aapt", &format!("test \"$1 $2\" = 'd badging' && test -f \"$3\" && echo \"{badging}\""));
    let mut opened = lab.open().await;
    fs::write(opened.path.join("app.apk"), "").unwrap();
    assert_eq!(opened.good("get_package_name", json!(["app.apk"])).await, "com.example.app".into());
    assert_eq!(opened.good("get_apk_version", json!(["app.apk"])).await, Value::Int(217));
    let aapt = lab.home().join("aapt");
    assert_eq!(opened.good("get_aapt_path", json!([])).await, aapt.to_str().unwrap().into());
    for call in ["get_package_name", "get_apk_version"] {
        assert_eq!(opened.bad(call, json!(["none"])).await.message, "Path none does not exist");
        let outside = "path cannot be outside workspace: /etc/passwd";
        assert_eq!(opened.bad(call, json!(["/etc/passwd"])).await.message, outside);
    }
    opened.close().await;
}

#[tokio::test]
async fn a_package_that_tells_nothing_is_named_with_what_was_said() {
    let lab =
        with_tool("aapt", "echo 'ERROR: dump failed'; echo \"package: name='' versionCode='x'\"; exit 1");
    let mut opened = lab.open().await;
    fs::write(opened.path.join("app.apk"), "").unwrap();
    let message = opened.bad("get_package_name", json!(["app.apk"])).await.message;
    assert!(message.starts_with("Could not get package name of app.apk: ERROR: dump failed"), "{message}");
    let message = opened.bad("get_apk_version", json!(["app.apk"])).await.message;
    assert!(message.starts_with("Can not find versionCode of app.apk: "), "{message}");
}

#[tokio::test]
async fn a_coverage_report_is_made_and_packed() {
    let script =
        "for word; do case $word in -Dreport.html.out.file=*) echo \"$*\" >\"${word#*=}\";; esac; done";
    let lab = with_tool("java", script);
    let mut opened = lab.open().await;
    fs::create_dir(opened.path.join("src")).unwrap();
    assert_eq!(opened.path("make_coverage_report", json!(["a.em", "b.ec", "src"])).await, "coverage.tar");
    let root = opened.path.clone();
    let at = |path: &str| root.join(path).display().to_string();
    let arguments = format!(
        "-cp /usr/share/ave/workspace/emma.jar emma report -r html -in {} -in {} -Dreport.html.out.file={} -sp {}\n",
        at("a.em"),
        at("b.ec"),
        at("reports/coverage/index.html"),
        at("src")
    );
    assert_eq!(fs::read_to_string(at("reports/coverage/index.html")).unwrap(), arguments);
    let archive = fs::read(at("coverage.tar")).unwrap();
    assert!(archive.starts_with(b"coverage/"), "the report with its folder");
    let message = opened.bad("make_coverage_report", json!(["a.em", "b.ec"])).await.message;
    assert_eq!(message, format!("report file already exists: {}", at("coverage.tar")));
    for arguments in [json!(["/a", "b"]), json!(["a", "../b"]), json!(["a", "b", "/etc"])] {
        fs::remove_file(at("coverage.tar")).ok();
        let message = opened.bad("make_coverage_report", arguments).await.message;
        assert!(message.starts_with("path cannot be outside workspace: "), "{message}");
    }
    opened.close().await;
}

#[tokio::test]
async fn what_emma_refuses_is_a_run_error() {
    let lab = with_tool("java", "echo 'no such metadata'; exit 3");
    let mut opened = lab.open().await;
    let refusal = opened.bad("make_coverage_report", json!(["a.em", "b.ec"])).await;
    assert_eq!(refusal.kind, RefusalKind::Driver("RunError".into()));
    assert_eq!(refusal.message, "Emma failed with exit code 3: no such metadata");
    assert_eq!(refusal.details["cmd"], "make_coverage_report(a.em, b.ec)".into());
    assert_eq!(refusal.details["out"], "no such metadata\r\n".into());
    assert!(!opened.path.join("coverage.tar").exists());
}
