//! The extension `ave._client`: the blocking client for Python. It converts values and errors, lets other
//! threads run while it waits, and wakes up for Ctrl-C; all that scripts see is written in Python, beside it.

mod error;
mod value;

use std::sync::Arc;
use std::time::Duration;

use ave_client::{ClientError, Credential, Interrupt, Options};
use ave_profile::{Map, Profile, Value, Want};
use ave_protocol::arguments::Arguments;
use ave_protocol::handshake::Secret;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict, PyTuple};

use crate::error::raised;
use crate::value::{dict_of, map_of, object_of, value_of};

/// The blocking client, compiled. Scripts use `ave.broker`.
#[pymodule(name = "_client", gil_used = false)]
mod module {
    #[pymodule_export]
    use super::{Broker, Resource};
}

/// A connection to a broker, and what it granted.
#[pyclass(module = "ave._client")]
struct Broker(ave_client::Broker);

#[pymethods]
impl Broker {
    /// Connects to nothing yet. `timeout` is in seconds.
    #[new]
    fn new(address: (String, u16), timeout: Option<f64>, authkey: Option<String>) -> PyResult<Broker> {
        let seconds = |timeout| Duration::try_from_secs_f64(timeout).map_err(|_| error::bad_timeout(timeout));
        let limit = timeout.map(seconds).transpose()?;
        let credential = match authkey {
            Some(key) => Credential::Account { name: None, key: Secret::new(key) },
            None => Credential::Anonymous,
        };
        let options = Options {
            connect_limit: limit,
            reply_limit: limit,
            optimistic: true,
            interrupt: Some(ctrl_c()),
            warned: Some(Arc::new(log_warning)),
            ..Options::default()
        };
        Ok(Broker(ave_client::Broker::new(address, credential, options)))
    }

    /// Calls a method of the broker. (Specification 4.)
    fn call<'py>(
        &mut self,
        py: Python<'py>,
        method: &str,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
        is_async: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        called(py, args, kwargs, |arguments| match is_async {
            true => self.0.send(method, arguments).map(|()| Value::Null),
            false => self.0.call(method, arguments),
        })
    }

    /// Gets what the groups of profiles want, in the order of the request. (Specification 5.1.)
    fn get(&mut self, py: Python<'_>, groups: Vec<Vec<Bound<'_, PyDict>>>) -> PyResult<Vec<Resource>> {
        let groups = groups.iter().map(|group| profiles_of(group)).collect::<PyResult<_>>()?;
        let outcome = py.detach(|| self.0.get(&Want { groups }));
        let grants = outcome.map_err(|error| raised(py, error))?;
        Ok(grants.into_iter().map(|grant| Resource(self.0.proxy(grant))).collect())
    }

    /// Gives pieces back. (Specification 5.10.)
    fn yield_resources(&mut self, py: Python<'_>, profiles: Vec<Bound<'_, PyDict>>) -> PyResult<()> {
        let profiles = profiles_of(&profiles)?;
        let outcome = py.detach(|| self.0.yield_resources(profiles));
        outcome.map_err(|error| raised(py, error))
    }

    /// Disconnects; everything granted is lost.
    fn close(&mut self) {
        self.0.close();
    }
}

/// A granted piece. It does not keep its broker alive.
#[pyclass(module = "ave._client")]
struct Resource(ave_client::Proxy);

#[pymethods]
impl Resource {
    /// What was granted.
    #[getter]
    fn profile<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict_of(py, &self.0.grant().profile)
    }

    /// Host and port of the session.
    #[getter]
    fn address(&self) -> (&str, u16) {
        let (host, port) = &self.0.grant().door.address;
        (host, *port)
    }

    /// The key of the session.
    #[getter]
    fn authkey(&self) -> &str {
        self.0.grant().door.key.expose()
    }

    /// Calls a method of the piece. (Specification 3.2.)
    fn call<'py>(
        &mut self,
        py: Python<'py>,
        method: &str,
        args: &Bound<'py, PyTuple>,
        kwargs: &Bound<'py, PyDict>,
        is_async: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        called(py, args, kwargs, |arguments| match is_async {
            true => self.0.send(method, arguments).map(|()| Value::Null),
            false => self.0.call(method, arguments),
        })
    }
}

/// Makes a call from Python's arguments to Python's result, while other threads run.
fn called<'py>(
    py: Python<'py>,
    args: &Bound<'py, PyTuple>,
    kwargs: &Bound<'py, PyDict>,
    call: impl FnOnce(Arguments) -> Result<Value, ClientError> + Send,
) -> PyResult<Bound<'py, PyAny>> {
    let positional = args.iter().map(|arg| value_of(&arg)).collect::<PyResult<_>>()?;
    let arguments = Arguments { positional, named: map_of(kwargs)? };
    let outcome = py.detach(|| call(arguments));
    object_of(py, &outcome.map_err(|error| raised(py, error))?)
}

fn profiles_of(dicts: &[Bound<'_, PyDict>]) -> PyResult<Vec<Profile>> {
    dicts.iter().map(|dict| map_of(dict).map(Profile)).collect()
}

/// Passes a broker's warning on to the logger `ave`, its members as the record's `ave`. A handler that raises
/// does not harm the call.
fn log_warning(warning: &Map) {
    let log = |py: Python<'_>| -> PyResult<()> {
        let message = warning.get("message").and_then(Value::as_str).unwrap_or_default();
        let logger = py.import("logging")?.call_method1("getLogger", ("ave",))?;
        let extra = [("ave", dict_of(py, warning)?)].into_py_dict(py)?;
        let keywords = [("extra", extra)].into_py_dict(py)?;
        logger.call_method("warning", ("%s", message), Some(&keywords)).map(drop)
    };
    let logged = |py: Python<'_>| log(py).map_err(|error| error.write_unraisable(py, None));
    let _ = Python::try_attach(logged); // no Python any more: the interpreter is going down
}

/// Gives up waiting when a signal's handler raises. Its exception waits in the thread's own state, where
/// [`error`] finds it.
fn ctrl_c() -> Interrupt {
    let handler_raised = |py: Python<'_>| {
        let outcome = py.check_signals();
        outcome.map_err(|raised| raised.restore(py)).is_err()
    };
    // No Python any more: the interpreter is going down.
    Arc::new(move || Python::try_attach(handler_raised).unwrap_or(true))
}
