//! What jobs may see of `workspace.json`: everything but who the broker is at the lab's servers.

use ave_profile::{Map, Profile, Value};

/// Members that say who the broker is somewhere, by their sections.
const CREDENTIALS: [(&[&str], [&str; 2]); 2] =
    [(&["flocker", "ftp"], ["user", "password"]), (&["proxy"], ["proxy_user", "proxy_password"])];

/// The profile of a host whose `workspace.json` is this (W14).
pub(super) fn without(mut content: Map) -> Profile {
    for (section, names) in CREDENTIALS {
        if let Some(section) = section_of(&mut content, section) {
            names.iter().for_each(|name| drop(section.remove(*name)));
        }
    }
    content.remove("uid");
    content.insert("type".into(), "workspace".into());
    Profile(content)
}

/// Whether a URL says who asks, `http://user:password@host/`. Jobs see it, so it must not.
pub(super) fn are_in(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().is_some_and(|authority| authority.contains('@'))
}

fn section_of<'a>(content: &'a mut Map, path: &[&str]) -> Option<&'a mut Map> {
    path.iter().try_fold(content, |section, name| match section.get_mut(*name) {
        Some(Value::Map(map)) => Some(map),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w14_credentials_are_found_in_urls() {
        for url in ["http://lab:secret@ci:8080/", "http://lab@ci", "lab:se@cret@proxy:3128"] {
            assert!(are_in(url), "{url}");
        }
        for url in ["http://ci:8080/a@b", "proxy:3128", "https://ci/", ""] {
            assert!(!are_in(url), "{url}");
        }
    }
}
