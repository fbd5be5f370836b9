use std::fs;
use std::net::TcpListener;

use ave_profile::RefusalKind;

use super::downloads::server;
use super::*;
use crate::config::jenkins::JenkinsAccounts;

const JOB: &str = r#"{"name": "tests", "lastSuccessfulBuild": {"number": 42}}"#;
const BUILD: &str = r#"{"artifacts": [{"relativePath": "out/a 100%.apk"}, {"relativePath": "b.txt"}]}"#;

fn answer(status: &str, content: &str) -> String {
    let length = content.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{content}")
}

/// A server that answers each request in turn.
fn jenkins(contents: &[&str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let answers: Vec<_> = contents.iter().map(|content| answer("200 OK", content)).collect();
    let (address, serving) = server(&answers.iter().map(String::as_str).collect::<Vec<_>>());
    (format!("http://{address}"), serving)
}

/// What the requests asked for.
fn asked(requests: &[String]) -> Vec<&str> {
    requests.iter().map(|request| request.split(' ').nth(1).unwrap()).collect()
}

#[tokio::test]
async fn w12_the_last_successful_build_is_fetched_whole_and_noted() {
    let (base, serving) = jenkins(&[JOB, BUILD, "apk", "text"]);
    let lab = Lab::with(json!({"jenkins": format!("{base}/")}));
    let mut opened = lab.open().await;
    assert_eq!(opened.path("download_jenkins", json!(["tests"])).await, "jenkins/tests/42");
    let read = |path: &str| fs::read_to_string(opened.path.join("jenkins/tests").join(path)).unwrap();
    assert_eq!(read("42/out/a 100%.apk"), "apk");
    assert_eq!(read("42/b.txt"), "text");
    assert_eq!(read("last_successful"), "42");
    let requests = serving.join().unwrap();
    let paths = [
        "/job/tests/api/json",
        "/job/tests/42/api/json",
        "/job/tests/42/artifact/out/a%20100%25.apk",
        "/job/tests/42/artifact/b.txt",
    ];
    assert_eq!(asked(&requests), paths);
    assert!(requests.iter().all(|request| request.to_lowercase().contains("\nbypass-kerberos: yes")));
    assert!(!requests.concat().to_lowercase().contains("authorization"));
    opened.close().await;
}

#[tokio::test]
async fn w12_a_named_build_a_filter_and_a_destination() {
    let (base, serving) = jenkins(&[BUILD, "text", BUILD, "text", JOB, BUILD, "apk", "text"]);
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let only = json!(["b.txt", "no such file"]);
    let arguments = json!(["folder/job/my tests", 7, only, null, 0, base]);
    assert_eq!(opened.path("download_jenkins", arguments).await, "jenkins/folder/job/my tests/7");
    let arguments = json!(["tests", "7", only, "new/place", 10, base]);
    assert_eq!(opened.path("download_jenkins", arguments).await, "new/place");
    assert_eq!(fs::read_dir(opened.path.join("new/place")).unwrap().count(), 1);
    // With a destination nothing is noted elsewhere.
    assert_eq!(opened.path("download_jenkins", json!(["tests", null, null, "all", 0, base])).await, "all");
    assert!(!opened.path.join("jenkins/tests/last_successful").exists());
    assert_eq!(
        asked(&serving.join().unwrap()),
        [
            "/job/folder/job/my%20tests/7/api/json",
            "/job/folder/job/my%20tests/7/artifact/b.txt",
            "/job/tests/7/api/json",
            "/job/tests/7/artifact/b.txt",
            "/job/tests/api/json",
            "/job/tests/42/api/json",
            "/job/tests/42/artifact/out/a%20100%25.apk",
            "/job/tests/42/artifact/b.txt",
        ]
    );
}

#[tokio::test]
async fn w12_the_account_of_the_server_is_used_and_refusals_say_where_it_belongs() {
    let answers =
        [answer("200 OK", BUILD), answer("200 OK", "text"), answer("401 No", ""), answer("403 No", "")];
    let (address, serving) = server(&answers.iter().map(String::as_str).collect::<Vec<_>>());
    let mut lab = Lab::new();
    let path = lab.home().join("jenkins.json");
    let auth = json!({"auth": {"127.0.0.1": {"method": "basic", "user": "lab", "password": "secret"}}});
    fs::write(&path, auth.to_string()).unwrap();
    let accounts = JenkinsAccounts::load(&path, &mut Vec::new()).unwrap();
    let config = (*lab.driver.config).clone().with_jenkins_accounts(accounts);
    lab.driver = WorkspaceDriver::new(config, &lab.home());
    let mut opened = lab.open().await;
    let arguments = json!(["tests", 1, ["b.txt"], null, 0, format!("http://{address}")]);
    opened.good("download_jenkins", arguments.clone()).await;
    let message = opened.bad("download_jenkins", arguments.clone()).await.message;
    assert!(message.contains(&format!("Invalid authentication to http://{address}/")), "{message}");
    let message = opened.bad("download_jenkins", arguments).await.message;
    assert!(message.contains("requires authentication") && message.contains("jenkins.json"), "{message}");
    assert!(!message.contains("secret"));
    // "lab:secret" in base 64.
    let requests = serving.join().unwrap();
    assert_eq!(requests.len(), 4);
    assert!(
        requests.iter().all(|request| request.ends_with("Basic bGFiOnNlY3JldA==")
            || request.contains("Basic bGFiOnNlY3JldA==\n"))
    );
}

#[tokio::test]
async fn w12_what_is_missing_or_leads_outside_is_refused_before_anything_is_written() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let message = opened.bad("download_jenkins", json!(["tests"])).await.message;
    assert_eq!(message, "jenkins base URL is not set or provided");
    for (contents, expected) in [
        (vec![r#"{"lastSuccessfulBuild": null}"#], "job has no successful build: tests"),
        (vec![JOB, r#"{"artifacts": []}"#], "job has no artifacts: tests"),
        (vec![JOB, r#"{"artifacts": [{"relativePath": "../x"}]}"#], "path cannot be outside workspace: ../x"),
        (vec![JOB, r#"{"artifacts": [{"relativePath": "a/../../../../../x"}]}"#], "outside workspace: a/../"),
        (vec![JOB, r#"{"artifacts": [{"relativePath": "/etc/x"}]}"#], "outside workspace: /etc/x"),
        (vec![JOB, r#"{"artifacts": [{"relativePath": ""}]}"#], "outside workspace: "),
        (vec!["not JSON"], "does not answer as Jenkins does"),
    ] {
        let (base, serving) = jenkins(&contents);
        let message =
            opened.bad("download_jenkins", json!(["tests", null, null, null, 0, base])).await.message;
        assert!(message.contains(expected), "{message}");
        serving.join().unwrap();
    }
    let base = "http://127.0.0.1:1";
    for (job, build) in [("..", "1"), ("a/../../b", "1"), ("/etc", "1"), ("", "1"), ("a", ".."), ("a", "")] {
        let message = opened.bad("download_jenkins", json!([job, build, null, null, 0, base])).await.message;
        assert!(message.starts_with("path cannot be outside workspace: "), "{message}");
    }
    let (base, serving) = jenkins(&[BUILD]);
    let message = opened.bad("download_jenkins", json!(["tests", 1, null, "../x", 0, base])).await.message;
    assert_eq!(message, "path cannot be outside workspace: ../x");
    serving.join().unwrap();
    assert_eq!(fs::read_dir(&opened.path).unwrap().count(), 0);
}

#[tokio::test]
async fn w12_one_limit_covers_the_whole_download() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", silent.local_addr().unwrap());
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let refusal = opened.bad("download_jenkins", json!(["tests", null, null, null, 0.2, base])).await;
    assert_eq!(refusal.kind, RefusalKind::Driver("Timeout".into()));
    assert_eq!(refusal.message, "download of Jenkins job tests timed out");
}
