use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::*;
use crate::config::{Config, Severity};

/// A home with descriptors.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        fs::create_dir_all(home.paths().config()).unwrap();
        fs::create_dir_all(home.paths().equipment_d()).unwrap();
        home
    }

    fn paths(&self) -> Paths {
        Paths::new(self.0.path())
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.paths().equipment_d().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn program(&self, name: &str) {
        let path = self.write(name, "#!/bin/sh\n");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn describe(&self, descriptor: &serde_json::Value) -> Types {
        let name = descriptor["type"].as_str().unwrap();
        self.write(&format!("{name}.json"), &descriptor.to_string());
        Types::load(&self.paths())
    }
}

fn places(types: &Types) -> Vec<String> {
    types.faults().map(Fault::place).collect()
}

fn names(types: &Types) -> Vec<&str> {
    types.kinds().iter().map(|kind| kind.name.as_ref()).collect()
}

const SEVEN: [&str; 7] = ["beryllium", "handset", "powermeter", "relay", "testdrive", "wlan", "workspace"];

#[test]
fn p_1_p_2_a_file_describes_a_new_type() {
    let home = Home::new();
    home.program("drive");
    let types = home.describe(&json!({
        "type": "oven", "identity": "name", "defaults": {"power_state": "online"}, "kept": ["power_state"],
        "rules": {"trays": "names", "room": "one_of", "note": "ignore"}, "allocations": 3,
        "fields": {"trays": "What can be put in."},
        "listers": [
            {"file": {"path": "ovens.json"}},
            {"usb": {"vendor": "04d8", "product": "ffee", "fields": {"name": "serial"}, "constants": {"room": 7}}},
            {"command": {"command": ["./drive", "--list"], "every_s": 2, "grace_s": 5}},
        ],
        "driver": {"command": ["./drive"]}, "open": "lazy", "reset": {"method": "cool"},
        "limits": {"call_s": 600},
    }));
    assert_eq!(places(&types), [] as [String; 0]);
    let oven = types.kinds().get("oven").unwrap();
    assert_eq!((oven.identity.as_str(), oven.rule("trays")), ("name", ave_profile::Rule::Names));
    assert_eq!((oven.limits.call_s, oven.limits.open_s), (600, 3));
    assert_eq!(types.kinds().iter().count(), SEVEN.len() + 1);
    assert_eq!(
        types.described("oven").unwrap().folder,
        fs::canonicalize(home.paths().equipment_d()).unwrap()
    );
    assert_eq!(List::of(oven, &home.paths())[0].path(), home.paths().config().join("ovens.json"));
}

#[test]
fn p_3_the_built_in_types_pass_as_descriptors() {
    let home = Home::new();
    let built_in = KindTable::builtin();
    let mut tried = 0;
    for kind in built_in.iter() {
        let described = serde_json::to_value(&**kind).unwrap();
        let Value::Map(members) = Value::from(described) else { panic!("an object") };
        assert_eq!(parse(members, None).unwrap(), **kind);
        let faults = check::faults(Path::new("x.json"), home.0.path(), kind);
        let expected: &[&str] = if kind.made_on_demand { &["made_on_demand"] } else { &[] };
        assert_eq!(faults.iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>(), expected);
        for member in kind.kept.iter().chain(kind.rules.keys()).chain(kind.defaults.keys()) {
            assert!(kind.fields.contains_key(member), "{}: {member} has no sentence", kind.name);
        }
        assert!(kind.fields.contains_key(&kind.identity) && kind.fields.contains_key("type"));
        tried += 1;
    }
    assert_eq!(tried, SEVEN.len());
}

#[test]
fn p_2_every_member_is_documented() {
    let page = include_str!("../../../../../docs/configuration.md");
    let section = page.split("\n## ").find(|section| section.starts_with("`equipment.d/`")).unwrap();
    let kind = serde_json::to_value(&**KindTable::builtin().get("relay").unwrap()).unwrap();
    let members = kind.as_object().unwrap().keys().filter(|member| *member != "made_on_demand");
    let limits = kind["limits"].as_object().unwrap().keys();
    let all: Vec<_> = members.chain(limits).collect();
    assert_eq!(all.len(), 12 + 4);
    for member in all {
        assert!(section.contains(&format!("\n| `{member}` |")), "{member}");
    }
    let example = section.split("```json").nth(1).unwrap().split("```").next().unwrap();
    let Value::Map(example) = file::parse(example.as_bytes()).unwrap() else { panic!("an object") };
    let oven = parse(example, None).unwrap();
    assert_eq!((oven.listers.len(), oven.limits.call_s), (3, 600));
}

#[test]
fn p_3_a_lab_says_only_what_differs_from_a_built_in_type() {
    let home = Home::new();
    home.program("gps");
    let types = home.describe(&json!({"type": "testdrive", "driver": {"command": ["./gps"]}}));
    assert_eq!(places(&types), [] as [String; 0]);
    let testdrive = types.kinds().get("testdrive").unwrap();
    assert_eq!(
        (testdrive.identity.as_str(), testdrive.kept.as_slice()),
        ("uid", ["vendor".to_owned()].as_slice())
    );
    let types = home.describe(&json!({"type": "handset", "defaults": {}, "allocations": "unlimited"}));
    assert_eq!(places(&types), [] as [String; 0]);
    assert!(types.kinds().get("handset").unwrap().defaults.is_empty());
}

#[test]
fn p_15_what_is_wrong_disables_that_type_only() {
    let oven = |members: serde_json::Value| {
        let mut oven = json!({"type": "oven", "identity": "uid"});
        oven.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        oven
    };
    let usb = |usb| oven(json!({"listers": [{"usb": usb}]}));
    let command = |command| oven(json!({"listers": [{"command": command}]}));
    let wrong = [
        (json!({"type": "oven"}), "oven.json: wanted an object"),
        (oven(json!({"identity": 1})), "oven.json: identity: wanted the name"),
        (oven(json!({"identity": ""})), "oven.json: identity: wanted names of"),
        (oven(json!({"identity": "type"})), "oven.json: identity: wanted a member that only"),
        (oven(json!({"surprise": 1})), "oven.json: surprise: wanted an object"),
        (oven(json!({"rules": {"uid": "names"}})), "oven.json: rules.uid: wanted \"equal\""),
        (oven(json!({"rules": {"x": "some"}})), "oven.json: rules.x: wanted an object of members"),
        (oven(json!({"defaults": {"uid": "a"}})), "oven.json: defaults.uid: wanted no default"),
        (oven(json!({"defaults": []})), "oven.json: defaults: wanted an object"),
        (oven(json!({"kept": ["a b"]})), "oven.json: kept: wanted names"),
        (oven(json!({"allocations": 0})), "oven.json: allocations: wanted a number from 1"),
        (oven(json!({"allocations": "many"})), "oven.json: allocations: wanted a number from 1"),
        (oven(json!({"made_on_demand": true})), "oven.json: made_on_demand: wanted false"),
        (oven(json!({"listers": [{"file": {"path": "../x"}}]})), "oven.json: listers[0].file.path: wanted"),
        (oven(json!({"listers": [{"file": {"path": "/x"}}]})), "oven.json: listers[0].file.path: wanted"),
        (oven(json!({"listers": [{"file": {"path": ""}}]})), "oven.json: listers[0].file.path: wanted"),
        (oven(json!({"listers": [{"magic": {}}]})), "oven.json: listers[0]"),
        (
            usb(json!({"vendor": "4D8", "fields": {"uid": "serial"}})),
            "oven.json: listers[0].usb.vendor: wanted 4",
        ),
        (
            usb(json!({"vendor": "04d8", "product": "FFEE", "fields": {"uid": "serial"}})),
            "oven.json: listers[0].usb.product: wanted 4",
        ),
        (
            usb(json!({"vendor": "04d8", "fields": {}})),
            "oven.json: listers[0].usb.fields: wanted the identity",
        ),
        (
            usb(json!({"vendor": "04d8", "fields": {"uid": "smell"}})),
            "oven.json: listers[0].usb.fields.uid: wanted one of serial",
        ),
        (
            usb(json!({"vendor": "04d8", "fields": {"uid": "serial"}, "constants": {"uid": 1}})),
            "oven.json: listers[0].usb.constants.uid: wanted only members",
        ),
        (command(json!({"command": []})), "oven.json: listers[0].command.command: wanted a program"),
        (
            command(json!({"command": ["./none"]})),
            "oven.json: listers[0].command.command: wanted an executable",
        ),
        (
            command(json!({"command": ["no-such-program"]})),
            "oven.json: listers[0].command.command: wanted a program in",
        ),
        (
            command(json!({"command": ["sh"], "every_s": 0})),
            "oven.json: listers[0].command.every_s: wanted 1 to",
        ),
        (
            command(json!({"command": ["sh"], "grace_s": 90000})),
            "oven.json: listers[0].command.grace_s: wanted",
        ),
        (
            oven(json!({"driver": {"command": ["./none"]}})),
            "oven.json: driver.command: wanted an executable file",
        ),
        (oven(json!({"driver": {"command": "sh"}})), "oven.json: driver.command: wanted {"),
        (oven(json!({"reset": {"method": "cool"}})), "oven.json: reset.method: wanted a \"driver\""),
        (oven(json!({"reset": {"method": "_x"}})), "oven.json: reset.method: wanted a method's name"),
        (oven(json!({"reset": {"command": [""]}})), "oven.json: reset.command: wanted a program"),
        (oven(json!({"limits": {"call_s": -1}})), "oven.json: limits.call_s: wanted an object"),
        (oven(json!({"limits": {"call_s": 100_000}})), "oven.json: limits.call_s: wanted 0 to"),
        (oven(json!({"open": "later"})), "oven.json: open: wanted \"eager\""),
    ];
    for (descriptor, place) in wrong {
        let types = Home::new().describe(&descriptor);
        let found = places(&types);
        assert!(
            found.first().is_some_and(|found| found.starts_with(place)),
            "{descriptor}: {place}: {found:?}"
        );
        assert!(types.faults().all(|fault| fault.severity == Severity::Warning), "{found:?}");
        assert_eq!(names(&types), SEVEN, "{descriptor}");
        assert!(types.disabled().contains_key("oven"));
    }
}

#[test]
fn p_15_a_wrong_descriptor_of_a_built_in_type() {
    let home = Home::new();
    // The broker's own drivers reset their pieces, whatever the lab got wrong.
    for name in ["handset", "relay", "workspace"] {
        let types = home.describe(&json!({"type": name, "driver": {"command": ["sh"]}}));
        assert!(types.disabled().contains_key(name) && types.kinds().get(name).is_some());
        assert_eq!(types.kinds().get(name), KindTable::builtin().get(name));
    }
    let types = home.describe(&json!({"type": "testdrive", "driver": {"command": ["./gone"]}}));
    assert_eq!(names(&types), ["beryllium", "handset", "powermeter", "relay", "wlan", "workspace"]);
    assert_eq!(types.disabled().len(), 4);
}

#[test]
fn p_15_a_file_that_is_no_descriptor_is_named() {
    let home = Home::new();
    let folder = home.paths().equipment_d();
    home.write("a.json", "{");
    home.write("b.json", "[]");
    home.write("c.json", r#"{"type": "d", "identity": "uid"}"#);
    fs::create_dir(folder.join("e.json")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.join("f.json")).unwrap();
    fs::File::create(folder.join("g.json")).unwrap().set_len(DESCRIPTOR_BYTES_MAX + 1).unwrap();
    home.write("UPPER.json", r#"{"type": "UPPER", "identity": "uid"}"#);
    home.write("broker.json", r#"{"type": "broker", "identity": "uid"}"#);
    for ignored in ["program", "notes.txt", ".hidden.json"] {
        home.write(ignored, "?");
    }
    let types = Types::load(&home.paths());
    let disabled: Vec<_> = types.disabled().keys().map(String::as_str).collect();
    assert_eq!(disabled, ["UPPER", "a", "b", "broker", "c", "e", "f", "g"]);
    assert_eq!(places(&types)[4], "c.json: type: wanted \"c\", as the file is named, found \"d\"");
    assert!(places(&types)[6].contains("not a regular file"), "{:?}", places(&types));
    assert_eq!(names(&types), SEVEN);
}

#[test]
fn a_fault_is_short_and_there_are_not_too_many() {
    let long = "x".repeat(5_000);
    let names: Vec<_> = (0..100).map(|i| format!("{i} {long}")).collect();
    let usb = json!([{"usb": {"vendor": long, "fields": {}}}]);
    let types =
        Home::new().describe(&json!({"type": "oven", "identity": long, "kept": names, "listers": usb}));
    let faults: Vec<_> = types.faults().collect();
    assert!((3..=20).contains(&faults.len()), "{}", faults.len());
    assert!(faults.iter().all(|fault| fault.message.len() < 3000));
}

#[test]
fn the_number_of_descriptors_is_bounded() {
    let home = Home::new();
    for i in 0..=DESCRIPTORS_MAX {
        home.write(&format!("t{i}.json"), "{}");
    }
    let types = Types::load(&home.paths());
    assert_eq!(types.disabled().len(), DESCRIPTORS_MAX);
    assert!(types.faults().next().unwrap().wanted.starts_with("at most 256"));
}

#[test]
fn a_plug_in_can_live_elsewhere_and_be_linked() {
    let (home, elsewhere) = (Home::new(), tempfile::tempdir().unwrap());
    let program = elsewhere.path().join("gps");
    fs::write(&program, "").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let descriptor = elsewhere.path().join("testdrive.json");
    fs::write(&descriptor, r#"{"type": "testdrive", "driver": {"command": ["./gps"]}}"#).unwrap();
    let link = home.paths().equipment_d().join("testdrive.json");
    std::os::unix::fs::symlink(&descriptor, &link).unwrap();
    let types = Types::load(&home.paths());
    assert_eq!(places(&types), [] as [String; 0]);
    let described = types.described("testdrive").unwrap();
    assert_eq!(described.file, link);
    assert_eq!(described.folder, fs::canonicalize(elsewhere.path()).unwrap());
}

#[test]
fn p_5_what_comes_and_goes_is_never_lent_unasked_while_it_is_gone() {
    let home = Home::new();
    let usb = json!([{"usb": {"vendor": "04d8", "fields": {"uid": "serial"}}}]);
    let types = home.describe(&json!({"type": "oven", "identity": "uid", "listers": usb}));
    let oven = types.kinds().get("oven").unwrap();
    assert_eq!(oven.defaults.get("power_state"), Some(&"online".into()));
}

#[test]
fn p_15_a_broker_starts_without_the_type_and_stacks_may_name_one() {
    let home = Home::new();
    fs::write(home.paths().authkeys_json(), "{}").unwrap();
    let broker = json!({"host": "localhost", "stacks": [[{"type": "oven", "uid": "o"}]]});
    fs::write(home.paths().broker_json(), broker.to_string()).unwrap();
    home.write("oven.json", "{}");
    let config = Config::load(&home.paths()).unwrap();
    let named = |file: &str| {
        config
            .warnings
            .iter()
            .filter(|fault| fault.file.ends_with(file))
            .map(|fault| fault.field.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (named("oven.json"), named("broker.json")),
        (vec!["type".to_owned()], vec!["stacks[0][0]".to_owned()])
    );
    home.describe(&json!({"type": "oven", "identity": "uid"}));
    assert!(Config::load(&home.paths()).unwrap().warnings.iter().all(|fault| fault.field != "stacks[0][0]"));
}
