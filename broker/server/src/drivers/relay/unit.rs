//! One relay a session holds: its calls, and how it goes back to its defaults.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use ave_core::Granted;
use ave_profile::{Map, Profile, Refusal, RefusalKind, Value};
use ave_protocol::arguments::{Bound, Signature};

use super::boards::{Boards, Refused, Relay};
use super::record::Pass;
use super::stamp::Stamp;
use crate::drivers::Unit;

/// Every call of a relay (Specification 3.7). The manual says `closed` for `high`.
static METHODS: LazyLock<[Signature; 3]> = LazyLock::new(|| {
    ["set_circuit(circuit, high=None, closed=None)", "reset()", "get_profile()"].map(Signature::parse)
});

/// Every call of a relay.
pub(in crate::drivers) fn methods() -> &'static [Signature] {
    &*METHODS
}

/// A relay in use.
pub(super) struct RelayUnit {
    uid: Arc<str>,
    profile: Arc<Profile>,
    boards: Arc<Boards>,
    /// The number of the grant.
    grant: u64,
    /// Whether its session may have switched anything.
    switched: bool,
}

impl RelayUnit {
    /// The relay that was granted.
    pub(super) fn new(granted: &Granted, boards: Arc<Boards>) -> RelayUnit {
        let Granted { item, profile, number, .. } = granted;
        let (uid, profile) = (item.value.clone(), profile.clone());
        RelayUnit { uid, profile, boards, grant: *number, switched: false }
    }

    async fn set_circuit(&mut self, arguments: &mut Bound) -> Result<Stamp, Refusal> {
        let circuit = match arguments.take("circuit") {
            Value::Text(circuit) => circuit,
            other => return Err(wanted("circuit", "a string", &other)),
        };
        let on = match (arguments.take("high"), arguments.take("closed")) {
            (high, Value::Null) => truth("high", &high)?,
            (Value::Null, closed) => truth("closed", &closed)?,
            _ => return Err(type_error("set_circuit() takes \"high\" or \"closed\", found both")),
        };
        if !self.allocated().is_some_and(|circuits| circuits.contains_key(&circuit)) {
            return Err(Refusal::exception(format!("named circuit not in allocated relay: {circuit}")));
        }
        let relay = self.relay().await?;
        let unknown = || Refusal::exception(format!("no such circuit: {circuit} (of {})", self.uid));
        let port = relay.port(&circuit).ok_or_else(unknown)?;
        self.switched = true;
        relay.switch(self.grant, port, on).await.map_err(refusal)
    }

    async fn reset(&mut self) -> Result<Stamp, Refusal> {
        let relay = self.relay().await?;
        self.switched = true;
        relay.reset(Pass::Holder(self.grant)).await.map_err(refusal)
    }

    /// The circuits that were asked for.
    fn allocated(&self) -> Option<&Map> {
        self.profile.get("circuits").and_then(Value::as_map)
    }

    async fn relay(&self) -> Result<Relay, Refusal> {
        let unknown =
            || Refusal::exception(format!("no such group of circuits: no board of {} is known", self.uid));
        self.boards.relay(&self.uid).await.ok_or_else(unknown)
    }
}

#[async_trait]
impl Unit for RelayUnit {
    fn methods(&self) -> &[Signature] {
        methods()
    }

    async fn call(&mut self, method: &str, mut arguments: Bound) -> Result<Value, Refusal> {
        match method {
            "set_circuit" => self.set_circuit(&mut arguments).await.map(Value::from),
            "reset" => self.reset().await.map(Value::from),
            "get_profile" => Ok(Profile::clone(&self.profile).into()),
            _ => Err(Refusal::exception(format!("no such RPC: {method}"))),
        }
    }

    /// A relay whose board is not there is in nobody's way unless its session has switched it.
    async fn close(self: Box<Self>) -> Result<(), String> {
        super::rest(&self.boards, &self.uid, Pass::Leaver(self.grant), self.switched).await
    }
}

fn refusal(refused: Refused) -> Refusal {
    Refusal::exception(refused.into_message())
}

/// Python's 0 and 1 are truth values, too.
fn truth(name: &str, value: &Value) -> Result<bool, Refusal> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Int(0) => Ok(false),
        Value::Int(1) => Ok(true),
        Value::Null => Err(type_error("set_circuit() missing 1 required positional argument: 'high'")),
        other => Err(wanted(name, "a boolean", other)),
    }
}

fn wanted(name: &str, what: &str, found: &Value) -> Refusal {
    Refusal::exception(format!("{name} must be {what}, found {}", found.type_name()))
}

fn type_error(message: &str) -> Refusal {
    Refusal::new(RefusalKind::Driver("TypeError".to_owned()), message)
}
