use std::collections::BTreeSet;

use super::super::probe::Platform;
use super::super::unit;
use super::*;

const DOCUMENT: &str = include_str!("../../../../../../docs/handset.md");

#[test]
fn c1_every_call_is_documented_and_nothing_else_is() {
    let methods = unit::methods(Platform::Android);
    assert!(methods.len() > 50);
    let base = unit::methods(Platform::Adb).iter();
    let changed = base.filter(|signature| !methods.contains(signature));
    for signature in methods.iter().chain(changed.clone()) {
        let row = format!("\n| `{signature}` |");
        assert!(DOCUMENT.contains(&row), "{signature}");
    }
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `") && line.contains(")` |"));
    let documented: BTreeSet<_> = rows.collect();
    assert!(documented.len() >= methods.len() + changed.count());
    for row in documented {
        let name = row.trim_start_matches("| `").split('(').next().unwrap();
        assert!(methods.iter().any(|signature| signature.name() == name), "{row}");
    }
}

#[tokio::test]
async fn c1_every_call_of_either_class_is_answered() {
    let home = tempfile::tempdir().unwrap();
    // Nobody listens there: every answer is quick.
    let driver = driver(([127, 0, 0, 1], 1).into(), home.path());
    let mut answered = 0;
    for platform in ["adb", "android"] {
        let profile = Arc::new(Profile::of(json!({"serial": "s", "platform": platform})));
        let item = Identity::new("handset", "s");
        let granted = Granted {
            item,
            profile: Arc::clone(&profile),
            known: profile,
            again: false,
            at: None,
            number: 1,
        };
        let mut opened = Opened(driver.open(&granted).await.unwrap());
        for signature in opened.0.methods().to_vec() {
            let enough = (0..4).find_map(|count| {
                signature.bind(Arguments::positional((0..count).map(|_| Value::from("x")))).ok()
            });
            if let Err(refusal) = opened.0.call(signature.name(), enough.unwrap()).await {
                assert!(!refusal.message.contains("no such RPC"), "{signature}: {refusal}");
            }
            answered += 1;
        }
    }
    assert!(answered > 100);
}

#[tokio::test]
async fn a_platform_without_a_class_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let profile = Arc::new(Profile::of(json!({"serial": "s", "platform": "firefox"})));
    let item = Identity::new("handset", "s");
    let granted =
        Granted { item, profile: Arc::clone(&profile), known: profile, again: false, at: None, number: 1 };
    let refusal = driver(([127, 0, 0, 1], 1).into(), home.path()).open(&granted).await.err().unwrap();
    assert_eq!(refusal.message, "no class of handset for platform \"firefox\": s");
}
