//! What an original slave does: one connection to the master, always everything, each call answered before
//! the next. (Specification 6.2.)

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::wire::Wire;
use super::{Inner, SHARE};

/// About how long after a lost connection the next one is tried.
const PAUSE: Duration = Duration::from_millis(200);

/// How often it looks whether the master has closed the connection.
const LOOK: Duration = Duration::from_millis(20);

/// Reports to the master, over one connection after the other.
pub(super) fn keep_sharing(inner: &Inner, master: SocketAddr, host: &str) {
    let address = json!([host, inner.address.port()]);
    while !inner.state().is_gone {
        let _ = report(inner, master, &address);
        let waiting = inner.state();
        drop(inner.changed.wait_timeout_while(waiting, PAUSE, |state| !state.is_gone));
    }
}

fn report(inner: &Inner, master: SocketAddr, address: &Value) -> io::Result<()> {
    let mut wire = Wire::connect(master, SHARE)?;
    inner.open.add(wire.stream());
    let (workspace, stacks) = {
        let state = inner.state();
        (state.pool.workspace.clone(), state.pool.stacks.clone())
    };
    let workspace = workspace.unwrap_or(json!({"type": "workspace", "root": "/ave/ws", "pretty": "old"}));
    call(&mut wire, "set_ws_profile", vec![address.clone(), workspace])?;
    if stacks.as_array().is_some_and(|list| !list.is_empty()) {
        call(&mut wire, "set_stacks", vec![address.clone(), stacks])?;
    }
    loop {
        let (version, (equipment, taken)) = {
            let state = inner.state();
            (state.version, state.pool.report())
        };
        call(&mut wire, "set_equipment", vec![address.clone(), equipment, taken])?;
        while inner.state().version == version {
            let waiting = inner.state();
            let unchanged = |state: &mut super::State| state.version == version && !state.is_gone;
            drop(inner.changed.wait_timeout_while(waiting, LOOK, unchanged));
            if inner.state().is_gone || wire.has_ended() {
                return Ok(());
            }
        }
    }
}

fn call(wire: &mut Wire, method: &str, vargs: Vec<Value>) -> io::Result<Value> {
    wire.call(method, vargs)?.map_err(|(kind, message)| io::Error::other(format!("{kind}: {message}")))
}
