//! Reading a value without trusting its sender: a message holds so many values and no more.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::{Map, Value};

/// An object takes the memory of about so many scalars, however few members it has.
pub(crate) const OBJECT_COST: usize = 10;

/// How many values one message may still hold, so that a small frame cannot become a large tree.
#[derive(Debug)]
pub struct Budget(Cell<usize>);

impl Budget {
    /// A budget of `values_max` values; an object counts as ten, each list and scalar as one.
    pub fn new(values_max: usize) -> Budget {
        Budget(Cell::new(values_max))
    }

    fn spend<E: de::Error>(&self, values: usize) -> Result<(), E> {
        let left =
            self.0.get().checked_sub(values).ok_or_else(|| E::custom("too many values in one message"))?;
        self.0.set(left);
        Ok(())
    }
}

/// Reads one value within the budget.
impl<'de> DeserializeSeed<'de> for &Budget {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.spend(1)?;
        deserializer.deserialize_any(ValueVisitor(self))
    }
}

/// Without a bound: for files and tests, whose size is bounded already.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        Budget::new(usize::MAX).deserialize(deserializer)
    }
}

struct ValueVisitor<'a>(&'a Budget);

impl<'de> Visitor<'de> for ValueVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Int(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(n.into())
    }

    fn visit_f64<E>(self, n: f64) -> Result<Value, E> {
        Ok(Value::Float(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        // The announced length is the sender's word; the list grows with what really comes.
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(self.0)? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.0.spend(OBJECT_COST - 1)?;
        let mut map = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            map.insert(name, access.next_value_seed(self.0)?);
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_hold_more_values_than_its_budget() {
        let read = |text: &str, values_max| {
            Budget::new(values_max).deserialize(&mut serde_json::Deserializer::from_str(text))
        };
        assert!(read("[1,2]", 3).is_ok());
        let error = read("[1,2,3]", 3).unwrap_err();
        assert!(error.to_string().contains("too many values"), "{error}");
        assert!(read("[{}]", 11).is_ok() && read("[{}]", 10).is_err(), "an object counts as ten");
    }
}
