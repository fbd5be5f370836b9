//! Ports of this host that lead to a handset. The adb server keeps them, in one list for everybody; each handset
//! knows which of them are its session's.

use ave_adb::{AdbError, Forward};
use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use tokio::time::timeout;

use super::Site;
use super::device::{Answer, Handset};
use super::limits::{CALL_LIMIT, FORWARD_TRIES_MAX, FORWARDS_BYTES_MAX, FORWARDS_CLOSE_LIMIT, FORWARDS_MAX};
use crate::drivers::arguments::Take;

/// What this session has forwarded.
#[derive(Default)]
pub(super) struct Forwards {
    /// The local ends, `tcp:49152`, that it opened or took over.
    locals: Vec<String>,
    /// The remote end of a rule that was asked for and of which no local end was heard: the call may have been given
    /// up halfway.
    begun: Option<String>,
}

/// Removes all rules of a handset that nobody holds: whoever made them was lost. An adb server that is not there
/// keeps none.
pub(super) async fn remove_all(site: &Site, serial: &str) -> Result<(), String> {
    let removal = async {
        let rules = match site.server.forwards().await {
            Err(AdbError::NoServer { .. }) => return Ok(()),
            rules => rules?,
        };
        let device = site.server.device(serial);
        for rule in rules.iter().filter(|rule| rule.serial == serial) {
            match device.unforward(&rule.local).await {
                Ok(()) | Err(AdbError::Refused(_)) => {} // one that is gone by itself is fine
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    let late = || Err(format!("its ports are not closed within {} s", FORWARDS_CLOSE_LIMIT.as_secs()));
    let removed = timeout(FORWARDS_CLOSE_LIMIT, removal).await;
    removed.map_or_else(|_| late(), |removed| removed.map_err(|error: AdbError| error.to_string()))
}

impl Handset {
    /// The same remote end is forwarded once: a rule that is there becomes this session's.
    pub(super) async fn open_forwarded_port(&mut self, arguments: &mut Bound) -> Answer {
        let remote = arguments.text("remote")?;
        // The server keeps any text, and lists it for everybody as one word on a line.
        if remote.is_empty() || remote.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Refusal::exception(format!("no such remote end: {remote:?}")));
        }
        let rules = self.rules().await?;
        let known = rules.iter().find(|rule| rule.serial == self.serial() && rule.remote == remote);
        let local = match known {
            Some(rule) => rule.local.clone(),
            None => {
                let bytes: usize = rules
                    .iter()
                    .map(|rule| rule.serial.len() + rule.local.len() + rule.remote.len() + 3)
                    .sum();
                if bytes > FORWARDS_BYTES_MAX || rules.len() >= FORWARDS_MAX {
                    let count = rules.len();
                    let text =
                        format!("ADB is close to forwarding entry limits: {count} rules, {bytes} bytes");
                    return Err(Refusal::exception(text));
                }
                self.forwards.begun = Some(remote.clone());
                self.forward(&remote).await?
            }
        };
        self.forwards.begun = None;
        if !self.forwards.locals.contains(&local) {
            self.forwards.locals.push(local.clone());
        }
        Ok(local.into())
    }

    /// A new rule, tried a few times: the port it would have may be somebody's by then.
    async fn forward(&self, remote: &str) -> Result<String, Refusal> {
        let request = async {
            let mut tried = 1;
            loop {
                match self.device.forward(remote).await {
                    Err(AdbError::Refused(why)) if why.contains("bind") && tried < FORWARD_TRIES_MAX => {
                        tried += 1
                    }
                    answer => return answer,
                }
            }
        };
        let port = self.adb(&["forward", "tcp:0", remote], Some(CALL_LIMIT), request).await?;
        Ok(format!("tcp:{port}"))
    }

    pub(super) async fn close_forwarded_port(&mut self, arguments: &mut Bound) -> Answer {
        let Value::Text(entry) = arguments.take("entry") else {
            return Err(Refusal::exception("invalid port forwarding entry"));
        };
        if entry == "all" {
            self.close_forwards().await;
            return Ok(Value::Null);
        }
        let rules = self.rules().await?;
        self.forwards.locals.retain(|local| *local != entry);
        if !rules.iter().any(|rule| rule.serial == self.serial() && rule.local == entry) {
            return Err(Refusal::exception(format!("no such port forwarding entry: {entry}")));
        }
        let words = ["forward", "--remove", &entry];
        self.adb(&words, Some(CALL_LIMIT), self.device.unforward(&entry)).await?;
        Ok(Value::Null)
    }

    pub(super) async fn list_forwarded_ports(&self, arguments: &mut Bound) -> Answer {
        let all = arguments.flag("all_adb")?;
        let rules = self.rules().await?.into_iter();
        let rules = rules.filter(|rule| all || self.owns(rule));
        Ok(rules.map(|rule| vec![rule.serial, rule.local, rule.remote]).collect::<Vec<_>>().into())
    }

    /// Removes this session's rules and no others, as far as there is somebody to do it.
    pub(super) async fn close_forwards(&mut self) {
        let removal = async {
            if let Some(remote) = self.forwards.begun.clone() {
                let rules = self.site.server.forwards().await.unwrap_or_default().into_iter();
                let begun = rules.filter(|rule| rule.serial == self.serial() && rule.remote == remote);
                let begun: Vec<_> = begun.map(|rule| rule.local).collect();
                self.forwards.locals.extend(begun);
                self.forwards.begun = None;
            }
            // Each is known until it is gone: this, too, may be given up halfway.
            while let Some(local) = self.forwards.locals.last().cloned() {
                // One that is gone by itself, as after a reboot, is fine.
                let _ = self.device.unforward(&local).await;
                self.forwards.locals.pop();
            }
        };
        let _ = timeout(FORWARDS_CLOSE_LIMIT, removal).await;
    }

    fn owns(&self, rule: &Forward) -> bool {
        rule.serial == self.serial() && self.forwards.locals.contains(&rule.local)
    }

    async fn rules(&self) -> Result<Vec<Forward>, Refusal> {
        self.adb(&["forward", "--list"], Some(CALL_LIMIT), self.site.server.forwards()).await
    }
}
