//! The list of checks in `docs/protocol.md`, ticked off: each that is proven now has its number in the name
//! of a test, or in a comment beside an assertion.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_check_that_is_proven_now_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let protocol = fs::read_to_string(root.join("docs/protocol.md")).expect("the protocol");
    let due = due(&protocol);
    assert!(due.len() > 150, "the list was not understood: {due:?}");
    let files: Vec<_> =
        ["tests", "pytests", "broker"].iter().flat_map(|name| sources(root.join(name))).collect();
    let done: BTreeSet<u32> = files.iter().flat_map(|text| numbers(text)).collect();
    let missing: BTreeMap<_, _> = due.into_iter().filter(|(number, _)| !done.contains(number)).collect();
    assert!(missing.is_empty(), "no test has these numbers: {missing:#?}");
}

/// The numbers and the first lines of the checks that are not left for later.
fn due(protocol: &str) -> BTreeMap<u32, String> {
    let (_, checks) = protocol.split_once("\n## 10. Checks\n").expect("the list");
    let (checks, _) = checks.split_once("\n## ").expect("its end");
    let sections = checks.split("\n### ").filter(|section| !section.contains("(all later)\n"));
    let items = sections.flat_map(|section| section.split('\n').fold(Vec::new(), gather));
    items.filter(|(_, text): &(u32, String)| !text.ends_with("*Later.*")).collect()
}

/// Adds a line to the items before it: a new item, or more of the last one.
fn gather(mut items: Vec<(u32, String)>, line: &str) -> Vec<(u32, String)> {
    let numbered = line.split_once(". ").and_then(|(number, text)| Some((number.parse().ok()?, text)));
    match (numbered, items.last_mut()) {
        (Some((number, text)), _) => items.push((number, text.to_owned())),
        (None, Some((_, text))) if line.starts_with(' ') => text.push_str(line),
        _ => {}
    }
    items
}

/// The texts of all sources of tests below a folder.
fn sources(folder: PathBuf) -> Vec<String> {
    let mut texts = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "py") {
                texts.push(fs::read_to_string(path).expect("a source"));
            }
        }
    }
    texts
}

/// The numbers that tests in this text claim: words of their names, and comments of nothing but numbers.
fn numbers(text: &str) -> impl Iterator<Item = u32> {
    let mut is_test = false;
    text.lines().flat_map(move |line| {
        let line = line.trim();
        let name = line.split_once("fn ").filter(|_| is_test).or(line.split_once("def test_"));
        let words = name.and_then(|(_, rest)| rest.split('(').next()).unwrap_or_default().split('_');
        let comment = line.rsplit_once("// ").or(line.rsplit_once("# ")).map_or("", |(_, comment)| comment);
        let listed: Option<Vec<u32>> = comment.split(", ").map(|word| word.parse().ok()).collect();
        is_test = line.starts_with("#[") && (is_test || line.contains("test"));
        words.filter_map(|word| word.parse().ok()).chain(listed.unwrap_or_default()).collect::<Vec<u32>>()
    })
}

#[test]
fn numbers_are_found_in_names_and_comments() {
    let text = "#[test]\n#[ignore]\nfn a_name_7_8() {\n    a(); // 9, 10\n    b(); // 11 apples\n}\nfn b_12() {}\n\
                def test_check_13_is_it():\n    c()  # 14\n";
    assert_eq!(numbers(text).collect::<Vec<_>>(), [7, 8, 9, 10, 13, 14]);
}

#[test]
fn what_is_left_for_later_is_not_due() {
    let list = "\n## 10. Checks\n\n### 10.1 A\n\n1. One\n   goes on.\n2. Two\n   waits. *Later.*\n3. Three. *In part: x.*\n\
                \n### 10.2 B (all later)\n\n4. Four.\n\n## A. End\n\n5. Five.\n";
    assert_eq!(due(list).into_keys().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(due(list)[&1], "One   goes on.");
}
