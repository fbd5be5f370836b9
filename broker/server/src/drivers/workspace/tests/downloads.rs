use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use ave_profile::RefusalKind;

use super::*;

/// Answers each connection in turn with these bytes, and sends back the requests' first lines and headers.
pub(super) fn server(answers: &[&str]) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
    let answers: Vec<_> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let serve = |answer: &String| {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            stream.write_all(answer.as_bytes()).unwrap();
            request.join("\n")
        };
        answers.iter().map(serve).collect()
    });
    (address, serving)
}

const FILE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntext";

#[tokio::test]
async fn a_file_is_named_by_the_caller_the_server_or_the_url() {
    let (address, serving) = server(&[
        FILE,
        FILE,
        FILE,
        "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=\"../../evil\"\r\nConnection: close\r\n\r\n1",
        "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=x; filename*=UTF-8''a%2Fb%20c\r\nConnection: close\r\n\r\n2",
        "HTTP/1.1 302 Found\r\nLocation: /moved\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        FILE,
    ]);
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let url = |path: &str| format!("http://{address}{path}");
    assert_eq!(opened.path("download", json!([url("/a/b%20c?d=e")])).await, "b c");
    assert_eq!(opened.path("download", json!([url("/"), "new/place"])).await, "new/place/index.html");
    assert_eq!(opened.path("download", json!([url("/x"), "new", 10, "mine"])).await, "new/mine");
    assert_eq!(opened.path("download", json!([url("/x")])).await, "evil");
    assert_eq!(opened.path("download", json!([url("/x")])).await, "b c");
    assert_eq!(opened.path("download", json!([url("/old")])).await, "moved");
    assert_eq!(fs::read(opened.path.join("new/mine")).unwrap(), b"text");
    assert_eq!(fs::read(opened.path.join("b c")).unwrap(), b"2");
    assert!(opened.good("ls", json!([".", "tmp*"])).await.as_list().unwrap().is_empty());
    assert_eq!(serving.join().unwrap().len(), 7);
    opened.close().await;
}

#[tokio::test]
async fn w6_a_download_stays_inside() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    std::os::unix::fs::symlink("/etc", opened.path.join("link")).unwrap();
    for (dst, output_file) in
        [("..", "x"), ("/etc", "x"), ("", "../x"), ("", "/etc/x"), ("link", "x"), ("", "link/x")]
    {
        let (address, serving) = server(&[FILE]);
        let url = format!("http://{address}/x");
        let message = opened.bad("download", json!([url, dst, 0, output_file])).await.message;
        assert!(message.starts_with("path cannot be outside workspace: "), "{message}");
        serving.join().unwrap();
    }
    opened.close().await;
}

#[tokio::test]
async fn what_cannot_be_had_leaves_no_file() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let (address, serving) = server(&[
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nContent-Length: 17179869185\r\nConnection: close\r\n\r\nx",
    ]);
    for expected in ["404 Not Found", "could not download", "the file has more than 17179869184 bytes"] {
        let refusal = opened.bad("download", json!([format!("http://{address}/x")])).await;
        assert_eq!(refusal.kind, RefusalKind::Exception);
        assert!(refusal.message.contains(expected), "{refusal}");
    }
    serving.join().unwrap();
    for url in ["file:///etc/hosts", "no url", "http://127.0.0.1:1/"] {
        assert!(opened.bad("download", json!([url])).await.message.contains(url));
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let refusal = opened.bad("download", json!([url, null, 0.2])).await;
    assert_eq!(refusal.kind, RefusalKind::Driver("Timeout".into()));
    assert!(refusal.message.ends_with(" timed out"), "{refusal}");
    assert_eq!(opened.good("ls", json!(["."])).await, Value::List(vec![]));
    opened.close().await;
}

#[tokio::test]
async fn a_proxy_is_used_when_asked_for_with_the_lab_s_credentials() {
    let (address, serving) = server(&[FILE, FILE]);
    let proxy = json!({"url": format!("http://{address}"), "proxy_user": "lab", "proxy_password": "secret"});
    let lab = Lab::with(json!({"proxy": proxy}));
    let mut opened = lab.open().await;
    let url = "http://example.invalid/file";
    opened.good("download", json!([url, null, 0, null, true])).await;
    opened.good("download", json!([url, null, 0, null, true, "me", "mine"])).await;
    let requests = serving.join().unwrap();
    let authorization = |request: &String| {
        let lower = request.to_lowercase();
        lower.lines().any(|line| line.starts_with("proxy-authorization: basic ")).then(|| request.clone())
    };
    assert!(requests.iter().all(|request| request.starts_with("GET http://example.invalid/file ")));
    // "lab:secret" and "me:mine" in base 64.
    assert!(authorization(&requests[0]).unwrap().contains("bGFiOnNlY3JldA=="));
    assert!(authorization(&requests[1]).unwrap().contains("bWU6bWluZQ=="));

    let mut opened = Lab::new().open().await;
    let refusal = opened.bad("download", json!([url, null, 0, null, true])).await;
    assert_eq!(refusal.message, "proxy url is not set or provided");
}
