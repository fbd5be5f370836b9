//! The lists of checks in the documents, ticked off: each that is proven now has its number in the name of a
//! test, or in a comment beside an assertion.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The lists about equipment: the letter of their checks, how many there are, and where.
const LISTS: [(char, usize, &str); 7] = [
    ('C', 7, "docs/testing.md"),
    ('H', 29, "docs/handset.md"),
    ('A', 5, "docs/lab-owners.md"),
    ('R', 13, "docs/relay.md"),
    ('W', 15, "docs/workspace.md"),
    ('V', 9, "docs/vcsjob.md"),
    ('P', 17, "docs/testing.md"),
];

#[test]
fn every_check_that_is_proven_now_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |page: &str| fs::read_to_string(root.join(page)).expect("a page");
    let mut due = due(&read("docs/protocol.md"));
    assert!(due.len() > 150, "the list was not understood: {due:?}");
    for (letter, count, page) in LISTS {
        let mut list = items(&read(page));
        list.retain(|(check, _)| check.starts_with(letter));
        assert_eq!(list.len(), count, "{letter} in {page}: {list:?}");
        due.extend(list.into_iter().filter(is_due));
    }
    let folders = ["tests", "pytests", "broker", "simulated"];
    let files: Vec<_> = folders.iter().flat_map(|name| sources(root.join(name))).collect();
    let done: BTreeSet<String> = files.iter().flat_map(|text| claims(text)).collect();
    let missing: BTreeMap<_, _> = due.into_iter().filter(|(check, _)| !done.contains(check)).collect();
    assert!(missing.is_empty(), "no test has these numbers: {missing:#?}");
}

/// The checks of the protocol that are not left for later, and their texts.
fn due(protocol: &str) -> BTreeMap<String, String> {
    let (_, checks) = protocol.split_once("\n## 10. Checks\n").expect("the list");
    let (checks, _) = checks.split_once("\n## ").expect("its end");
    let sections = checks.split("\n### ").filter(|section| !section.contains("(all later)\n"));
    sections.flat_map(items).filter(is_due).collect()
}

fn is_due((_, text): &(String, String)) -> bool {
    !text.ends_with("*Later.*")
}

fn items(page: &str) -> Vec<(String, String)> {
    page.split("\n\n").flat_map(|paragraph| paragraph.lines().fold(Vec::new(), gather)).collect()
}

/// Adds a line to the items before it: a new item, or more of the last one.
fn gather(mut items: Vec<(String, String)>, line: &str) -> Vec<(String, String)> {
    let head = line.strip_prefix("- ").unwrap_or(line).split_once(". ");
    let begun = head.and_then(|(number, text)| Some((check(number)?, text.to_owned())));
    match (begun, items.last_mut()) {
        (Some(item), _) => items.push(item),
        (None, Some((_, text))) if line.starts_with(' ') => text.push_str(line),
        _ => {}
    }
    items
}

/// A check by its number, however it is spelt: `113`, `H11`, `p-4`.
fn check(word: &str) -> Option<String> {
    let name = word.replace('-', "").to_ascii_uppercase();
    let digits = name.strip_prefix(LISTS.map(|(letter, ..)| letter)).unwrap_or(&name);
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then_some(name)
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

/// The checks that tests in this text claim: words of their names, and comments of nothing but numbers.
fn claims(text: &str) -> impl Iterator<Item = String> {
    let mut is_test = false;
    text.lines().flat_map(move |line| {
        let line = line.trim();
        let name = line.split_once("fn ").filter(|_| is_test).or(line.split_once("def test"));
        let name = name.and_then(|(_, rest)| rest.split('(').next()).unwrap_or_default();
        let comment = line.rsplit_once("// ").or(line.rsplit_once("# ")).map_or("", |(_, comment)| comment);
        let listed: Option<Vec<String>> = comment.split(", ").map(check).collect();
        is_test = line.starts_with("#[") && (is_test || line.contains("test"));
        named(name).into_iter().chain(listed.unwrap_or_default())
    })
}

/// The checks in a test's name, a letter and its number in one word or in two.
fn named(name: &str) -> Vec<String> {
    let mut letter = "";
    let mut checks = Vec::new();
    for word in name.split('_') {
        checks.extend(check(&format!("{letter}{word}")));
        letter =
            if LISTS.iter().any(|(of, ..)| word == of.to_ascii_lowercase().to_string()) { word } else { "" };
    }
    checks
}

#[test]
fn numbers_are_found_in_names_and_comments() {
    let text = "#[test]\n#[ignore]\nfn a_name_7_8() {\n    a(); // 9, 10\n    b(); // 11 apples\n}\nfn b_12() {}\n\
                def test_check_13_is_it():\n    c()  # 14\n";
    assert_eq!(claims(text).collect::<Vec<_>>(), ["7", "8", "9", "10", "13", "14"]);
    let text =
        "#[tokio::test]\nasync fn p_4_it_is_h11() {\n    // P-5, W9\n    // B6\n}\ndef test_c1_c_2_x3():\n";
    assert_eq!(claims(text).collect::<Vec<_>>(), ["P4", "H11", "P5", "W9", "C1", "C2"]);
}

#[test]
fn what_is_left_for_later_is_not_due() {
    let list = "\n## 10. Checks\n\n### 10.1 A\n\n1. One\n   goes on.\n2. Two\n   waits. *Later.*\n3. Three. *In part: x.*\n\
                \n### 10.2 B (all later)\n\n4. Four.\n\n## A. End\n\n5. Five.\n";
    assert_eq!(due(list).into_keys().collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(due(list)["1"], "One   goes on.");
    let items = items("- P-4. Four\n  goes on.\n- H11. Eleven.\n- No check. At all.\n\n  Else.\n");
    assert_eq!(items, [("P4", "Four  goes on."), ("H11", "Eleven.")].map(|(a, b)| (a.into(), b.into())));
}
