//! A driver that does what a test wants, and the shortest example of one. What a piece does wrong is
//! said by the member `fault` of its profile; what happened to it can be read afterwards.

use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use ave_core::Granted;
use ave_profile::{Identity, Profile, Refusal, RefusalKind, Value};
use ave_protocol::arguments::{Bound, Signature};

use super::{Driver, Unit};

/// What happened, in order: `open a`, `close a`, `reset a`, `dropped a` (what was
/// not finished).
#[derive(Clone, Default)]
pub(crate) struct Story(Arc<Mutex<Vec<String>>>);

impl Story {
    pub(crate) fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn tell(&self, what: &str, name: &str) {
        self.0.lock().unwrap().push(format!("{what} {name}"));
    }
}

/// Opens pieces with the faults their profiles name.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    pub(crate) story: Story,
}

struct FakeUnit {
    name: String,
    fault: String,
    story: Story,
}

static METHODS: LazyLock<[Signature; 4]> =
    LazyLock::new(|| ["echo(value=None)", "fail(kind)", "hang()", "panic()"].map(Signature::parse));

#[async_trait]
impl Driver for Fake {
    async fn open(&self, granted: &Granted) -> Result<Box<dyn Unit>, Refusal> {
        let fault = granted.known.get("fault").and_then(Value::as_str).unwrap_or_default().to_owned();
        let name = granted.item.value.to_string();
        self.story.tell("open", &name);
        match fault.as_str() {
            "open fails" => Err(Refusal::new(RefusalKind::Driver("Offline".to_owned()), "no such cable")),
            "open hangs" => std::future::pending().await,
            "open panics" => panic!("a planted panic"),
            _ => Ok(Box::new(FakeUnit { name, fault, story: self.story.clone() })),
        }
    }

    fn methods(&self) -> &[Signature] {
        &*METHODS
    }

    async fn reset(&self, item: &Identity, known: &Profile) -> Result<(), String> {
        self.story.tell("reset", &item.value);
        match known.get("fault").and_then(Value::as_str) {
            Some("reset fails") => Err("the screw is still loose".to_owned()),
            Some("reset panics") => panic!("a planted panic"),
            Some("reset hangs") => {
                let _dropped = Dropped(&self.story, &item.value);
                std::future::pending().await
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Unit for FakeUnit {
    fn methods(&self) -> &[Signature] {
        &*METHODS
    }

    async fn call(&mut self, method: &str, mut arguments: Bound) -> Result<Value, Refusal> {
        match method {
            "echo" => Ok(arguments.take("value")),
            "fail" => {
                let kind = arguments.get("kind").as_str().unwrap_or_default().to_owned();
                Err(Refusal::new(RefusalKind::Driver(kind), "as you wish: å"))
            }
            "panic" => panic!("a planted panic"),
            _ => {
                let _dropped = Dropped(&self.story, &self.name);
                std::future::pending().await
            }
        }
    }

    async fn close(self: Box<Self>) -> Result<(), String> {
        match self.fault.as_str() {
            "close fails" => return Err("a screw is loose".to_owned()),
            "close hangs" => std::future::pending().await,
            "close panics" => panic!("a planted panic"),
            _ => {}
        }
        self.story.tell("close", &self.name);
        Ok(())
    }
}

/// Tells when something is dropped before it is done.
struct Dropped<'a>(&'a Story, &'a str);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.tell("dropped", self.1);
    }
}
