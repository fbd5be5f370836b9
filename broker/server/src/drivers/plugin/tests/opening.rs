use super::*;

/// The refusal of a piece that does not open, and what closing the rest of it comes to.
async fn refused(lab: &Lab, fault: &str) -> (Refusal, Result<(), String>) {
    match lab.driver.open(&Lab::granted(fault)).await {
        Err(refusal) => (refusal, Ok(())),
        Ok(unit) => {
            let refusal = unit.failed_to_open().expect("it does not open");
            assert!(unit.methods().is_empty() && unit.no_driver_for("echo").is_some());
            (refusal, unit.close().await)
        }
    }
}

#[tokio::test]
async fn p_6_a_program_for_each_allocation_gets_profile_and_home_and_little_else() {
    let lab = Lab::new();
    let mut opened = lab.open("").await;
    let place = opened.good("where", json!([])).await;
    let [folder, _, hello] = place.as_list().unwrap() else { panic!("{place}") };
    assert!(folder.as_str().unwrap().ends_with("drivers/plugin/tests"));
    let home = lab.home.path().to_str().unwrap();
    let known = json!({"type": "toaster", "uid": "t1", "slots": 2, "fault": ""});
    assert_eq!(*hello, json!({"type": "toaster", "profile": known, "home": home, "grant": 1}).into());
    let environment = opened.good("environment", json!([])).await;
    let environment = environment.as_map().unwrap();
    assert_eq!((&environment["HOME"], &environment["AVE_BROKER_HOME"]), (&home.into(), &home.into()));
    assert_eq!(environment["AVE_BROKER_PID"], std::process::id().to_string().as_str().into());
    assert!(environment.contains_key("PATH") && environment.contains_key("LANG"));
    assert!(!environment.contains_key("CARGO_MANIFEST_DIR"), "the broker's own");
    let mut other = lab.open("").await;
    assert_ne!(opened.pid().await, other.pid().await);
    opened.unit.close().await.unwrap();
    other.unit.close().await.unwrap();
}

#[tokio::test]
async fn p_7_the_methods_are_those_the_driver_lists_and_get_profile() {
    let lab = Lab::new();
    let mut opened = lab.open("").await;
    let names: Vec<_> = opened.unit.methods().iter().map(|method| method.name()).collect();
    assert!(names.contains(&"echo") && names.contains(&"get_profile") && names.len() == 13, "{names:?}");
    let granted = json!({"type": "toaster", "uid": "t1"});
    assert_eq!(opened.good("get_profile", json!([])).await, granted.into());
    let mut own = lab.open("has its own profile").await;
    assert_eq!(own.good("get_profile", json!([])).await, "its own".into());
}

#[tokio::test]
async fn p_11_a_driver_may_refuse_to_open_in_its_own_words() {
    let lab = Lab::new();
    let (refusal, closed) = refused(&lab, "refuses").await;
    assert_eq!((refusal.kind.as_str(), refusal.message.as_str()), ("Offline", "no such cable"));
    assert_eq!(refusal.details["cable"], Value::Int(7));
    assert_eq!(closed, Ok(()), "nothing happened to the piece");
}

#[tokio::test]
async fn p_6_a_driver_that_is_lost_while_it_opens_takes_its_piece_with_it() {
    let cases = [
        ("dies while opening", 30, "Exception", "ended by itself with exit status: 1: no module named luck"),
        ("hangs while opening", 3, "Timeout", "was killed: opening took longer than 3 s"),
        ("prints while opening", 30, "Exception", "frame too long: at most 33554432 bytes"),
    ];
    for (fault, open_s, kind, how) in cases {
        let lab = Lab::with(json!({"limits": {"open_s": open_s}}));
        let (refusal, closed) = refused(&lab, fault).await;
        assert_eq!(refusal.kind.as_str(), kind, "{refusal}");
        assert!(refusal.message.starts_with("the driver of toaster:t1 "), "{refusal}");
        assert!(refusal.message.ends_with("the piece is out until it is reset"), "{refusal}");
        assert!(refusal.message.contains(how), "{refusal}");
        assert!(closed.unwrap_err().contains(how), "its reason is visible");
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_refused_and_nothing_has_happened() {
    for command in ["./nothing.py", "no-such-program"] {
        let lab = Lab::with(json!({"driver": {"command": [command]}}));
        let (refusal, closed) = refused(&lab, "").await;
        assert!(refusal.message.contains(&format!("cannot run {command}: No such file")), "{refusal}");
        assert_eq!(closed, Ok(()));
    }
}

#[test]
fn p_9_a_descriptor_may_have_its_client_answered_first() {
    assert!(!Lab::new().driver.lazy());
    assert!(Lab::with(json!({"open": "lazy"})).driver.lazy());
}

#[test]
fn the_broker_waits_longer_than_the_drivers_own_limits() {
    let limits = |limits| {
        let driver = Lab::with(json!({ "limits": limits })).driver;
        (driver.open_limit().as_secs(), driver.close_limit().as_secs())
    };
    assert_eq!(limits(json!({"open_s": 3})), (60, 60));
    assert_eq!(limits(json!({"open_s": 90, "close_s": 5, "reset_s": 300})), (105, 405));
    assert_eq!(limits(json!({"open_s": 0})).0, Duration::MAX.as_secs());
}
