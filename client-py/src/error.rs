//! Why a call has no result, as exceptions. Their classes are written in Python. (Specification 2.6.)

use ave_client::ClientError;
use ave_protocol::error::Fault;
use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::import_exception;
use pyo3::prelude::*;

use crate::value::dict_of;

import_exception!(ave.exceptions, AveException);
import_exception!(ave.network.exceptions, ConnectionClosed);
import_exception!(ave.network.exceptions, ConnectionRefused);
import_exception!(ave.network.exceptions, ConnectionTimeout);

/// The exception of a call without a result. Faults become what `ave.broker.exceptions` makes of them.
pub(crate) fn raised(py: Python<'_>, error: ClientError) -> PyErr {
    match error {
        ClientError::Refused => ConnectionRefused::new_err(()),
        ClientError::Closed => ConnectionClosed::new_err(()),
        ClientError::TimedOut => ConnectionTimeout::new_err(()),
        ClientError::Interrupted => PyErr::take(py).unwrap_or_else(|| PyKeyboardInterrupt::new_err(())),
        ClientError::Fault(fault) => made_of(py, fault).unwrap_or_else(|error| error),
        other => AveException::new_err(other.to_string()),
    }
}

/// A limit that is negative, too large or no number.
pub(crate) fn bad_timeout(seconds: f64) -> PyErr {
    PyValueError::new_err(format!("timeout must be seconds, or None for no limit, found {seconds}"))
}

fn made_of(py: Python<'_>, fault: Fault) -> PyResult<PyErr> {
    let details = dict_of(py, &fault.details)?;
    details.set_item("type", fault.kind)?;
    details.set_item("message", fault.message)?;
    let exception = py.import("ave.broker.exceptions")?.call_method1("exception_factory", (details,))?;
    Ok(PyErr::from_value(exception))
}
