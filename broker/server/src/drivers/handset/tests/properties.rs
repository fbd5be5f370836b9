use super::*;

#[tokio::test]
async fn h21_a_property_is_set_read_and_cleared() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    handset.good("set_property", json!(["debug.x", "a b"])).await;
    assert_eq!(lab.phone.property("service.adb.root"), "1");
    assert_eq!(handset.good("get_property", json!(["debug.x"])).await, "a b");
    std::fs::write(lab.phone.file("/data/local.prop"), "a=1\ndebug.x=2\nb=3\n").unwrap();
    handset.good("clear_property", json!(["debug.x"])).await;
    handset.fails("get_property", json!(["debug.x"]), "failed to get property with key: debug.x").await;
    assert_eq!(std::fs::read_to_string(lab.phone.file("/data/local.prop")).unwrap(), "a=1\nb=3\n");
    for (arguments, message) in [
        (json!([null, "v"]), "both key and value must be given"),
        (json!(["k", null]), "both key and value must be given"),
        (json!(["", "v"]), "key must be a non-empty string"),
        (json!([1, "v"]), "key must be a non-empty string"),
    ] {
        handset.fails("set_property", arguments, message).await;
    }
    handset.fails("clear_property", json!([" "]), "key must be a non-empty string").await;
    handset.fails("get_property", json!([null]), "key must be a non-empty string").await;
}

#[tokio::test]
async fn h21_a_property_that_stays_as_it_is_is_said() {
    let lab = Lab::new();
    lab.phone.set_property("debug.x", "old").unwrap();
    let mut handset = lab.open().await;
    lab.phone.set("no_setprop", Some("")).unwrap();
    handset.fails("set_property", json!(["debug.x", "new"]), "failed to set property").await;
    handset.fails("clear_property", json!(["debug.x"]), "failed to clear property").await; // DEF 17
}

#[tokio::test]
async fn every_member_of_the_profile_can_be_read() {
    let lab = Lab::with(Phone::builder().property("gsm.sim.operator.alpha", "ONE,Two"));
    let mut handset = lab.open_as(json!({"platform": "android", "product.model": "C6603"})).await;
    for (call, expected) in [
        ("get_product_model", json!("fake1")),
        ("get_sdk_version", json!(28)),
        ("get_build_label", json!("1.0.A.0.1")),
        ("get_sim_operator", json!("one,two")),
        ("get_gsm_operator", json!("Simulated")),
        ("get_gsm_capable", json!(true)),
        ("get_phone_type", json!(null)),
        ("get_platform", json!("android")),
        ("get_workstation", json!("here")),
    ] {
        assert_eq!(handset.good(call, json!([])).await, expected, "{call}");
    }
    assert_eq!(handset.good("get_handset_config", json!([])).await["pretty"], "yuga");
    let filled = handset.good("update_profile", json!([{"serial": "s", "sdk.version": 1}])).await;
    assert_eq!((&filled["serial"], &filled["sdk.version"]), (&json!("s"), &json!(28)));
    assert_eq!(filled["network.type"], "lte");
    lab.phone.set_property("gsm.network.type", "unknown").unwrap();
    assert_eq!(handset.good("get_gsm_capable", json!([])).await, false);
}
