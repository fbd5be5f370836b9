//! Which language a handset speaks, and whose.

use super::super::device::Handset;

/// The last version that keeps language and country apart.
const APART_UNTIL: i64 = 22;

impl Handset {
    /// Like `sv_SE`; empty if it does not say.
    pub(super) async fn locale(&self) -> String {
        if self.sdk().await.is_some_and(|sdk| sdk <= APART_UNTIL) {
            for (language, country) in [
                ("persist.sys.language", "persist.sys.country"),
                ("ro.product.locale.language", "ro.product.locale.region"),
            ] {
                if let (Some(language), Some(country)) =
                    (self.property(language).await, self.property(country).await)
                {
                    return format!("{language}_{country}");
                }
            }
            return String::new();
        }
        for name in ["persist.sys.locale", "ro.product.locale"] {
            if let Some(locale) = self.property(name).await {
                return locale.replace('-', "_");
            }
        }
        String::new()
    }
}
