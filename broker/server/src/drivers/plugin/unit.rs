//! One piece in the hands of a session, and the driver process that it talks to. The process is lost at its
//! first fault, and with it the piece, until it has been reset.

use std::mem;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use ave_core::Granted;
use ave_profile::{Identity, Profile, Refusal, RefusalKind, Value};
use ave_protocol::arguments::{Bound, Signature};

use super::limits::CALL_GRACE;
use super::messages::{self, Method};
use super::process::{Lost, Process};
use super::{Plugin, seconds};
use crate::drivers::{Unit, undriven};

static GET_PROFILE: LazyLock<Signature> = LazyLock::new(|| Signature::parse("get_profile()"));

/// A piece in use.
pub(super) struct PluginUnit {
    plugin: Arc<Plugin>,
    item: Identity,
    profile: Arc<Profile>,
    known: Arc<Profile>,
    methods: Vec<Signature>,
    /// `get_profile` is the driver's own call.
    has_profile: bool,
    state: State,
}

/// Where the driver is.
enum State {
    /// There is none for this type.
    Undriven,
    /// It waits for a call.
    Ready(Box<Process>),
    /// It was killed in the middle of a call, because nobody wanted the answer any more.
    Interrupted,
    /// It was lost, by a fault of its own.
    Lost(Lost),
    /// It was lost before it listed its methods.
    NeverOpened(Lost),
}

impl PluginUnit {
    /// The piece of a driver that has listed its methods.
    pub(super) fn new(
        plugin: Arc<Plugin>,
        granted: &Granted,
        process: Process,
        listed: Vec<Method>,
    ) -> PluginUnit {
        let mut methods: Vec<_> = listed.into_iter().map(|method| method.signature).collect();
        let has_profile = methods.iter().any(|method| method.name() == GET_PROFILE.name());
        if !has_profile {
            methods.push(GET_PROFILE.clone());
        }
        PluginUnit {
            methods,
            has_profile,
            ..PluginUnit::of(plugin, granted, State::Ready(Box::new(process)))
        }
    }

    /// The piece of a driver that was lost while it opened.
    pub(super) fn lost(plugin: Arc<Plugin>, granted: &Granted, lost: Lost) -> PluginUnit {
        PluginUnit::of(plugin, granted, State::NeverOpened(lost))
    }

    /// A piece that is only described, and reset.
    pub(super) fn undriven(plugin: Arc<Plugin>, granted: &Granted) -> PluginUnit {
        let methods = vec![GET_PROFILE.clone()];
        PluginUnit { methods, ..PluginUnit::of(plugin, granted, State::Undriven) }
    }

    fn of(plugin: Arc<Plugin>, granted: &Granted, state: State) -> PluginUnit {
        let Granted { item, profile, known, .. } = granted.clone();
        PluginUnit { plugin, item, profile, known, methods: Vec::new(), has_profile: false, state }
    }

    fn refusal(&self, lost: &Lost) -> Refusal {
        let message = format!("the driver of {} {}; the piece is out until it is reset", self.item, lost.how);
        Refusal::new(lost.kind.clone(), message)
    }
}

/// How long a call may take: what its caller says, and a grace, so that the driver can say by itself that
/// time is up; else what the descriptor says. (Equipment P8)
pub(super) fn limit(plugin: &Plugin, arguments: &Bound) -> Option<Duration> {
    let said = match arguments.get("timeout") {
        Value::Int(seconds) => *seconds as f64,
        Value::Float(seconds) => *seconds,
        _ => 0.0,
    };
    match Duration::try_from_secs_f64(said) {
        Ok(limit) if !limit.is_zero() => Some(limit.saturating_add(CALL_GRACE)),
        _ => seconds(plugin.kind.limits.call_s),
    }
}

#[async_trait]
impl Unit for PluginUnit {
    fn methods(&self) -> &[Signature] {
        &self.methods
    }

    fn no_driver_for(&self, method: &str) -> Option<Refusal> {
        match &self.state {
            State::Undriven => Some(undriven::refusal(&self.plugin.kind.name, method)),
            _ => self.failed_to_open(),
        }
    }

    fn failed_to_open(&self) -> Option<Refusal> {
        match &self.state {
            State::NeverOpened(lost) => Some(self.refusal(lost)),
            _ => None,
        }
    }

    async fn call(&mut self, method: &str, arguments: Bound) -> Result<Value, Refusal> {
        if method == GET_PROFILE.name() && !self.has_profile {
            return Ok(Profile::clone(&self.profile).into());
        }
        let limit = limit(&self.plugin, &arguments);
        let request = messages::call(method, &arguments.named())?;
        if let State::Lost(lost) = &self.state {
            return Err(self.refusal(&Lost { kind: RefusalKind::Exception, ..lost.clone() }));
        }
        // Until the answer is here the process belongs to this future, and dies with it.
        let State::Ready(mut process) = mem::replace(&mut self.state, State::Interrupted) else {
            return Err(Refusal::exception(format!("the driver of {} was stopped", self.item)));
        };
        match self.plugin.call(&mut process, method, &request, limit).await {
            Ok(answer) => {
                self.state = State::Ready(process);
                answer
            }
            Err(lost) => {
                let refusal = self.refusal(&lost);
                self.state = State::Lost(lost);
                Err(refusal)
            }
        }
    }

    /// A piece whose driver failed is only lent again after it was reset; where nothing says how, somebody
    /// has to look at it.
    async fn close(self: Box<Self>) -> Result<(), String> {
        let PluginUnit { plugin, item, known, state, .. } = *self;
        let running = match state {
            State::Ready(process) => Some(*process),
            State::Interrupted | State::Undriven => None,
            State::Lost(_) | State::NeverOpened(_) if plugin.kind.reset.is_some() => None,
            State::Lost(lost) | State::NeverOpened(lost) => return Err(format!("its driver {}", lost.how)),
        };
        plugin.reset(&item, &known, running).await
    }
}
