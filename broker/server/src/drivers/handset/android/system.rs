//! Small services of the system: keys, the phone's number, idleness, the battery.

use ave_adb::quoted;
use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;

use super::super::device::{Answer, Handset};
use super::non_empty;
use crate::drivers::arguments::Take;

/// Since when there is idleness to control.
const IDLENESS_SINCE: i64 = 23;

impl Handset {
    pub(super) async fn get_phone_number(&self) -> Answer {
        let transaction = match self.level().await? {
            ..18 => 5,
            18..21 => 6,
            21..22 => 11,
            _ => 13,
        };
        self.become_root().await?;
        let parcel = self.sh(&format!("service call iphonesubinfo {transaction}")).await?;
        match parcel_text(&parcel) {
            number if number.is_empty() => Err(Refusal::exception("this handset knows no phone number")),
            number => Ok(number.into()),
        }
    }

    pub(super) async fn press_key(&self, arguments: &mut Bound) -> Answer {
        let keycode = arguments.number_or_text("keycode")?.filter(|keycode| !keycode.trim().is_empty());
        let keycode = keycode.ok_or_else(|| Refusal::exception("keycode must be a number or a name"))?;
        let output = self.sh(&format!("input keyevent {}", quoted(&keycode))).await?;
        Handset::need_silence("keypress failed", &output)?;
        Ok(Value::Null)
    }

    pub(super) async fn set_inactive(&self, arguments: &mut Bound) -> Answer {
        let package = non_empty("package", arguments)?;
        let value = match arguments.take("value") {
            Value::Bool(value) => value.to_string(),
            Value::Text(value) if matches!(value.as_str(), "true" | "false") => value,
            _ => return Err(Refusal::exception("value must be a boolean value")),
        };
        self.need_level("set_inactive", IDLENESS_SINCE).await?;
        self.sh(&format!("am set-inactive {} {value}", quoted(&package))).await?;
        Ok(Value::Null)
    }

    pub(super) async fn get_inactive(&self, arguments: &mut Bound) -> Answer {
        let package = non_empty("package", arguments)?;
        self.need_level("get_inactive", IDLENESS_SINCE).await?;
        let output = self.sh(&format!("am get-inactive {}", quoted(&package))).await?;
        Ok(output.trim().into())
    }

    pub(super) async fn dumpsys_battery(&self, arguments: &mut Bound) -> Answer {
        let operate = non_empty("operate", arguments)?;
        self.need_level("dumpsys_battery", IDLENESS_SINCE).await?;
        self.sh(&format!("dumpsys battery {operate}")).await?;
        Ok(Value::Null)
    }

    pub(super) async fn dumpsys_deviceidle(&self, arguments: &mut Bound) -> Answer {
        let command = non_empty("command", arguments)?;
        let para = arguments.optional("para")?.unwrap_or_default();
        self.need_level("dumpsys_deviceidle", IDLENESS_SINCE).await?;
        let output = self.sh(format!("dumpsys deviceidle {command} {para}").trim_end()).await?;
        Ok(self.shown(&output))
    }
}

/// The text in the dump of a parcel, which shows each unprintable byte as a dot.
fn parcel_text(dump: &str) -> String {
    let shown = dump.lines().filter_map(|line| Some(line.split_once('\'')?.1.rsplit_once('\'')?.0));
    let letters = shown.flat_map(str::chars);
    letters.filter(|letter| *letter != '.' && !letter.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_is_read_line_by_line() {
        let dump = "Result: Parcel(\r\n\
                    \x20 0x00000000: 00000000 0000000c 0034002b 00370036 '........+.4.6.7.'\r\n\
                    \x20 0x00000010: 00300030 00300030 00000031 00000000 '0.0.0.0.1.......')\r\n";
        assert_eq!(parcel_text(dump), "+46700001");
        for none in ["", "Result: Parcel(00000000 ffffffff   '........')", "'", "x'", "\u{fffd}"] {
            assert_eq!(parcel_text(none), "", "{none}");
        }
    }
}
