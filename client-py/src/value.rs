//! Values on their way between Python and the wire. What cannot travel is refused before anything is sent.

use ave_profile::{Map, Value};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// How deep an argument may nest: a message may 128 levels, some of which surround the argument.
const NESTING_MAX: usize = 120;

/// A Python object as a value.
///
/// # Errors
/// `TypeError` for a type that cannot travel, `OverflowError` for an int beyond 64 bits, `ValueError`
/// for nesting deeper than [`NESTING_MAX`], as in a list that holds itself.
pub(crate) fn value_of(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    within(object, NESTING_MAX)
}

/// The members of a Python dictionary as values.
///
/// # Errors
/// As for [`value_of`]; `TypeError` also for a key that is not a `str`.
pub(crate) fn map_of(dict: &Bound<'_, PyDict>) -> PyResult<Map> {
    members(dict, NESTING_MAX)
}

fn within(object: &Bound<'_, PyAny>, levels: usize) -> PyResult<Value> {
    if object.is_none() {
        Ok(Value::Null)
    } else if let Ok(flag) = object.cast::<PyBool>() {
        Ok(flag.is_true().into())
    } else if let Ok(text) = object.cast::<PyString>() {
        Ok(text.to_cow()?.into_owned().into())
    } else if let Ok(number) = object.cast::<PyInt>() {
        integer(number)
    } else if let Ok(number) = object.cast::<PyFloat>() {
        Ok(number.value().into())
    } else if let Ok(bytes) = object.cast::<PyBytes>() {
        Ok(Value::Bytes(bytes.as_bytes().to_vec()))
    } else if let Ok(dict) = object.cast::<PyDict>() {
        members(dict, deeper(levels)?).map(Value::Map)
    } else if let Ok(list) = object.cast::<PyList>() {
        let levels = deeper(levels)?;
        list.iter().map(|item| within(&item, levels)).collect::<PyResult<_>>().map(Value::List)
    } else if let Ok(tuple) = object.cast::<PyTuple>() {
        let levels = deeper(levels)?;
        tuple.iter().map(|item| within(&item, levels)).collect::<PyResult<_>>().map(Value::List)
    } else {
        Err(PyTypeError::new_err(format!(
            "cannot send a value of type {}: want None, bool, int, float, str, bytes, list, tuple or dict",
            object.get_type().name()?
        )))
    }
}

fn members(dict: &Bound<'_, PyDict>, levels: usize) -> PyResult<Map> {
    dict.iter()
        .map(|(name, item)| match name.cast::<PyString>() {
            Ok(name) => Ok((name.to_cow()?.into_owned(), within(&item, levels)?)),
            Err(_) => Err(PyTypeError::new_err(format!(
                "cannot send a dict with a key of type {}: want str",
                name.get_type().name()?
            ))),
        })
        .collect()
}

fn integer(number: &Bound<'_, PyInt>) -> PyResult<Value> {
    if let Ok(signed) = number.extract::<i64>() {
        return Ok(signed.into());
    }
    let beyond = |_| PyOverflowError::new_err("cannot send an int of more than 64 bits");
    number.extract::<u64>().map(Value::from).map_err(beyond)
}

fn deeper(levels: usize) -> PyResult<usize> {
    levels.checked_sub(1).ok_or_else(|| {
        PyValueError::new_err(format!("cannot send what nests deeper than {NESTING_MAX} levels"))
    })
}

/// A value as a Python object. Values that arrive were bounded in depth when they were read.
///
/// # Errors
/// Only if Python is out of memory.
pub(crate) fn object_of<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Int(number) => number.into_pyobject(py)?.into_any(),
        Value::Uint(number) => number.into_pyobject(py)?.into_any(),
        Value::Float(number) => PyFloat::new(py, *number).into_any(),
        Value::Text(text) => PyString::new(py, text).into_any(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::List(list) => {
            let objects = list.iter().map(|item| object_of(py, item)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, objects)?.into_any()
        }
        Value::Map(map) => dict_of(py, map)?.into_any(),
    })
}

/// Members as a Python dictionary.
///
/// # Errors
/// Only if Python is out of memory.
pub(crate) fn dict_of<'py>(py: Python<'py>, map: &Map) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, item) in map {
        dict.set_item(name, object_of(py, item)?)?;
    }
    Ok(dict)
}
