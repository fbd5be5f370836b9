//! Permissions: which there are, and who has them.

use ave_adb::quoted;
use ave_profile::Value;
use ave_protocol::arguments::Bound;

use super::super::device::{Answer, Handset};
use super::non_empty;
use crate::drivers::arguments::Take;

impl Handset {
    pub(super) async fn list_permissions(&self, arguments: &mut Bound) -> Answer {
        let args = arguments.text("args")?;
        let output = self.sh(format!("pm list permissions {args}").trim_end()).await?;
        Ok(self.shown(&output))
    }

    /// Grants or revokes one; whatever is said to that is an error.
    pub(super) async fn change_permission(&self, verb: &str, arguments: &mut Bound) -> Answer {
        let package = non_empty("package", arguments)?;
        let permission = non_empty("permissions_name", arguments)?;
        self.need_level(&format!("{verb}_permissions"), 23).await?;
        let line = format!("pm {verb} {} {}", quoted(&package), quoted(&permission));
        let output = self.sh(&line).await?;
        Handset::need_silence(&format!("cannot {verb} {permission}"), &output)?;
        Ok(Value::Bool(true))
    }
}
