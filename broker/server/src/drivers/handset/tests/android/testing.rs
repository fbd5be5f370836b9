use super::*;

const RUNNER: &str = "com.example/.Runner";
const ANSWER: &str = "instrumentation/com.example,.Runner";

async fn with_tests() -> (Lab, Opened) {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    handset.good("install", json!([apk(&lab)])).await;
    lab.phone.set(&format!("packages/{}/version_code", "com.example.part"), Some("1")).unwrap();
    lab.phone.set("packages/org.none/version_code", Some("1")).unwrap();
    (lab, handset)
}

/// `run_junit`, by the parameters' order.
fn junit(package: Option<&str>, runner: Option<&str>, raw: Option<&str>, timeout: i64) -> serde_json::Value {
    json!([null, package, runner, null, raw, timeout])
}

#[tokio::test]
async fn h26_run_junit_checks_what_it_is_given() {
    let (_lab, mut handset) = with_tests().await;
    for (arguments, message) in [
        (json!([]), "missing parameter: "),
        (junit(Some("a"), Some("b"), None, 0), "invalid combination of parameters"),
        (json!([null, "a", null, {"k": "v"}]), "invalid combination of parameters"),
        (junit(Some("com.none"), None, None, 0), "no such test package on handset: com.none"),
        (junit(Some("org.none"), None, None, 0), "no runner in package: org.none"),
        (json!([null, 1]), "invalid type of test_package"),
        (json!([1]), "invalid type of output_path"),
        (json!([null, null, RUNNER, "k"]), "invalid type of test_options"),
    ] {
        handset.fails("run_junit", arguments, message).await;
    }
    let runners = handset.good("get_instrumentation_runners", json!(["com.example"])).await;
    assert_eq!(runners, json!([RUNNER]));
}

#[tokio::test]
async fn h26_run_junit_answers_and_appends_what_was_said() {
    let (lab, mut handset) = with_tests().await;
    let copy = lab.home.path().join("out.txt");
    for (package, runner) in
        [(Some("com.example"), None), (Some("com.example.part"), None), (None, Some(RUNNER))]
    {
        let output = handset.good("run_junit", json!([copy, package, runner])).await;
        assert!(output.as_str().unwrap().contains("OK (1 test)\r\n"), "{output}");
    }
    assert_eq!(fs::read_to_string(&copy).unwrap().matches("OK (1 test)").count(), 3);
    let options = json!([null, null, RUNNER, {"class": "a.B#c", "n": 1}]);
    handset.good("run_junit", options).await;
    handset.good("run_junit", junit(None, None, Some(&format!("-w {RUNNER}")), 0)).await;
    let asked = fs::read_to_string(lab.phone.file("/.simulated/instruments")).unwrap();
    let last: Vec<_> = asked.lines().rev().take(2).collect();
    let expected = [format!("-w {RUNNER}"), format!("-r -e class a.B#c -e n 1 -w {RUNNER}")];
    assert_eq!(last, expected);
}

#[tokio::test]
async fn h26_run_junit_says_what_went_wrong() {
    let (lab, mut handset) = with_tests().await;
    let refusal = handset.bad("run_junit", junit(None, Some("com.no/.R"), None, 0)).await;
    assert_eq!(refusal.kind.as_str(), "RunError");
    assert_eq!(refusal.message, "invalid instrumentation runner: com.no/.R");
    for (said, message) in [
        ("Could not find test class. Class: a.B", "no such test class"),
        ("Method \"testX\" not found", "no such test case: testX"),
        ("INSTRUMENTATION_RESULT: shortMsg=Process crashed", "instrumentation test run crash"),
        ("INSTRUMENTATION_STATUS: x", "instrumentation test run incomplete"),
    ] {
        lab.phone.set(ANSWER, Some(said)).unwrap();
        let refusal = handset.bad("run_junit", junit(Some("com.example"), None, None, 0)).await;
        assert_eq!((refusal.kind.as_str(), refusal.message.as_str()), ("RunError", message));
        assert!(refusal.details["out"].as_str().unwrap().contains(said), "{refusal:?}");
        assert!(refusal.details.contains_key("ptyout") && refusal.details.contains_key("cmd"));
    }
}

#[tokio::test]
async fn h26_a_test_that_takes_too_long_is_killed() {
    let (lab, mut handset) = with_tests().await;
    lab.phone.set(ANSWER, Some("#!/bin/sh\necho begun\nexec sleep 55\n")).unwrap();
    let copy = lab.home.path().join("out.txt");
    for kill in [false, true] {
        processes(&lab, "u0_a1 70 50 com.target\nu0_a1 71 50 com.example\nu0_a1 72 50 com.example.other\n");
        let arguments = json!([copy, null, RUNNER, null, null, 3, kill]);
        let refusal = handset.bad("run_junit", arguments).await;
        assert_eq!((refusal.kind.as_str(), refusal.message.as_str()), ("Timeout", "command timed out"));
        assert_eq!(refusal.details["out"], Value::from("begun\r\n"));
        let left = handset.good("ps", json!(["com."])).await;
        assert_eq!(left.as_array().unwrap().len(), if kill { 1 } else { 3 }, "{left}");
        until("nothing runs", || lab.phone.running().is_empty());
    }
    assert_eq!(fs::read_to_string(copy).unwrap(), "begun\r\nbegun\r\n");
}

#[tokio::test]
async fn kill_junit_test_ends_a_test_and_what_it_tests() {
    let (lab, mut handset) = with_tests().await;
    for none in [json!(null), json!("")] {
        handset.fails("kill_junit_test", json!([none]), "no package given").await;
    }
    handset.fails("kill_junit_test", json!(["org.none"]), "no runner in package: org.none").await;
    processes(&lab, "u0_a1 70 50 com.target\nu0_a1 71 50 com.example\n");
    handset.good("kill_junit_test", json!(["com.example"])).await;
    assert_eq!(handset.good("ps", json!(["com."])).await, json!([]));
    processes(&lab, "u0_a1 70 50 com.target\n");
    executable(&lab, "/.simulated/bin/kill", "#!/bin/sh\n");
    let refusal = handset.bad("kill_junit_test", json!(["com.example", 1])).await;
    assert_eq!(refusal.kind.as_str(), "Timeout");
}

const GTEST: &str = r#"#!/bin/sh
case $1 in --gtest_list_tests) printf 'Foo.\n  Bar\n  Baz\n'; exit;; esac
for option; do
    case $option in --gtest_output=xml:*) echo '<testsuites/>' >"$SIMULATED${option#*xml:}";; esac
done
echo '[----------] Global test environment set-up.'
echo "$1"
echo '[----------] Global test environment tear-down'
"#;

#[tokio::test]
async fn h27_run_gtest_checks_runs_and_fetches() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    let here = lab.home.path();
    let file = here.join("file");
    fs::write(&file, "").unwrap();
    let gtest = "/data/local/tmp/gtest";
    for (arguments, message) in [
        (json!([""]), "target must be a non-empty string"),
        (json!([null]), "target must be a non-empty string"),
        (json!([gtest, ""]), "result_path must be a non-empty string"),
        (json!([gtest, 1]), "result_path must be a non-empty string"),
        (json!([gtest, "/nowhere"]), "result_path does not exist:"),
        (json!([gtest, file]), "result_path not a writable directory: "),
        (json!([gtest, null, "x"]), "args must be a list of strings"),
        (json!([gtest, null, [1]]), "args must be a list of strings"),
        (json!([gtest, null, [], "1"]), "timeout must be an integer"),
        (json!([gtest, null, [], 1.5]), "timeout must be an integer"),
        (json!([gtest]), "target does not exist: /data/local/tmp/gtest"),
        (json!(["/system/build.prop"]), "target is not an executable file: /system/build.prop"),
        (json!(["/data"]), "target is not an executable file: /data"),
    ] {
        handset.fails("run_gtest", arguments, message).await;
    }
    handset.fails("list_gtest_tests", json!(["/nope"]), "target does not exist: /nope").await;
    executable(&lab, gtest, GTEST);
    assert_eq!(handset.good("list_gtest_tests", json!([gtest])).await, json!(["Foo.Bar", "Foo.Baz"]));
    let result = handset.good("run_gtest", json!([gtest, null, ["--gtest_filter=A*"]])).await;
    assert!(result[0].as_str().unwrap().contains("\r\n--gtest_filter=A*\r\n"), "{result}");
    assert_eq!((&result[1], &result[2]), (&json!(null), &json!(null)));
    let result = handset.good("run_gtest", json!([gtest, here])).await;
    let read = |path: &serde_json::Value| fs::read_to_string(path.as_str().unwrap()).unwrap();
    assert_eq!(read(&result[1]), result[0].as_str().unwrap());
    assert_eq!(read(&result[2]), "<testsuites/>\n");
    assert!(result[1].as_str().unwrap().contains("/gtest_output_"), "{result}");
    assert_eq!(handset.good("ls", json!(["/data/local/tmp"])).await, json!(["gtest"]));
    executable(&lab, gtest, "#!/bin/sh\necho hello\n");
    let refusal = handset.bad("run_gtest", json!([gtest])).await;
    assert_eq!((refusal.kind.as_str(), refusal.message.contains("invalid executable")), ("RunError", true));
}

#[tokio::test]
async fn h27_dump_heap_checks_and_fetches() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    let here = lab.home.path();
    for (arguments, message) in [
        (json!(["", "p"]), "directory must be a non-empty string"),
        (json!([here, ""]), "package must be a non-empty string"),
        (json!([here, "p", 1]), "native must be a boolean value"),
        (json!([here, "p", false, "1"]), "timeout must be of type int or float"),
        (json!([here, "p", false, null]), "timeout must be of type int or float"),
        (json!(["/nowhere", "p"]), "not an existing directory: /nowhere"),
        (json!([here, "p"]), "no process found for package: p"),
    ] {
        handset.fails("dump_heap", arguments, message).await;
    }
    processes(&lab, "u0_a1 70 50 com.example\nu0_a1 71 50 com.example\nu0_a1 72 50 com.example.other\n");
    let files = handset.good("dump_heap", json!([here, "com.example"])).await;
    assert_eq!(files.as_array().unwrap().len(), 2);
    for file in files.as_array().unwrap() {
        assert_eq!(fs::read_to_string(file.as_str().unwrap()).unwrap(), "JAVA PROFILE 1.0.3\n");
    }
    assert_eq!(handset.good("ls", json!(["/data/local/tmp"])).await, json!([]));
    lab.phone.set("no_dumpheap", Some("")).unwrap();
    let refusal = handset.bad("dump_heap", json!([here, "com.example", true, 0.5])).await;
    assert!(refusal.kind.as_str() == "Timeout" && refusal.message.contains("timed out"), "{refusal}");
}

#[tokio::test]
async fn h27_set_libc_debug_malloc_checks_and_restarts() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    for (arguments, message) in [
        (json!([1, "p"]), "\"on\" must be a boolean value"),
        (json!([true, ""]), "package must be a non-empty string"),
        (json!([true, "p", "1"]), "timeout must be of type int or float"),
    ] {
        handset.fails("set_libc_debug_malloc", arguments, message).await;
    }
    processes(&lab, "u0_a1 70 50 com.example\n");
    assert_eq!(handset.good("set_libc_debug_malloc", json!([true, "com.example"])).await, false);
    assert_eq!(lab.phone.property("libc.debug.malloc"), "1");
    assert_eq!(handset.good("set_libc_debug_malloc", json!([false, "com.example"])).await, true);
    assert_eq!(lab.phone.property("libc.debug.malloc"), "");
    let refusal = handset.bad("set_libc_debug_malloc", json!([true, "com.none", 0.5])).await;
    assert!(refusal.kind.as_str() == "Timeout" && refusal.message.contains("timed out"), "{refusal}");
}
