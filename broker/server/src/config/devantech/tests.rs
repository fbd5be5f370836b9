//! Every row of the table of Specification 3.4.

use std::fs;

use serde_json::{Value as Json, json};

use super::*;

fn read(content: Json) -> Result<DevantechConfig, String> {
    let relay = RelayConfig::default();
    DevantechConfig::of("devantech.json".into(), content.into(), relay).map_err(|fault| fault.to_string())
}

fn plan(content: Json) -> Result<BoardPlan, String> {
    read(content)?.plan("1").map_err(|fault| fault.to_string())
}

#[test]
fn r1_every_fault_has_its_message() {
    let group = |circuits: Json| json!({"1": {"groups": {"a": circuits}}});
    let defaults = |list: Json| json!({"1": {"groups": {}, "defaults": list}});
    let rows = [
        (json!([]), "devantech.json is not a dictionary"),
        (json!({"1": []}), "\"1\" is not a dictionary"),
        (json!({"1": {}}), "\"1\" contains no \"groups\" field"),
        (json!({"1": {"groups": []}}), "\"groups\" is not a dictionary"),
        (group(json!(1)), "group \"a\" is not a dictionary"),
        (group(json!({"usb.pc.vcc": "1"})), "circuit \"usb.pc.vcc\" is not an integer"),
        (group(json!({"usb.pc.vcc": 1.5})), "circuit \"usb.pc.vcc\" is not an integer"),
        (group(json!({"usb.pc.vcc": true})), "circuit \"usb.pc.vcc\" is not an integer"),
        (group(json!({"foo": 1})), "circuit identifier \"foo\" is invalid"),
        (group(json!({"usb.pc.vcc": 9})), "port 9 is out of bounds"),
        (group(json!({"usb.pc.vcc": 0})), "port 0 is out of bounds"),
        (group(json!({"usb.pc.vcc": -1})), "port -1 is out of bounds"),
        (group(json!({"usb.pc.vcc": 257})), "port 257 is out of bounds"),
        (group(json!({"usb.pc.vcc": 2, "usb.wall.vcc": 2})), "port 2 is used more than once"),
        (
            json!({"1": {"groups": {"a": {"usb.pc.vcc": 2}, "b": {"usb.pc.vcc": 2}}}}),
            "port 2 is used more than once",
        ),
        (defaults(json!({})), "defaults is not a list"),
        (defaults(json!([1, 1, 1])), "defaults is not a list"),
        (defaults(json!([1, 1, 1, 1, 1, 1, 1, 1, 1])), "defaults is not a list"),
        (defaults(json!([1, 1, 1, 1, 1, 1, 1, 2])), "defaults contain values out of bounds"),
        (defaults(json!([1, 1, 1, 1, 1, 1, 1, "1"])), "defaults contain values out of bounds"),
        (json!({"2": {"groups": {}}}), "no values for device with serial \"1\""),
        (json!({}), "no values for device with serial \"1\""),
    ];
    for (content, fragment) in rows {
        let message = plan(content.clone()).unwrap_err();
        assert!(message.contains(fragment), "{content}: {message}");
    }
}

#[test]
fn r1_a_file_that_is_not_there_or_not_json_has_its_message() {
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::new(home.path());
    fs::create_dir_all(paths.config()).unwrap();
    let message = || DevantechConfig::load(&paths).unwrap_err().to_string();
    assert!(message().starts_with("no such config file: "), "{}", message());
    fs::write(paths.devantech_json(), "{").unwrap();
    assert!(message().starts_with("could not load config file: "), "{}", message());
    fs::write(paths.devantech_json(), "{}").unwrap();
    fs::write(paths.relay_json(), r#"{"port": "x"}"#).unwrap();
    assert!(message().contains(r#"attribute must be on the form {"port":<integer>}"#), "{}", message());
}

#[test]
fn r2_the_exact_serial_beats_the_star() {
    let both = json!({
        "*": {"groups": {"left": {"usb.pc.vcc": 2}}},
        "1": {"groups": {"right": {"handset.power": 8}}, "defaults": [1, 1, 1, 1, 1, 1, 1, 0]},
    });
    let config = read(both).unwrap();
    let groups = |serial| config.plan(serial).unwrap().groups.into_keys().collect::<Vec<_>>();
    assert_eq!((groups("1"), groups("2")), (vec!["right".to_owned()], vec!["left".to_owned()]));
    let own = config.plan("1").unwrap();
    let rest: Vec<_> = Port::all().map(|port| own.default_of(port)).collect();
    assert_eq!(rest, [true, true, true, true, true, true, true, false]);
    // Also if there is something wrong with it: the star is no way round.
    let message = plan(json!({"*": {"groups": {}}, "1": 5})).unwrap_err();
    assert_eq!(message, "\"1\" is not a dictionary");
}

#[test]
fn r2_relays_rest_energised_where_nothing_else_is_said() {
    let plan = plan(json!({"*": {"groups": {}}})).unwrap();
    assert_eq!(Port::all().filter(|port| plan.default_of(*port)).count(), PORTS);
}

#[test]
fn one_board_s_fault_hides_no_other_s() {
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::new(home.path());
    fs::create_dir_all(paths.config()).unwrap();
    let content =
        json!({"1": [], "2": {"groups": {"a": {"lamp.power": 1}}}, "3": {"groups": {"a": {"nap": 1}}}});
    fs::write(paths.devantech_json(), content.to_string()).unwrap();
    fs::write(paths.relay_json(), r#"{"circuits": ["lamp.power"], "port": 4006}"#).unwrap();
    let faults = DevantechConfig::faults(&paths);
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["1", "3.groups.a.nap", "port"]);
    assert!(DevantechConfig::load(&paths).unwrap().plan("2").is_ok());
}

#[test]
fn the_default_is_the_example_and_fits_any_board() {
    let example = include_str!("../../../../../config-examples/lab/devantech.json");
    assert_eq!(serde_json::from_str::<Json>(example).unwrap(), DevantechConfig::default_content());
    let plan = plan(DevantechConfig::default_content()).unwrap();
    assert_eq!(plan.groups["d"]["handset.volume.down"].number(), 8);
    assert_eq!(Port::all().filter(|port| plan.default_of(*port)).count(), 5);
}
