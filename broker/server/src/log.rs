//! What the log may repeat: of what peers say, and of what comes up again and again.

use tokio::time::Instant;

use crate::limits::{COMPLAINT_PAUSE, LOGGED_CHARS_MAX};

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

/// A complaint that may come up a thousand times a second, and is written down once a minute.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    times: u64,
    told: Option<Instant>,
}

impl Complaint {
    /// It has come up again. If it is to be written down now: how often it has since it was.
    pub(crate) fn again(&mut self) -> Option<u64> {
        self.times += 1;
        if self.told.is_some_and(|told| told.elapsed() < COMPLAINT_PAUSE) {
            return None;
        }
        self.told = Some(Instant::now());
        Some(std::mem::take(&mut self.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_complaint_is_written_down_now_and_then_and_none_is_lost() {
        let mut complaint = Complaint::default();
        assert_eq!(complaint.again(), Some(1));
        assert!((0..1000).all(|_| complaint.again().is_none()));
        tokio::time::advance(COMPLAINT_PAUSE).await;
        assert_eq!(complaint.again(), Some(1001));
        assert_eq!(complaint.again(), None);
    }

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
