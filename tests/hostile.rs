//! What peers may do wrong, out of malice or by accident. Whatever it is, the broker stays as it was, and
//! everybody else is served.

use std::net::TcpStream;
use std::{fs, iter};

use serde_json::{Value, json};

use crate::support::{
    ADMIN, Lab, Peer, SHARE, any, framed, names, only, piece, pieces, plain, raised, request, stacks, with,
};

/// A lab with a client that holds something all the while.
struct Scene {
    lab: Lab,
    holder: Peer,
    proxy: Peer,
}

impl Scene {
    fn new() -> Scene {
        Scene::with(json!({}))
    }

    /// A scene with these limits.
    fn with(limits: Value) -> Scene {
        let stacks = stacks(&[&["h1", "r1"]]);
        let plan = Lab::plan().equipment(pieces(&["h1", "r1", "h2", "n1"]));
        let lab = plan.broker(json!({"stacks": stacks, "limits": limits})).start();
        let mut holder = lab.client();
        let proxy = Peer::session_of(&holder.get(json!([only("h2")])));
        Scene { lab, holder, proxy }
    }

    /// Somebody well-behaved gets what is free, who holds something goes on, and the lists are as ever.
    fn is_unharmed(&mut self) {
        self.lab.wait_available(&["h1", "r1", "n1"]);
        assert_eq!(self.lab.list("list_equipment"), ["h1", "r1", "h2", "n1"]);
        assert_eq!(self.lab.list("list_allocations_all"), ["h2"]);
        assert_eq!(self.lab.list("list_collateral_all"), [""; 0]);
        self.proxy.result_on(&only("h2"), "get_profile", json!([]));
        assert_eq!(names(&self.holder.result("list_allocations", json!([]))), ["h2"]);
        let mut client = self.lab.client();
        let got = client.get(json!([any("relay"), any("handset")]));
        assert_eq!(names(&got["resources"]), ["r1", "h1"]);
        Peer::session_of(&got).result_on(&only("h1"), "get_profile", json!([]));
        client.close();
        self.lab.wait_available(&["h1", "r1", "n1"]);
    }

    /// Somebody who holds what the well-behaved will want.
    fn greedy(&self) -> Peer {
        let mut peer = self.lab.client();
        peer.get(json!([only("h1"), only("r1")]));
        peer
    }

    /// How much memory the broker's process uses.
    fn memory_kib(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.lab.pid())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim_end_matches("kB").trim().parse().expect("a number")
    }
}

#[test]
fn a_frame_may_be_cut_off_anywhere() {
    let mut scene = Scene::new();
    let frame = framed(request("get", Value::Null, json!([only("h1")])).to_string().as_bytes());
    for sent in 0..frame.len() {
        let mut peer = scene.lab.client();
        peer.send_raw(&frame[..sent]);
        peer.close();
    }
    for sent in [1, 3, 4, frame.len() - 1] {
        let mut peer = scene.greedy();
        peer.send_raw(&frame[..sent]);
        peer.close();
        scene.lab.wait_available(&["h1", "r1", "n1"]);
    }
    scene.is_unharmed();
}

#[test]
fn a_huge_frame_is_refused_by_its_header_alone() {
    let mut scene = Scene::with(json!({"frame_bytes_max": 1_000_000}));
    for length in [1_000_001_u32, 256 << 20, u32::MAX] {
        let mut peer = scene.greedy();
        peer.send_raw(&length.to_be_bytes());
        assert_eq!(raised(&peer.reply().expect("an answer")).0, "OverflowError", "{length}");
        assert!(peer.ends());
        scene.lab.wait_available(&["h1", "r1", "n1"]);
    }
    // Before the handshake is done, much less is huge.
    for length in [4097_u32, 1_000_000, u32::MAX] {
        let mut peer = Peer::challenged(scene.lab.address());
        peer.send_raw(&length.to_be_bytes());
        assert!(peer.ends(), "{length}");
    }
    scene.is_unharmed();
}

#[test]
fn a_length_that_is_only_announced_costs_no_memory() {
    let mut scene = Scene::new();
    let before = scene.memory_kib();
    let mut liars: Vec<_> = (0..100).map(|_| scene.lab.client()).collect();
    for liar in &mut liars {
        liar.send_raw(&[&(200_u32 << 20).to_be_bytes()[..], b"{"].concat());
    }
    scene.is_unharmed();
    let grown = scene.memory_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB");
}

#[test]
fn empty_frames_are_answered_one_by_one() {
    const FRAMES: usize = 500;
    let mut scene = Scene::new();
    let mut peer = scene.lab.client();
    peer.send_raw(&[0; 4 * FRAMES]);
    for _ in 0..FRAMES {
        assert_eq!(peer.reply(), Some(json!({"exception": "malformed JSON: "})));
    }
    assert_eq!(peer.result("get_version", json!([])), 1);
    scene.is_unharmed();
}

/// A request in each encoding with lists in lists in its arguments.
fn nested(levels: usize) -> [Vec<u8>; 2] {
    let (open, close) = ("[".repeat(levels), "]".repeat(levels));
    let json = format!(r#"{{"method": "get", "params": {{"vargs": {open}{close}, "kwargs": {{}}}}}}"#);
    let lists = [vec![0x91; levels - 1], vec![0x90]].concat();
    let packed =
        [b"\x82\xa6method\xa3get\xa6params\x82\xa5vargs".to_vec(), lists, b"\xa6kwargs\x80".to_vec()];
    [json.into_bytes(), packed.concat()]
}

#[test]
fn deep_nesting_is_malformed_and_breaks_no_stack() {
    let mut scene = Scene::new();
    for levels in [126, 127, 1000, 100_000, 3_000_000] {
        let [text, packed] = nested(levels);
        let mut peer = scene.lab.client();
        peer.send(&text);
        let reply = peer.reply().expect("an answer");
        assert!(plain(&reply).starts_with("malformed JSON: {\"method\": "), "{levels}: {reply}");
        peer.send(&packed);
        let reply = peer.receive().expect("an answer");
        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.contains("malformed JSON: "), "{levels}: {reply}");
        assert_eq!(peer.result("get_version", json!([])), 1);
    }
    // What is just not too deep is as wrong as any other profile.
    let mut peer = scene.lab.client();
    peer.send(&nested(125)[0]);
    assert!(peer.reply().expect("an answer")["exception"]["message"].is_string());
    scene.is_unharmed();
}

#[test]
fn what_is_not_utf_8_is_malformed_and_echoed_as_far_as_it_can_be() {
    let mut scene = Scene::new();
    let mut peer = scene.lab.client();
    for payload in [
        &b"\xff"[..],
        b"\x00",
        b"\xef\xbb\xbf{}",
        b"{\"method\": \"\xff\", \"params\": {}}",
        b"{\"method\": \"\xed\xa0\x80\", \"params\": {}}",
        b"{\"method\": \"\xf0\x9f\", \"params\": {}}",
        br#"{"method": "\ud800", "params": {}}"#,
        b"{\"method\": \"\n\", \"params\": {}}",
        b"\x82\xa6method",
        b"\xdf\xff\xff\xff\xff",
        b"\xde\xff\xff",
        b"\x81\xc1\xc1",
    ] {
        peer.send(payload);
        let reply = peer.receive().expect("an answer");
        let text = String::from_utf8_lossy(&reply);
        assert!(text.contains("malformed JSON: "), "{payload:?}: {text}");
    }
    assert_eq!(peer.result("get_version", json!([])), 1);
    scene.is_unharmed();
}

/// One of each type.
fn oddities() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!("å\u{0}"),
        json!([]),
        json!([null]),
        json!({}),
        json!({"type": {"type": "handset"}}),
        json!([[[]]]),
    ]
}

#[test]
fn members_of_requests_may_have_any_type() {
    let mut scene = Scene::new();
    let mut asked = 0;
    for name in ["method", "params", "async", "vargs", "kwargs"] {
        for odd in oddities() {
            if name == "async" && odd == json!(true) {
                continue; // a wish not to be answered
            }
            let mut bad = request("list_allocations", Value::Null, json!([]));
            match name {
                "vargs" | "kwargs" => bad["params"][name] = odd,
                _ => bad[name] = odd,
            }
            for peer in [&mut scene.lab.client(), &mut scene.lab.admin(), &mut scene.proxy] {
                let reply = peer.request(&bad);
                assert!(reply.get("exception").is_some() || reply["result"] == json!([]), "{bad}: {reply}");
                asked += 1;
            }
        }
    }
    assert_eq!(asked, 3 * (5 * oddities().len() - 1));
    scene.is_unharmed();
}

#[test]
fn arguments_of_every_call_may_have_any_type() {
    let calls = [
        ("", "get get_resource get_resources get_multi_resources yield_resources list_allocations"),
        ("", "list_collateral get_version get_profile no_such_call"),
        (ADMIN, "list_equipment list_available list_handsets list_relays list_allocations_all"),
        (ADMIN, "list_collateral_all list_stacks list_allocators close_session list_shares"),
        (ADMIN, "start_sharing stop_sharing restart_sharing drop_share list_holders serialize"),
        (ADMIN, "begin_handover end_handover"),
        (SHARE, "add_equipment set_equipment set_ws_profile add_workspaces remove_workspaces"),
        (SHARE, "share_hello share_update"),
    ];
    let mut scene = Scene::new();
    for (key, calls) in calls {
        for (call, odd) in
            calls.split(' ').flat_map(|call| oddities().into_iter().map(move |odd| (call, odd)))
        {
            for arguments in [json!([odd]), json!([odd, odd]), json!(["local", [odd]])] {
                if call == "begin_handover" && arguments == json!([null]) {
                    continue; // ends the reign, as it should
                }
                let mut peer = Peer::connect(scene.lab.address(), key);
                let reply = peer.call(call, arguments.clone());
                assert!(
                    reply.get("exception").or(reply.get("result")).is_some(),
                    "{call}{arguments}: {reply}"
                );
            }
        }
        scene.is_unharmed();
    }
}

#[test]
fn frames_may_come_in_the_wrong_order() {
    let mut scene = Scene::new();
    let get = request("get", Value::Null, json!([only("h1")])).to_string();
    // A request in the place of the digest is a digest that matches nothing.
    let mut peer = Peer::challenged(scene.lab.address());
    peer.send(get.as_bytes());
    let mut peer = peer.read_verdict();
    assert!(!peer.authenticated);
    // A second digest, or what a broker would say, is not a request.
    for payload in [&peer.digest(ADMIN)[..], &peer.salt.clone()] {
        peer.send(payload);
        assert!(plain(&peer.reply().expect("an answer")).starts_with("malformed JSON: "));
    }
    for payload in [&br#"{"authenticated": true}"#[..], br#"{"result": null}"#] {
        peer.send(payload);
        assert!(plain(&peer.reply().expect("an answer")).starts_with("the \"method\" attribute"));
    }
    assert_eq!(plain(&peer.call("list_stacks", json!([]))), "not authorized to make this call");
    // A whole session at once, without waiting for anything.
    let mut hasty = Peer::challenged(scene.lab.address());
    let give_back = request("yield_resources", Value::Null, json!([only("h1")])).to_string();
    let frames = [&hasty.digest("")[..], get.as_bytes(), give_back.as_bytes(), get.as_bytes()];
    hasty.send_raw(&frames.map(framed).concat());
    let mut hasty = hasty.read_verdict();
    for _ in 0..3 {
        assert!(hasty.reply().expect("an answer").get("result").is_some());
    }
    hasty.close();
    scene.is_unharmed();
}

#[test]
fn silent_peers_are_let_go_and_hold_up_nobody() {
    let mut scene = Scene::with(json!({"handshake_limit_s": 3}));
    let mut silent = Vec::new();
    for sent in [0, 1, 4, 10] {
        for _ in 0..25 {
            let mut peer = Peer::challenged(scene.lab.address());
            peer.send_raw(&framed(&[7; 16])[..sent]);
            silent.push(peer);
        }
    }
    let mut known = scene.lab.client();
    scene.is_unharmed();
    assert!(silent.iter_mut().all(Peer::ends));
    assert_eq!(known.result("get_version", json!([])), 1, "who is in may be silent as long as it likes");
}

#[test]
fn who_reads_no_answers_holds_up_nobody_and_fills_no_memory() {
    let mut scene = Scene::new();
    let before = scene.memory_kib();
    let method = "x".repeat(100_000);
    let frame = framed(request(&method, Value::Null, json!([])).to_string().as_bytes());
    let mut deaf = Vec::new();
    for _ in 0..20 {
        let stream = scene.lab.client().into_stream();
        stream.set_nonblocking(true).expect("a socket");
        deaf.push(stream);
    }
    for stream in &mut deaf {
        fill(stream, &frame);
    }
    scene.is_unharmed();
    let grown = scene.memory_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB");
    // One of them held something; its end is noticed though its answers wait.
    let greedy = scene.greedy().into_stream();
    greedy.set_nonblocking(true).expect("a socket");
    fill(&greedy, &frame);
    drop(greedy);
    scene.is_unharmed();
}

/// Writes the same frame again and again, until the broker has stopped reading for the while.
fn fill(mut stream: &TcpStream, frame: &[u8]) {
    use std::io::{ErrorKind, Write};
    const BYTES_MAX: usize = 64 << 20;
    let mut written = 0;
    let mut refused = 0;
    while refused < 20 {
        let rest = &frame[written % frame.len()..];
        match stream.write(rest) {
            Ok(count) => (written, refused) = (written + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
        assert!(written < BYTES_MAX, "it reads on and on, though nobody reads its answers");
    }
}

#[test]
fn two_thousand_unauthenticated_connections_are_nothing() {
    const CONNECTIONS: usize = 2000;
    let mut scene = Scene::new();
    let before = scene.memory_kib();
    let crowd: Vec<_> = (0..CONNECTIONS).map(|_| Peer::challenged(scene.lab.address())).collect();
    scene.is_unharmed();
    let each = scene.memory_kib().saturating_sub(before) / CONNECTIONS;
    assert!(each <= 24, "{each} KiB");
    let shut: Vec<_> = crowd.into_iter().map(Peer::close).collect();
    assert_eq!(shut.len(), CONNECTIONS);
    scene.is_unharmed();
}

#[test]
fn odd_profiles_are_refused_and_cost_their_sender_only() {
    let huge = "x".repeat(1_000_000);
    let members: Value =
        (0..10_000).map(|i| (format!("m{i}"), json!(i))).collect::<serde_json::Map<_, _>>().into();
    let handset = |members: Value| json!([with(any("handset"), members)]);
    let mut scene = Scene::new();
    for (odd, told) in [
        (handset(json!({"serial": null})), "no such resource"),
        (handset(json!({"serial": ["h1", "h2"]})), "no such resource"),
        (handset(json!({"serial": {"h1": true}})), "no such resource"),
        (handset(json!({"serial": 1})), "no such resource"),
        (handset(json!({"serial": ""})), "no such resource"),
        (handset(json!({"serial": huge})), "no such resource"),
        (handset(json!({huge: 1})), "no such resource"),
        (handset(members), "too much in one call: at most 8192 "),
        (handset(json!({"power_state": null})), "no such resource"),
        (json!([with(any("relay"), json!({"circuits": 1}))]), ""),
        (json!([with(any("relay"), json!({"circuits": [["x"]]}))]), ""),
        (json!([with(any("workspace"), json!({"tools": "sh"}))]), ""),
        (json!([with(any("workspace"), json!({"tools": [1]}))]), ""),
        (json!([with(any("workspace"), json!({"uid": ["x"]}))]), "no such workspace"),
        (json!([{"type": null}]), ""),
        (json!([{"type": ["handset"]}]), ""),
        (json!([{}]), "profile \"type\" field is missing"),
        (json!([null]), "profile is not an object"),
        (json!([["handset"]]), ""),
        (json!([[[any("handset")]]]), ""),
        (iter::repeat_n(any("handset"), 65).collect(), "too many profiles in one call: at most 64, found 65"),
        (
            iter::repeat_n(json!([any("handset")]), 17).collect(),
            "too many groups in one call: at most 16, found 17",
        ),
    ] {
        let mut peer = scene.greedy();
        let shown: String = odd.to_string().chars().take(80).collect();
        let (_, message) = peer.get_refused(odd);
        assert!(message.starts_with(told), "{shown}: {message}");
        assert!(message.len() < 3_000_000, "{shown}");
        scene.is_unharmed();
    }
}

#[test]
fn odd_reports_are_refused_whole() {
    let mut scene = Scene::new();
    let mut lister = scene.lab.lister();
    let mut refused = 0;
    for odd in oddities() {
        for member in ["type", "serial"] {
            if member == "serial" && odd.is_string() {
                continue; // a serial like any other
            }
            let report = with(piece("h1"), json!({member: odd}));
            let reply = lister.call("add_equipment", json!(["local", [piece("n1"), report]]));
            assert!(reply.get("exception").is_some(), "{report}: {reply}");
            refused += 1;
        }
        let reply = lister.call("set_stacks", json!(["local", [[only("h1")], odd]]));
        assert!(reply.get("exception").is_some() || odd.is_array(), "{odd}: {reply}");
        lister.result("set_stacks", json!(["local", stacks(&[&["h1", "r1"]])]));
    }
    assert!(refused > oddities().len());
    scene.is_unharmed();
}
