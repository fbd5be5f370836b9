//! Shell patterns for `ls`: `*`, `?` and `[...]` within each name; names with a leading dot match only
//! patterns that have it.

use std::fs;
use std::path::{Path, PathBuf};

use ave_profile::Refusal;
use tokio_util::sync::CancellationToken;

use super::limits::LISTED_MAX;
use super::paths::{Ground, bounded, outside};

/// What matches `pattern` below the directory `path`, in the order of names. Directories that lead out of
/// the workspace are not looked into.
///
/// # Errors
/// A path or pattern that leaves the workspace, more than [`LISTED_MAX`] matches, or a call given up.
pub(super) fn list(
    ground: &Ground,
    path: &str,
    pattern: &str,
    stop: &CancellationToken,
) -> Result<Vec<PathBuf>, Refusal> {
    // An absolute pattern overrides the path, which still has to be a good one.
    ground.inside(path)?;
    bounded(pattern)?;
    let split = pattern.split_inclusive('/').take_while(|step| !is_pattern(step)).map(str::len).sum();
    let (plain, patterns) = pattern.split_at(split);
    let plain = Path::new(path).join(plain).to_string_lossy().into_owned();
    let first = if patterns.is_empty() { ground.entry(&plain)? } else { ground.inside(&plain)? };
    let mut found = vec![first];
    for step in patterns.split('/').filter(|step| !step.is_empty() && *step != ".") {
        if step == ".." {
            return Err(outside(pattern));
        }
        let mut next = Vec::new();
        for directory in found.iter().filter(|directory| ground.holds(directory)) {
            matching(directory, step, &mut next, stop);
            if stop.is_cancelled() {
                return Err(Refusal::exception("ls was given up"));
            }
            if next.len() > LISTED_MAX {
                return Err(Refusal::exception(format!("more than {LISTED_MAX} paths match: {pattern}")));
            }
        }
        found = next;
    }
    found.retain(|path| path.is_symlink() || path.exists());
    found.sort();
    Ok(found)
}

fn matching(directory: &Path, step: &str, found: &mut Vec<PathBuf>, stop: &CancellationToken) {
    if !is_pattern(step) {
        return found.push(directory.join(step));
    }
    let pattern: Vec<char> = step.chars().collect();
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name: Vec<char> = entry.file_name().to_string_lossy().chars().collect();
        if (name[0] != '.' || pattern[0] == '.') && matches(&pattern, &name) {
            found.push(entry.path());
        }
        if found.len() > LISTED_MAX || stop.is_cancelled() {
            return;
        }
    }
}

fn is_pattern(step: &str) -> bool {
    step.contains(['*', '?', '['])
}

/// Goes back to the last star only, which is enough: time is at most the product of the lengths.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some(length) = one(&pattern[p..], name[n]) {
            p += length;
            n += 1;
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            (p, n) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|character| *character == '*')
}

/// How much of the pattern stands for this character, if its beginning does.
fn one(pattern: &[char], character: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match class_end(pattern) {
            Some(end) => in_class(&pattern[1..end], character).then_some(end + 1),
            None => (character == '[').then_some(1),
        },
        literal => (*literal == character).then_some(1),
    }
}

/// Where the class that begins the pattern is closed; a `]` in its first place is a member.
fn class_end(pattern: &[char]) -> Option<usize> {
    let first = if pattern.get(1) == Some(&'!') { 3 } else { 2 };
    (first..pattern.len()).find(|at| pattern[*at] == ']')
}

fn in_class(class: &[char], character: char) -> bool {
    let (negated, mut class) = match class {
        ['!', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut member = false;
    while let [low, rest @ ..] = class {
        let (high, after) = match rest {
            ['-', high, after @ ..] => (high, after),
            _ => (low, rest),
        };
        member |= (*low..=*high).contains(&character);
        class = after;
    }
    member != negated
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::limits::PATH_BYTES_MAX;
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        let fits = |pattern: &str, name: &str| {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            matches(&chars(pattern), &chars(name))
        };
        for (pattern, name) in [
            ("*", "abc"),
            ("a*c", "abbc"),
            ("a*", "a"),
            ("?b?", "abc"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[", "["),
            ("[a", "[a"),
            ("*.t*t", "a.txt.tt"),
            ("å?", "åx"),
            ("[a-]", "-"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a*c", "abd"), ("?", ""), ("?", "ab"), ("[!a-c]x", "bx"), ("[b-a]", "a"), ("", "a")]
        {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        assert!(!fits(&"a*".repeat(40), &"a".repeat(39)));
    }

    #[test]
    fn w6_neither_pattern_nor_link_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for directory in ["a/x", "b/x", "b/.y", "[d]/x"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        symlink("/etc", root.join("c")).unwrap();
        let ground = Ground::new(root.clone());
        let list = |path: &str, pattern: &str| {
            let found =
                list(&ground, path, pattern, &CancellationToken::new()).map_err(|error| error.message)?;
            let relative = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            Ok::<_, String>(found.iter().map(relative).collect::<Vec<_>>())
        };
        assert_eq!(list("", "*").unwrap(), ["[d]", "a", "b", "c"]);
        assert_eq!(list("[d]", "*").unwrap(), ["[d]/x"]);
        assert_eq!(list("b", "*").unwrap(), ["b/x"]);
        assert_eq!(list("b", ".*").unwrap(), ["b/.y"]);
        assert_eq!(list("", "?/x").unwrap(), ["a/x", "b/x"]);
        assert_eq!(list("", "*/*").unwrap(), ["[d]/x", "a/x", "b/x"]);
        assert_eq!(list("", "a").unwrap(), ["a"]);
        assert_eq!(list("missing", "*").unwrap(), [""; 0]);
        assert_eq!(list("a", &format!("{}/b/*", root.display())).unwrap(), ["b/x"]);
        let long = format!("*{}", "[".repeat(PATH_BYTES_MAX));
        assert!(list("", &long).unwrap_err().contains("at most 4096 bytes"));
        for (path, pattern) in
            [("..", "*"), ("", "../*"), ("", "/etc/*"), ("", "*/../../*"), ("c", "*"), ("", "c/*")]
        {
            let message = list(path, pattern).unwrap_err();
            assert!(message.starts_with("path cannot be outside workspace: "), "{path} {pattern}: {message}");
        }
    }
}
