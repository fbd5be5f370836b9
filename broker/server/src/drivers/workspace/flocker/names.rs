//! Names on the file server: keys, and the paths of files below them. None leads anywhere else, and none
//! can be mistaken for a command.

use ave_profile::Refusal;

use crate::drivers::workspace::limits::{REMOTE_DEPTH_MAX, REMOTE_PATH_BYTES_MAX};

/// Letters of the random part of a key.
const KEY_LENGTH: usize = 32;

/// What it is made of.
const KEY_LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A file's path below a key.
#[derive(Debug)]
pub(in crate::drivers::workspace) struct Remote(String);

impl Remote {
    /// The path, if it is relative; `absolute` says otherwise.
    ///
    /// # Errors
    /// `absolute`, or what else is wrong with it.
    pub(in crate::drivers::workspace) fn of(path: &str, absolute: &str) -> Result<Remote, Refusal> {
        if path.starts_with('/') {
            return Err(Refusal::exception(format!("{absolute}: {path}")));
        }
        let names: Vec<_> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        let bounded = path.len() <= REMOTE_PATH_BYTES_MAX && names.len() <= REMOTE_DEPTH_MAX + 1;
        if names.is_empty() || !bounded || names.contains(&"..") || path.contains(char::is_control) {
            let path: String = path.chars().take(REMOTE_PATH_BYTES_MAX).collect();
            return Err(Refusal::exception(format!(
                "a remote path must have names without control characters or \"..\", at most {REMOTE_DEPTH_MAX} \
                 directories and {REMOTE_PATH_BYTES_MAX} bytes, found {path:?}"
            )));
        }
        Ok(Remote(names.join("/")))
    }

    /// The path.
    pub(super) fn path(&self) -> &str {
        &self.0
    }
}

/// Where a key's directory is, seen from the login directory, if all uploads are in `store`.
pub(super) fn stored(store: &str, key: &str) -> String {
    match store.trim_end_matches('/') {
        "" => key.to_owned(),
        store => format!("{store}/{key}"),
    }
}

/// How HTTP calls what is stored there, if `doc_root` is its root.
pub(super) fn shown<'a>(stored: &'a str, doc_root: &str) -> &'a str {
    let below = stored.strip_prefix(doc_root.trim_end_matches('/'));
    below.filter(|below| below.starts_with('/')).unwrap_or(stored).trim_start_matches('/')
}

/// A key that nobody guesses, `<words>_<32 letters>`.
pub(super) fn fresh_key(words: Option<&Remote>) -> Result<String, Refusal> {
    let mut random = [0; KEY_LENGTH];
    getrandom::fill(&mut random).map_err(|error| Refusal::exception(error.to_string()))?;
    // Some letters are a little more likely than others; 160 bits remain.
    let letter = |byte: u8| char::from(KEY_LETTERS[usize::from(byte) % KEY_LETTERS.len()]);
    let words = words.map(|words| format!("{}_", words.path())).unwrap_or_default();
    Ok(words + &random.map(letter).iter().collect::<String>())
}

/// Whether a key could be one: a single name.
pub(super) fn is_key(key: &str) -> bool {
    !key.contains('/') && Remote::of(key, "").is_ok_and(|remote| remote.0 == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w13_a_remote_path_stays_below_its_key_and_is_no_command() {
        let remote = |path: &str| Remote::of(path, "absolute").map(|remote| remote.0).map_err(|e| e.message);
        assert_eq!(remote("a").unwrap(), "a");
        assert_eq!(remote("./a//b c/å").unwrap(), "a/b c/å");
        assert_eq!(remote("/a").unwrap_err(), "absolute: /a");
        let deep = "d/".repeat(REMOTE_DEPTH_MAX + 1) + "f";
        let long = "x".repeat(REMOTE_PATH_BYTES_MAX + 1);
        for wrong in ["", ".", "..", "a/../../b", "a\r\nDELE b", "a\0", &deep, &long] {
            assert!(remote(wrong).unwrap_err().starts_with("a remote path must have names"), "{wrong}");
        }
    }

    #[test]
    fn w13_a_key_is_stored_and_shown_below_the_lab_s_directories() {
        for (store, doc_root, place, path) in [
            ("www/up", "www", "www/up/k", "up/k"),
            ("www/up/", "www/", "www/up/k", "up/k"),
            ("/srv/www/up", "/srv/www", "/srv/www/up/k", "up/k"),
            ("www/up", "ww", "www/up/k", "www/up/k"),
            ("www", "", "www/k", "www/k"),
            ("", "", "k", "k"),
            ("/", "/", "k", "k"),
            ("up", "up/k", "up/k", "up/k"),
        ] {
            let stored = stored(store, "k");
            assert_eq!((stored.as_str(), shown(&stored, doc_root)), (place, path), "{store} {doc_root}");
        }
    }

    #[test]
    fn w13_keys_are_random_and_single_names() {
        let key = fresh_key(None).unwrap();
        assert!(key.len() == 32 && key.bytes().all(|byte| KEY_LETTERS.contains(&byte)), "{key}");
        assert_ne!(key, fresh_key(None).unwrap());
        let words = Remote::of("my tests", "").unwrap();
        let custom = fresh_key(Some(&words)).unwrap();
        assert_eq!((custom.starts_with("my tests_"), custom.len()), (true, 41));
        assert!(is_key(&key) && is_key(&custom));
        for wrong in ["", ".", "..", "a/b", "/a", "a\n"] {
            assert!(!is_key(wrong), "{wrong:?}");
        }
    }
}
