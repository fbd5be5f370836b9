use super::*;
use crate::config::Severity;
use serde_json::json;

const PATH: &str = "/h/.ave/config/broker.json";

fn of(content: serde_json::Value) -> (Option<BrokerConfig>, Vec<Fault>) {
    let mut faults = Vec::new();
    let config = BrokerConfig::of(Path::new(PATH), content.into(), &KindTable::builtin(), &mut faults);
    (config, faults)
}

fn accepted(content: serde_json::Value) -> BrokerConfig {
    let (config, faults) = of(content);
    assert_eq!(faults, []);
    config.unwrap()
}

/// The only fault of a refused file.
fn refused(content: serde_json::Value) -> Fault {
    let (config, mut faults) = of(content);
    assert!(config.is_none() && faults.len() == 1, "{faults:?}");
    faults.remove(0)
}

#[test]
fn an_empty_object_is_a_configuration() {
    // 202
    let config = accepted(json!({}));
    assert_eq!((config.port, config.listen), (4000, Ipv4Addr::UNSPECIFIED.into()));
    assert!(config.stacks.is_empty() && config.remote.is_none() && config.session_ports.is_none());
    assert!(config.logging);
    assert_eq!((config.open_limit_s, config.silence_limit_s), (3, 12)); // 12: a cut cable is noticed within 15 s
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.keepalive, Keepalive::within(30));
    assert_eq!(config.time_limits, TimeLimits::default());
}

#[test]
fn time_limits_are_seconds_for_idle_sessions_and_by_type_for_pieces() {
    let config = accepted(json!({"idle_limit_s": 600, "hold_limit_s": {"handset": 3600, "relay": 1}}));
    let TimeLimits { idle, hold } = config.time_limits;
    assert_eq!(idle.map(|idle| idle.as_secs()), Some(600));
    assert_eq!(
        hold.iter().map(|(kind, limit)| (&**kind, limit.as_secs())).collect::<Vec<_>>(),
        [("handset", 3600), ("relay", 1)]
    );
    let fault = refused(json!({"hold_limit_s": {"handset": 1, "toaster": 1}}));
    assert_eq!(fault.message, "broker attribute \"hold_limit_s\" names an unknown type: toaster");
    assert_eq!(fault.field, "hold_limit_s.toaster");
}

#[test]
fn every_invalid_member_has_its_message() {
    // 203
    let stack = |profile| json!({"stacks": [[profile]]});
    let remote = |policy, key| json!({"remote": {"host": "h", "port": 1, "policy": policy, "authkey": key}});
    let cases = [
        (
            json!({"host": 1}),
            "broker attribute \"host\" must be on the form {\"host\":<string>}. ",
            "current value=1 (type=<type 'int'>)",
        ),
        (
            json!({"port": "invalid"}),
            "broker attribute \"port\" must be on the form {\"port\":<int>}. ",
            "current value=invalid (type=<type 'unicode'>)",
        ),
        (json!({"port": true}), "broker attribute \"port\"", "current value=True (type=<type 'bool'>)"),
        (json!({"port": 65536}), "broker attribute \"port\"", ""),
        (json!({"port": -1}), "broker attribute \"port\"", ""),
        (json!({"stacks": {}}), "broker attribute \"stacks\" must be on the", ""),
        (json!({"stacks": [{}]}), "broker attribute \"stacks\" must be on the", ""),
        (stack(json!({"uid": "a"})), "the stacked profile \"{\"uid\":\"a\"}\"", "\"type\" that is a string"),
        (stack(json!({"type": "relay"})), "the stacked profile \"{\"type\":\"relay\"}\"", ""),
        (stack(json!({"type": "relay", "uid": 5})), "the stacked profile \"", ""),
        (stack(json!("x")), "the stacked profile \"", "is not an object"),
        (json!({"remote": "x"}), "broker attribute \"remote\" must be on the fo", ""),
        (json!({"remote": {"host": "h", "port": 1}}), "broker attribute \"remote\" must be on the fo", ""),
        (remote(json!("steal"), json!(null)), "broker conguration: remote policy must be", ""),
        (remote(json!("share"), json!(null)), "", "remote sharing authkey not set"),
        (remote(json!("share"), json!("")), "", "remote sharing authkey not set"),
        (remote(json!("share"), json!(1)), "", "remote sharing authkey must be a string"),
        (json!({"logging": 1}), "logging is not a boolean: ", "1"),
        (json!({"listen": "localhost"}), "broker attribute \"listen\" must be on the form", ""),
        (json!({"session_ports": [5, 4]}), "broker attribute \"session_ports\" must be on the form", ""),
        (json!({"session_ports": [0, 4]}), "broker attribute \"session_ports\" must be on the form", ""),
        (json!({"session_ports": 5000}), "broker attribute \"session_ports\" must be on the form", ""),
        (
            json!({"session_ports": [3999, 4000]}),
            "broker attribute \"session_ports\" must not contain",
            "4000",
        ),
        (json!({"open_limit_s": 0}), "broker attribute \"open_limit_s\" must be on the form", ""),
        (json!({"silence_limit_s": 0}), "broker attribute \"silence_limit_s\" must be on the form", ""),
        (json!({"silence_limit_s": 301}), "broker attribute \"silence_limit_s\" must be on the form", ""),
        (json!({"keepalive": 0}), "broker attribute \"keepalive\" must be on the form", ""),
        (json!({"idle_limit_s": 0}), "broker attribute \"idle_limit_s\" must be on the form", ""),
        (json!({"hold_limit_s": 5}), "broker attribute \"hold_limit_s\" must be on the form", ""),
        (json!({"hold_limit_s": {"relay": 0}}), "broker attribute \"hold_limit_s\" must be on the form", ""),
        (json!({"keepalive": 31}), "broker attribute \"keepalive\" must be on the form", ""),
        (json!({"silence_limit_s": 1.5}), "broker attribute \"silence_limit_s\" must be on the form", ""),
        (json!({"limits": {"values_max": 0}}), "broker attribute \"limits\" must be on the form", ""),
        (json!([]), "could not load broker configuration file: Expecting", ""),
    ];
    for (content, start, end) in cases {
        let message = refused(content).message;
        assert!(message.starts_with(start) && message.ends_with(end), "{message}");
    }
}

#[test]
fn faults_name_their_place() {
    let place = |content| refused(content).field;
    assert_eq!(place(json!({"stacks": [[], [{"type": "relay", "uid": "a"}, {}]]})), "stacks[1][1]");
    assert_eq!(place(json!({"limits": {"frame_bytes_max": "x"}})), "limits.frame_bytes_max");
    assert_eq!(place(json!({"limits": {"values_max": 0}})), "limits.values_max");
    assert_eq!(place(json!({"limits": 5})), "limits");
}

#[test]
fn all_faults_are_found_at_once() {
    let (config, faults) = of(json!({"host": 1, "port": "x", "stacks": [[1]], "remote": [1]}));
    assert!(config.is_none());
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["port", "host", "stacks[0][0]", "remote"]);
}

#[test]
fn missing_files_and_broken_ones_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.json");
    let message = || {
        let mut faults = Vec::new();
        assert!(BrokerConfig::load(&path, &KindTable::builtin(), &mut faults).is_none());
        faults.remove(0).message
    };
    assert_eq!(message(), format!("no such configuration file: {}", path.display()));
    for broken in ["{", "", "{\"port\": 1,}", "\u{1}"] {
        std::fs::write(&path, broken).unwrap();
        let message = message();
        assert!(message.starts_with("could not load broker configuration file: Expecting"), "{message}");
    }
}

#[test]
fn a_remote_rule_may_be_absent_or_either_policy() {
    // 204
    for none in [json!({"remote": null}), json!({"remote": {}})] {
        assert!(accepted(none).remote.is_none());
    }
    let stacks = json!([[{"type": "relay", "uid": "a"}]]);
    let with = |remote| accepted(json!({"remote": remote, "stacks": stacks})).remote.unwrap();
    let forward = with(json!({"host": "h", "port": 4000, "policy": "forward"}));
    assert_eq!((forward.host.as_str(), forward.port), ("h", 4000));
    assert!(matches!(forward.policy, Policy::Forward));
    let share = with(json!({"host": "h", "port": 4000, "policy": "share", "authkey": "nyckel å"}));
    assert!(matches!(share.policy, Policy::Share(key) if key.expose() == "nyckel å"));
}

#[test]
fn stacks_may_repeat_pieces_and_name_absent_ones() {
    // 205
    let relay = json!({"type": "relay", "uid": "a"});
    let config = accepted(json!({"stacks": [[relay, {"type": "handset", "serial": "x"}], [relay], []]}));
    assert_eq!(config.stacks.len(), 3);
    assert_eq!(config.stacks[1], [Profile::of(relay)]);
}

#[test]
fn a_stack_member_that_can_never_be_found_is_only_a_warning() {
    let doubtful = [
        json!({"type": "handset", "imei": "1"}),
        json!({"type": "toaster", "uid": "1"}),
        json!({"type": "relay", "serial": "1"}),
        json!({"type": "workspace", "uid": "1"}),
    ];
    let count = doubtful.len();
    let (config, faults) = of(json!({"stacks": [doubtful]}));
    assert_eq!(config.unwrap().stacks[0].len(), count);
    assert_eq!(faults.len(), count);
    assert!(faults.iter().all(|fault| fault.severity == Severity::Warning));
    assert!(faults[0].message.starts_with("broker.json: stacks[0][0]: wanted \"serial\""), "{}", faults[0]);
}

#[test]
fn the_file_overrides_the_defaults() {
    // 206
    let config = accepted(json!({"host": "lab1", "port": 0, "listen": "::1", "session_ports": [5000, 5009],
        "open_limit_s": 2, "silence_limit_s": 300, "keepalive": 1, "logging": false, "limits": {"handshake_limit_s": 5}}));
    assert_eq!((config.host.as_str(), config.port, config.session_ports), ("lab1", 0, Some(5000..=5009)));
    assert_eq!((config.open_limit_s, config.silence_limit_s), (2, 300));
    assert_eq!(config.keepalive, Keepalive::within(1));
    assert_eq!((config.logging, config.limits.handshake_limit_s), (false, 5));
}

#[test]
fn the_public_profile_is_the_file_without_its_key() {
    // 55, 56, 58
    let file = json!({"host": "h", "colour": "blue",
        "remote": {"host": "h", "port": 1, "policy": "share", "authkey": "SECRET"}});
    let config = accepted(file);
    let shown = Profile::of(json!({"type": "broker", "host": "h", "port": 4000, "stacks": [],
        "colour": "blue", "remote": {"host": "h", "port": 1, "policy": "share"}}));
    assert_eq!(config.public_profile(), shown);
    assert_eq!(config.public_profile(), shown);
    assert!(matches!(config.remote.unwrap().policy, Policy::Share(key) if key.expose() == "SECRET"));
    let faults = [
        refused(json!({"remote": {"host": 1, "authkey": "SECRET"}})),
        refused(json!({"remote": {"host": "h", "port": 1, "policy": "share", "authkey": ["SECRET"]}})),
    ];
    assert!(!format!("{faults:?}").contains("SECRET"), "{faults:?}");
}
