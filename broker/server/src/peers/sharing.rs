//! Whether this broker shares what it has, and the one task that does. (Specification 6.6.)

use std::sync::Arc;

use ave_profile::Address;
use ave_protocol::handshake::Credential;
use ave_protocol::limits::Limits;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Duration;

use super::dial::{Line, LineError};
use super::notifier::{Notifier, Reach};
use super::peer_limits;
use crate::config::{BrokerConfig, Policy, Remote};
use crate::site::Site;

/// The account by which masters know their shares.
const ACCOUNT: &str = "share";

/// With whom to share, if with anybody, and the notifier, if it is active: there is never a second one.
pub(crate) struct Sharing {
    rule: Option<Rule>,
    notifier: Mutex<JoinSet<()>>,
}

#[derive(Clone)]
struct Rule {
    master: Address,
    credential: Credential,
    limits: Limits,
    silence_limit: Duration,
}

impl Sharing {
    /// As the configuration says; not active yet.
    pub(crate) fn new(config: &BrokerConfig) -> Sharing {
        let rule = match &config.remote {
            Some(Remote { host, port, policy: Policy::Share(key) }) => Some(Rule {
                master: Address::new(host, *port),
                credential: Credential::Account { name: Some(ACCOUNT.to_owned()), key: key.clone() },
                limits: peer_limits(&config.limits),
                silence_limit: Duration::from_secs(config.silence_limit_s),
            }),
            _ => None,
        };
        Sharing { rule, notifier: Mutex::default() }
    }

    /// Shares from now on, anew if it was active. Returns whether there is anybody to share with.
    pub(crate) async fn start(&self, site: &Arc<Site>) -> bool {
        self.begin(&mut *self.notifier.lock().await, site).await
    }

    /// Like [`start`](Sharing::start), but only if it is active.
    pub(crate) async fn restart(&self, site: &Arc<Site>) {
        let mut notifier = self.notifier.lock().await;
        if !notifier.is_empty() {
            self.begin(&mut notifier, site).await;
        }
    }

    /// Shares no longer. The connection to the master is closed, upon which that forgets what is here. Says
    /// whether it shared.
    pub(crate) async fn stop(&self) -> bool {
        let mut notifier = self.notifier.lock().await;
        let is_active = !notifier.is_empty();
        notifier.shutdown().await;
        is_active
    }

    /// Whether it is active.
    pub(crate) async fn is_active(&self) -> bool {
        !self.notifier.lock().await.is_empty()
    }

    async fn begin(&self, notifier: &mut JoinSet<()>, site: &Arc<Site>) -> bool {
        let Some(rule) = &self.rule else { return false };
        notifier.shutdown().await;
        notifier.spawn(rule.clone().share(site.clone()));
        true
    }
}

impl Rule {
    /// Shares until dropped, or until the broker stops.
    async fn share(self, site: Arc<Site>) {
        let stop = site.stop.clone();
        let master = self.master.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            never = Notifier::new(site, master, self).run() => match never {},
        }
    }
}

impl Reach for Rule {
    type Stream = TcpStream;

    async fn dial(&self) -> Result<Line, LineError> {
        Line::dial(&self.master, &self.credential, &self.limits, self.silence_limit).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use crate::testing::far::{FarEnd, original_salt};
    use crate::testing::{ADMIN, Guest, House};

    use super::*;

    /// A broker with a rule to share by, its administrator, and its master, which is nobody yet.
    async fn home_and_master() -> (House, Guest, TcpListener) {
        let master = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = master.local_addr().unwrap().port();
        let rule = json!({"host": "127.0.0.1", "port": port, "policy": "share", "authkey": "share_key"});
        let house = House::with_remote(rule).await;
        let admin = house.guest(ADMIN).await;
        (house, admin, master)
    }

    /// Lets the next connection share.
    async fn welcome(master: &TcpListener) -> FarEnd<TcpStream> {
        let (stream, _) = master.accept().await.unwrap();
        let (mut far, _) = FarEnd::welcome(stream, original_salt()).await;
        loop {
            let request = far.request().await.expect("it shares");
            far.result(Value::Null).await;
            if request["method"] == "set_equipment" {
                return far;
            }
        }
    }

    async fn call(admin: &mut Guest, method: &str) -> Value {
        admin.call(method, json!([])).await.unwrap()["result"].clone()
    }

    #[tokio::test]
    async fn sharing_can_be_started_again_and_again_and_there_is_one_notifier_184_56() {
        let (_house, mut admin, master) = home_and_master().await;
        call(&mut admin, "get_profile").await;
        assert_eq!(call(&mut admin, "start_sharing").await, json!(["", 4000]));
        let mut before = welcome(&master).await;
        for _again in 0..3 {
            assert_eq!(call(&mut admin, "start_sharing").await, json!(["", 4000]));
            assert_eq!(before.request().await, None, "the earlier notifier has gone");
            before = welcome(&master).await;
        }
        call(&mut admin, "restart_sharing").await;
        assert_eq!(before.request().await, None);
        welcome(&master).await;
    }

    #[tokio::test]
    async fn nobody_restarts_what_was_stopped_174_185() {
        let (house, mut admin, master) = home_and_master().await;
        assert_eq!(call(&mut admin, "stop_sharing").await, json!(null));
        assert_eq!(call(&mut admin, "restart_sharing").await, json!(null), "no effect when not sharing");
        assert!(house.site.sharing.notifier.lock().await.is_empty());
        call(&mut admin, "start_sharing").await;
        let mut far = welcome(&master).await;
        for _again in 0..2 {
            assert_eq!(call(&mut admin, "stop_sharing").await, json!(null));
            assert!(house.site.sharing.notifier.lock().await.is_empty());
        }
        assert_eq!(far.request().await, None);
        call(&mut admin, "start_sharing").await;
        welcome(&master).await;
    }

    #[tokio::test]
    async fn without_a_rule_there_is_nothing_to_start() {
        let forward = json!({"host": "127.0.0.1", "port": 1, "policy": "forward"});
        for remote in [json!(null), forward] {
            let house = House::with_remote(remote).await;
            let mut admin = house.guest(ADMIN).await;
            for method in ["start_sharing", "restart_sharing", "stop_sharing"] {
                let reply = admin.call(method, json!([])).await.unwrap();
                assert_eq!(reply, json!({"result": null}), "{method}");
            }
            assert!(house.site.sharing.notifier.lock().await.is_empty());
        }
    }

    #[tokio::test]
    async fn a_broker_that_stops_takes_leave_of_its_master() {
        let (house, mut admin, master) = home_and_master().await;
        call(&mut admin, "start_sharing").await;
        let mut far = welcome(&master).await;
        house.site.stop.cancel();
        assert_eq!(far.request().await, None);
    }
}
