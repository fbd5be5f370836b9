//! One value as it travels: what JSON can say, plus byte strings, which only MessagePack can.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::ser::{Serialize, Serializer};

use crate::budget::OBJECT_COST;

/// The members of an object, in the order of their names.
pub type Map = BTreeMap<String, Value>;

/// A value of a message or a profile.
///
/// Numbers compare by value (`1` equals `1.0`); nothing else compares across variants.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// JSON `null`, Python `None`.
    #[default]
    Null,
    /// A truth value. Unlike in Python it never equals a number.
    Bool(bool),
    /// A whole number that fits 64 bits with sign.
    Int(i64),
    /// A whole number above `i64::MAX`.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes that are not text. JSON shows them as text with U+FFFD for what is not UTF-8.
    Bytes(Vec<u8>),
    /// A list; Python's tuples arrive as lists.
    List(Vec<Value>),
    /// An object.
    Map(Map),
}

impl Value {
    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members, if this is an object.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The elements, if this is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// What Python would call falsy: null, false, zero and everything empty.
    pub fn is_falsy(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Bool(flag) => !flag,
            Value::Int(n) => *n == 0,
            Value::Uint(n) => *n == 0,
            Value::Float(n) => *n == 0.0,
            Value::Text(text) => text.is_empty(),
            Value::Bytes(bytes) => bytes.is_empty(),
            Value::List(list) => list.is_empty(),
            Value::Map(map) => map.is_empty(),
        }
    }

    /// The names this value lists: the members of an object, or the strings of a list.
    ///
    /// `None` if it is neither, or if an element of the list is not a string.
    pub fn names(&self) -> Option<Vec<&str>> {
        match self {
            Value::Map(map) => Some(map.keys().map(String::as_str).collect()),
            Value::List(list) => list.iter().map(Value::as_str).collect(),
            _ => None,
        }
    }

    /// The values this one leaves the choice of: the elements of a list, or itself.
    pub fn one_of(&self) -> &[Value] {
        match self {
            Value::List(list) => list,
            value => std::slice::from_ref(value),
        }
    }

    /// What looking at all of it costs: one for each value and each member's name, and one more for every
    /// kilobyte of text.
    pub fn weight(&self) -> usize {
        match self {
            Value::Text(text) => text_weight(text.len()),
            Value::Bytes(bytes) => text_weight(bytes.len()),
            Value::List(list) => 1 + list.iter().map(Value::weight).sum::<usize>(),
            Value::Map(map) => map_weight(map),
            _ => 1,
        }
    }

    /// About how many bytes of memory it takes, as [`Budget`](crate::Budget) counts values.
    pub fn bytes(&self) -> usize {
        match self {
            Value::Text(text) => SCALAR_BYTES + text.len(),
            Value::Bytes(bytes) => SCALAR_BYTES + bytes.len(),
            Value::List(list) => SCALAR_BYTES + list.iter().map(Value::bytes).sum::<usize>(),
            Value::Map(map) => object_bytes(map),
            _ => SCALAR_BYTES,
        }
    }

    /// How many lists and objects are within one another.
    pub fn levels(&self) -> usize {
        match self {
            Value::List(list) => 1 + list.iter().map(Value::levels).max().unwrap_or_default(),
            Value::Map(map) => 1 + map.values().map(Value::levels).max().unwrap_or_default(),
            _ => 0,
        }
    }

    /// JSON's name of this value's type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Int(_) | Value::Uint(_) | Value::Float(_) => "number",
            Value::Text(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Map(_) => "object",
        }
    }
}

fn text_weight(bytes: usize) -> usize {
    1 + bytes / 1024
}

/// What a value takes in memory at least.
const SCALAR_BYTES: usize = 64;

/// The bytes of an object with these members.
pub(crate) fn object_bytes(map: &Map) -> usize {
    let members = map.iter().map(|(name, value)| name.len() + value.bytes());
    SCALAR_BYTES * OBJECT_COST + members.sum::<usize>()
}

/// The weight of an object with these members.
pub(crate) fn map_weight(map: &Map) -> usize {
    1 + map.iter().map(|(name, value)| text_weight(name.len()) + value.weight()).sum::<usize>()
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        use Value::{Bool, Bytes, Float, Int, List, Map, Null, Text, Uint};
        match (self, other) {
            (Null, Null) => true,
            (Bool(a), Bool(b)) => a == b,
            (Int(a), Int(b)) => a == b,
            (Uint(a), Uint(b)) => a == b,
            (Float(a), Float(b)) => a == b,
            (Int(a), Uint(b)) | (Uint(b), Int(a)) => i128::from(*a) == i128::from(*b),
            (Int(a), Float(b)) | (Float(b), Int(a)) => whole(*b) == Some(i128::from(*a)),
            (Uint(a), Float(b)) | (Float(b), Uint(a)) => whole(*b) == Some(i128::from(*a)),
            (Text(a), Text(b)) => a == b,
            (Bytes(a), Bytes(b)) => a == b,
            (List(a), List(b)) => a == b,
            (Map(a), Map(b)) => a == b,
            _ => false,
        }
    }
}

/// Equal values hash equally: numbers by value, everything else with its variant.
impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let number = match self {
            Value::Int(n) => Some(i128::from(*n)),
            Value::Uint(n) => Some(i128::from(*n)),
            Value::Float(n) => whole(*n),
            _ => None,
        };
        match (number, self) {
            (Some(number), _) => (0u8, number).hash(state),
            (None, Value::Float(n)) => (1u8, n.to_bits()).hash(state),
            (None, Value::Bool(flag)) => (2u8, flag).hash(state),
            (None, Value::Text(text)) => (3u8, text).hash(state),
            (None, Value::Bytes(bytes)) => (4u8, bytes).hash(state),
            (None, Value::List(list)) => (5u8, list).hash(state),
            (None, Value::Map(map)) => (6u8, map).hash(state),
            (None, Value::Null | Value::Int(_) | Value::Uint(_)) => 7u8.hash(state),
        }
    }
}

/// A float that is a whole number of at most 64 bits, exactly.
fn whole(float: f64) -> Option<i128> {
    (float.fract() == 0.0 && float.abs() < 2f64.powi(65)).then_some(float as i128)
}

/// Compact JSON, as messages print values.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Value {
        Value::Int(n)
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Value {
        i64::try_from(n).map_or(Value::Uint(n), Value::Int)
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Value {
        Value::Float(n)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Value {
        Value::Map(map)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(list: Vec<T>) -> Value {
        Value::List(list.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// So that tests and defaults can be written with `serde_json::json!`.
impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(flag) => Value::Bool(flag),
            serde_json::Value::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(n), _) => Value::Int(n),
                (None, Some(n)) => Value::Uint(n),
                (None, None) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Value::Text(text),
            serde_json::Value::Array(list) => Value::List(list.into_iter().map(Into::into).collect()),
            serde_json::Value::Object(map) => {
                Value::Map(map.into_iter().map(|(name, value)| (name, value.into())).collect())
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(n) => serializer.serialize_i64(*n),
            Value::Uint(n) => serializer.serialize_u64(*n),
            Value::Float(n) => serializer.serialize_f64(*n),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) if serializer.is_human_readable() => {
                serializer.serialize_str(&String::from_utf8_lossy(bytes))
            }
            Value::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Value::List(list) => serializer.collect_seq(list),
            Value::Map(map) => serializer.collect_map(map),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_compare_by_value_and_nothing_else_across_types() {
        assert_eq!(Value::Int(1), Value::Float(1.0));
        assert_eq!(Value::Uint(1 << 63), Value::Float(2f64.powi(63)));
        assert_ne!(Value::Int(i64::MAX), Value::Float(2f64.powi(63)));
        assert_ne!(Value::Int(1), Value::Bool(true));
        assert_ne!(Value::Text("1".into()), Value::Int(1));
        assert_ne!(Value::Float(f64::NAN), Value::Float(f64::NAN));
    }

    #[test]
    fn equal_values_hash_equally() {
        let hash = |value: Value| {
            let mut hasher = std::hash::DefaultHasher::new();
            value.hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(Value::Int(1)), hash(Value::Float(1.0)));
        assert_eq!(hash(Value::Int(0)), hash(Value::Float(-0.0)));
        assert_eq!(hash(Value::Uint(1 << 63)), hash(Value::Float(2f64.powi(63))));
        assert_eq!(hash(json!([1, {"a": 2.0}]).into()), hash(json!([1.0, {"a": 2}]).into()));
        assert_ne!(hash(Value::Int(1)), hash(Value::Bool(true)));
    }

    #[test]
    fn json_round_trip_keeps_every_variant_json_knows() {
        let json = json!({"a": [null, true, -1, 18446744073709551615u64, 1.5, "å"], "b": {}});
        let value: Value = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(value, Value::from(json.clone()));
        assert_eq!(serde_json::to_value(&value).unwrap(), json);
    }

    #[test]
    fn weight_counts_values_names_and_long_texts() {
        let weight = |json| Value::from(json).weight();
        assert_eq!(weight(json!(null)), 1);
        assert_eq!(weight(json!([1, [2, "x"]])), 5);
        assert_eq!(weight(json!({"a": "x".repeat(10 << 10)})), 13);
        assert_eq!(weight(json!({"a".repeat(1024): true})), 4);
    }

    #[test]
    fn bytes_count_what_a_reader_spends_and_levels_what_is_nested() {
        let value = |json| Value::from(json);
        assert_eq!(value(json!(["abc", 1])).bytes(), 3 * 64 + 3);
        assert_eq!(value(json!({"ab": null, "c": {}})).bytes(), 640 + 2 + 64 + 1 + 640);
        let levels = [json!(1), json!([]), json!([1, {"a": []}, 2]), json!({"a": {"b": 1}})];
        assert_eq!(levels.map(|json| Value::from(json).levels()), [0, 1, 3, 2]);
    }

    #[test]
    fn names_come_from_objects_and_from_lists_of_strings_only() {
        assert_eq!(Value::from(json!({"a": 1})).names(), Some(vec!["a"]));
        assert_eq!(Value::from(json!(["a", "b"])).names(), Some(vec!["a", "b"]));
        assert_eq!(Value::from(json!(["a", 1])).names(), None);
        assert_eq!(Value::from(json!("a")).names(), None);
    }
}
