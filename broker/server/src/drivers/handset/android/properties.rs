//! Properties that are set when an old Android starts, from a file.

use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;

use super::super::device::{Answer, Handset};
use super::super::properties::{LOCAL_PROPERTIES, pair};
use crate::drivers::arguments::Take;

/// The last version that reads the file.
const LOCAL_UNTIL: i64 = 15;

impl Handset {
    /// With `local` in the file, for the next start; else now.
    pub(super) async fn set_android_property(&self, arguments: &mut Bound) -> Answer {
        if !arguments.flag("local")? {
            return self.set_property(arguments).await;
        }
        let (key, value) = pair(arguments)?;
        let found = self.level().await?;
        if found > LOCAL_UNTIL {
            let text = format!("local.prop not supported on sdk versions > {LOCAL_UNTIL}, found {found}");
            return Err(Refusal::exception(text));
        }
        self.become_root().await?;
        self.edit_local_properties(&key, Some(&value)).await?;
        Ok(Value::Null)
    }

    pub(super) async fn clear_local_properties(&self) -> Answer {
        self.become_root().await?;
        let output = self.sh(&format!("rm -f {LOCAL_PROPERTIES}")).await?;
        Handset::need_silence(&format!("cannot remove {LOCAL_PROPERTIES}"), &output)?;
        Ok(Value::Null)
    }
}
