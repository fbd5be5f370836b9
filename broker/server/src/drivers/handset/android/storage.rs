//! Memory cards, and what is mounted where.

use std::time::Duration;

use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use tokio::time::sleep;

use super::super::device::{Answer, Handset};
use super::super::limits::WAIT_PAUSE;
use super::super::power::within;
use crate::drivers::arguments::Take;

/// What `df` may take.
const DF_LIMIT: Duration = Duration::from_secs(3);

impl Handset {
    pub(super) async fn is_path_mounted(&self, arguments: &mut Bound) -> Answer {
        let path = arguments.optional("path")?.filter(|path| !path.trim().is_empty());
        let path = path.ok_or_else(|| Refusal::exception("no path given"))?;
        self.is_reachable(&path).await.map(Value::Bool)
    }

    /// Whether there is such a path, at or below a mount point.
    async fn is_reachable(&self, path: &str) -> Result<bool, Refusal> {
        let table = self.run("df", Some(DF_LIMIT)).await?;
        if !mount_points(&table).any(|point| is_at(path, point)) {
            return Ok(false);
        }
        self.exists(path, None).await
    }

    pub(super) async fn sdcard_mounted(&self) -> Result<bool, Refusal> {
        let place = self.sh("realpath $EXTERNAL_STORAGE").await?;
        match place.trim() {
            place if place.starts_with('/') && !place.contains(char::is_whitespace) => {
                self.is_reachable(place).await
            }
            _ => Ok(false),
        }
    }

    pub(super) async fn extcard_mounted(&self) -> Result<bool, Refusal> {
        let places = self.sh("echo $SECONDARY_STORAGE").await?;
        match places.trim() {
            "" => Ok(has_public_volume(&self.sh("dumpsys mount").await?)),
            places => match first_card(places) {
                Some(place) => self.is_reachable(place).await,
                None => Ok(false),
            },
        }
    }

    /// Waits for those cards that are asked for.
    pub(super) async fn wait_cards(&self, arguments: &mut Bound) -> Answer {
        let (sdcard, ext_card) = (arguments.flag("sdcard")?, arguments.flag("ext_card")?);
        let positive = |limit: &Duration| !limit.is_zero();
        let limit = arguments.limit("timeout")?.filter(positive);
        let limit = limit.ok_or_else(|| Refusal::exception("timeout must be a positive value"))?;
        let mounted = async {
            while (sdcard && !self.sdcard_mounted().await?) || (ext_card && !self.extcard_mounted().await?) {
                sleep(WAIT_PAUSE).await;
            }
            Ok(Value::Null)
        };
        within(Some(limit), "wait mounted timed out", mounted).await?
    }
}

/// The mount points of a table of `df`: its last column if it says so, else its first.
fn mount_points(table: &str) -> impl Iterator<Item = &str> {
    let mut lines = table.lines();
    let last = lines.next().is_some_and(|header| header.contains("Mounted"));
    lines.filter_map(move |line| match last {
        true => line.split_whitespace().next_back(),
        false => line.split_whitespace().next(),
    })
}

/// Whether a path is a mount point or lies below one. Everything lies below `/`: that says nothing.
fn is_at(path: &str, point: &str) -> bool {
    match path.trim_end_matches('/').strip_prefix(point.trim_end_matches('/')) {
        Some("") => true,
        Some(rest) => point.len() > 1 && rest.starts_with('/'),
        None => false,
    }
}

/// The first place of a list that is no USB stick's.
fn first_card(places: &str) -> Option<&str> {
    places.split(':').map(str::trim).find(|place| !place.is_empty() && !place.to_lowercase().contains("usb"))
}

/// Whether one volume of a dump of the mount service is public and mounted.
fn has_public_volume(dump: &str) -> bool {
    dump.split("VolumeInfo{").skip(1).any(|volume| {
        let says = |wanted| volume.split_whitespace().any(|word| word == wanted);
        says("type=PUBLIC") && says("state=MOUNTED")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_of_df_are_read() {
        let new =
            "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/x 1 1 1 5% /data\ntmpfs 1 1 1 1% /mnt";
        assert_eq!(mount_points(new).collect::<Vec<_>>(), ["/data", "/mnt"]);
        let old = "Filesystem             Size   Used   Free   Blksize\r\n/dev   404M 32K 404M 4096\r\n\r\n";
        assert_eq!(mount_points(old).collect::<Vec<_>>(), ["/dev"]);
        assert_eq!(mount_points("").count() + mount_points("Mounted").count(), 0);
    }

    #[test]
    fn a_path_may_lie_below_a_mount_point() {
        for (path, point, expected) in [
            ("/sdcard", "/sdcard", true),
            ("/sdcard/", "/sdcard", true),
            ("/sdcard/x/y", "/sdcard", true),
            ("/sdcard2", "/sdcard", false),
            ("/", "/", true),
            ("/x", "/", false),
            ("/x", "", false),
            ("x", "/sdcard", false),
        ] {
            assert_eq!(is_at(path, point), expected, "{path} {point}");
        }
    }

    #[test]
    fn the_first_card_is_no_stick() {
        assert_eq!(first_card("/storage/usbdisk:/storage/ext:/storage/x"), Some("/storage/ext"));
        assert_eq!(first_card(":/mnt/USB1"), None);
    }

    #[test]
    fn one_volume_has_to_be_both() {
        let volume =
            |kind, state| format!("  VolumeInfo{{x}}:\n    type={kind} diskId=1 \n    state={state} \n");
        let apart = volume("PUBLIC", "UNMOUNTED") + &volume("PRIVATE", "MOUNTED");
        assert!(!has_public_volume(&apart));
        assert!(has_public_volume(&(apart + &volume("PUBLIC", "MOUNTED"))));
        assert!(!has_public_volume("type=PUBLIC state=MOUNTED"));
    }
}
