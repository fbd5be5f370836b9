use super::*;

#[tokio::test]
async fn c_4_values_go_through_as_they_are() {
    let mut opened = Lab::new().open("").await;
    let values =
        json!([null, true, -1, 1.5, "å\u{0}\n", [], [[1]], {"a": {"b": [{}]}}, 18446744073709551615u64]);
    for value in values.as_array().unwrap() {
        assert_eq!(opened.good("echo", json!([value])).await, value.clone().into());
    }
    let large = "x".repeat(3 << 20);
    assert_eq!(opened.good("echo", json!([large])).await, large.as_str().into());
}

#[tokio::test]
async fn c_4_a_byte_string_is_an_error_for_that_call_only() {
    let mut opened = Lab::new().open("").await;
    let echo = opened.unit.methods().iter().find(|method| method.name() == "echo").unwrap();
    let bound = echo.bind(Arguments::positional([Value::Bytes(vec![0xff])])).unwrap();
    let refusal = opened.unit.call("echo", bound).await.unwrap_err();
    assert_eq!(refusal.message, "value: a byte string cannot be passed to a driver");
    assert_eq!(opened.good("echo", json!([1])).await, Value::Int(1));
}

#[tokio::test]
async fn c_5_p_11_exceptions_arrive_as_raised_and_the_driver_stays_usable() {
    let mut opened = Lab::new().open("").await;
    for kind in ["Timeout", "RunError", "Offline", "Restarting", "ValueError", "Exception"] {
        let raised = json!({"type": kind, "message": "å", "cmd": ["a"], "out": "b", "deep": {"x": [1]}});
        let refusal = opened.bad("fail", json!([raised])).await;
        assert_eq!((refusal.kind.as_str(), refusal.message.as_str()), (kind, "å"));
        assert_eq!(refusal.details["deep"], json!({"x": [1]}).into());
        assert_eq!(refusal.details.len(), 3);
    }
    assert_eq!(opened.good("echo", json!([1])).await, Value::Int(1));
}

#[tokio::test]
async fn p_8_a_call_has_the_descriptors_limit_and_its_driver_is_killed_beyond_it() {
    let lab = Lab::with(json!({"limits": {"call_s": 3}}));
    let mut opened = lab.open("").await;
    let pid = opened.pid().await;
    let refusal = opened.bad("hang", json!([])).await;
    assert_eq!(refusal.kind.as_str(), "Timeout");
    let out = "the driver of toaster:t1 was killed: hang() took longer than 3 s; the piece is out until it is reset";
    assert_eq!(refusal.message, out);
    until("the driver is gone", || !runs(pid)).await;
    let again = opened.bad("echo", json!([])).await;
    assert_eq!((again.kind.as_str(), again.message.as_str()), ("Exception", out));
    assert!(opened.good("get_profile", json!([])).await.as_map().is_some());
}

#[tokio::test]
async fn p_8_a_calls_own_timeout_wins() {
    let lab = Lab::with(json!({"limits": {"call_s": 1}}));
    let opened = lab.open("").await;
    let limit = |timeout: Value| {
        let hang = opened.unit.methods().iter().find(|method| method.name() == "hang").unwrap();
        super::super::unit::limit(&lab.driver.0, &hang.bind(Arguments::positional([timeout])).unwrap())
    };
    let one = Some(Duration::from_secs(1));
    assert_eq!(limit(Value::Int(20)), Some(Duration::from_secs(25)));
    assert_eq!(limit(Value::Float(0.5)), Some(Duration::from_secs_f64(5.5)));
    let rest = [Value::Int(0), Value::Int(-3), Value::Null, "soon".into(), f64::NAN.into(), 1e300.into()];
    for said in rest {
        assert_eq!(limit(said), one);
    }
}

#[tokio::test]
async fn p_6_whatever_a_driver_does_wrong_is_said_and_kills_only_itself() {
    let cases = [
        ("die", json!([3]), "ended by itself with exit status: 3"),
        ("die", json!([0]), "ended by itself;"),
        ("die", json!([-9]), "ended by itself with signal: 9 (SIGKILL)"),
        ("write", json!(["Hello, world!"]), "was killed: frame too long"),
        ("write", json!(["\u{0}\u{0}\u{0}\u{2}[]"]), "was killed: write(): wanted a JSON object"),
        ("write", json!(["\u{0}\u{0}\u{0}\u{2}{}"]), "was killed: write(): wanted {\"result\""),
        ("write", json!(["\u{2}\u{0}\u{0}\u{1}"]), "at most 33554432 bytes, found 33554433"),
    ];
    let lab = Lab::new();
    let mut bystander = lab.open("").await;
    for (method, arguments, how) in cases {
        let mut opened = lab.open("").await;
        let pid = opened.pid().await;
        let refusal = opened.bad(method, arguments).await;
        assert!(refusal.kind.as_str() == "Exception" && refusal.message.contains(how), "{refusal}");
        until("the driver is gone", || !runs(pid)).await;
        assert_eq!(opened.bad("echo", json!([])).await, refusal);
        assert!(opened.unit.close().await.unwrap_err().starts_with("its driver "));
    }
    assert_eq!(bystander.good("echo", json!([1])).await, Value::Int(1));
}

#[tokio::test]
async fn p_6_an_answer_nobody_asked_for_ends_the_driver() {
    let mut opened = Lab::new().open("").await;
    assert_eq!(opened.good("twice", json!([])).await, Value::Int(1));
    let refusal = opened.bad("echo", json!([])).await;
    assert!(refusal.message.contains("it said something that nobody asked for"), "{refusal}");
}

#[tokio::test]
async fn a_driver_killed_from_outside_between_calls_is_noticed_at_the_next() {
    let mut opened = Lab::new().open("").await;
    let pid = opened.pid().await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let refusal = opened.bad("echo", json!([])).await;
    assert!(refusal.message.contains("ended by itself with signal: 9 (SIGKILL)"), "{refusal}");
}

#[tokio::test]
async fn a_call_that_is_given_up_kills_the_driver_and_its_children() {
    let lab = Lab::new();
    let mut opened = lab.open("").await;
    let pid = opened.pid().await;
    let Value::Int(child) = opened.good("child", json!([])).await else { panic!("a number") };
    {
        let call = opened.call("hang", json!([]));
        tokio::select! {
            _ = call => panic!("it hangs"),
            () = until("it hangs", || lab.story().contains(&"hang".to_owned())) => {}
        }
    }
    until("both are gone", || !runs(pid) && !runs(child)).await;
    let refusal = opened.bad("echo", json!([])).await;
    assert_eq!(refusal.message, "the driver of toaster:t1 was stopped");
}

#[tokio::test]
async fn what_a_driver_writes_for_people_never_blocks_it() {
    let mut opened = Lab::new().open("").await;
    opened.good("tell", json!(["x".repeat(1000), 5000])).await;
    opened.good("tell", json!([format!("{}\u{7f}", "y".repeat(1 << 20))])).await;
    opened.good("tell", json!(["it gets hot"])).await;
    let refusal = opened.bad("die", json!([1])).await;
    assert!(refusal.message.contains("exit status: 1: it gets hot"), "{refusal}");
}
