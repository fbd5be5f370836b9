//! What peers say, as the log may repeat it.

use crate::limits::LOGGED_CHARS_MAX;

/// The beginning of a text, on one line: whoever sends it can neither fill the log nor write lines of its
/// own into it.
pub(crate) fn brief(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    let mut brief: String = shown.take(LOGGED_CHARS_MAX).collect();
    if text.chars().nth(LOGGED_CHARS_MAX).is_some() {
        brief += "...";
    }
    brief
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_is_short_and_on_one_line() {
        assert_eq!(brief("as it is: \u{e5}"), "as it is: \u{e5}");
        assert_eq!(brief("a\nWARN b\u{1b}[0m"), "a\u{fffd}WARN b\u{fffd}[0m");
        let long = brief(&"\u{e5}".repeat(1 << 20));
        assert_eq!(long.chars().count(), LOGGED_CHARS_MAX + 3);
        assert!(long.ends_with("\u{e5}..."));
        assert_eq!(brief(&"x".repeat(LOGGED_CHARS_MAX)).len(), LOGGED_CHARS_MAX);
    }
}
