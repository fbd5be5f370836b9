//! How the arguments of a request meet the parameters of a method, with Python's rules and Python's
//! complaints. Signatures are written in Python's notation.

mod notation;

use std::fmt;

use ave_profile::{Map, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::error::Fault;

/// What a method is called with: the `params` of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    /// `vargs`.
    pub positional: Vec<Value>,
    /// `kwargs`.
    pub named: Map,
}

impl Arguments {
    /// Positional arguments only.
    pub fn positional(values: impl IntoIterator<Item = impl Into<Value>>) -> Arguments {
        Arguments { positional: values.into_iter().map(Into::into).collect(), named: Map::new() }
    }
}

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("vargs", &self.positional)?;
        map.serialize_entry("kwargs", &self.named)?;
        map.end()
    }
}

/// A method's name and parameters: `download_git(src, refspec, dst=None)` or `get(*profiles)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    name: String,
    parameters: Vec<Parameter>,
    rest: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Parameter {
    name: String,
    default: Option<Value>,
}

impl Signature {
    /// The signature a developer wrote. Defaults are `None`, `True`, `False`, numbers, `'text'` and `[]`; `*rest`
    /// comes last. Anything that is not a literal goes through `FromStr`.
    ///
    /// # Panics
    /// If the notation is wrong.
    pub fn parse(notation: &'static str) -> Signature {
        notation.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The method's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it takes any number of further positional arguments.
    pub fn has_rest(&self) -> bool {
        self.rest.is_some()
    }

    /// Gives each parameter its value.
    ///
    /// # Errors
    /// Type `TypeError` if an argument is missing, unexpected, or given twice.
    /// (Specification 10.2, item 36.)
    pub fn bind(&self, arguments: Arguments) -> Result<Bound, Fault> {
        let Arguments { positional, mut named } = arguments;
        let given = positional.len();
        if given > self.parameters.len() && self.rest.is_none() {
            return Err(self.too_many(given));
        }
        let mut positional = positional.into_iter();
        let (mut values, mut missing) = (Map::new(), Vec::new());
        for Parameter { name, default } in &self.parameters {
            let value = match (positional.next(), named.remove(name)) {
                (Some(_), Some(_)) => {
                    return Err(self.type_error(format!("got multiple values for argument '{name}'")));
                }
                (Some(value), None) | (None, Some(value)) => Some(value),
                (None, None) => default.clone(),
            };
            match value {
                Some(value) => drop(values.insert(name.clone(), value)),
                None => missing.push(format!("'{name}'")),
            }
        }
        if let Some(name) = named.keys().next() {
            return Err(self.type_error(format!("got an unexpected keyword argument '{name}'")));
        }
        if !missing.is_empty() {
            return Err(self.missing(&missing));
        }
        Ok(Bound { values, rest: positional.collect() })
    }

    fn too_many(&self, given: usize) -> Fault {
        let most = self.parameters.len();
        let least = self.parameters.iter().filter(|parameter| parameter.default.is_none()).count();
        let takes = if least == most { most.to_string() } else { format!("from {least} to {most}") };
        let plural = if most == 1 { "" } else { "s" };
        let were = if given == 1 { "was" } else { "were" };
        self.type_error(format!("takes {takes} positional argument{plural} but {given} {were} given"))
    }

    fn missing(&self, names: &[String]) -> Fault {
        let list = match names {
            [first, second] => format!("{first} and {second}"),
            [most @ .., last] if !most.is_empty() => format!("{}, and {last}", most.join(", ")),
            _ => names.concat(),
        };
        let plural = if names.len() == 1 { "" } else { "s" };
        self.type_error(format!("missing {} required positional argument{plural}: {list}", names.len()))
    }

    fn type_error(&self, what: String) -> Fault {
        Fault::new("TypeError", format!("{}() {what}", self.name))
    }
}

/// Prints what was parsed.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = self.parameters.iter().map(Parameter::to_string);
        let all: Vec<_> = parameters.chain(self.rest.iter().map(|rest| format!("*{rest}"))).collect();
        write!(f, "{}({})", self.name, all.join(", "))
    }
}

/// Arguments that fit their method.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    values: Map,
    rest: Vec<Value>,
}

impl Bound {
    /// The value of a parameter, for keeps; null if there is no such parameter or it was taken before.
    pub fn take(&mut self, name: &str) -> Value {
        self.values.remove(name).unwrap_or_default()
    }

    /// The value of a parameter; null if there is no such parameter or it was taken.
    pub fn get(&self, name: &str) -> &Value {
        self.values.get(name).unwrap_or(&Value::Null)
    }

    /// The values of all parameters that were not taken, by name.
    pub fn named(self) -> Map {
        self.values
    }

    /// The arguments of `*rest`.
    pub fn rest(self) -> Vec<Value> {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bind(
        notation: &'static str,
        vargs: serde_json::Value,
        kwargs: serde_json::Value,
    ) -> Result<Bound, String> {
        let (Value::List(positional), Value::Map(named)) = (Value::from(vargs), Value::from(kwargs)) else {
            panic!("a list and an object")
        };
        let bound = Signature::parse(notation).bind(Arguments { positional, named });
        bound.map_err(|fault| {
            assert_eq!(fault.kind, "TypeError"); // 36
            fault.message
        })
    }

    #[test]
    fn arguments_find_their_parameters_by_place_by_name_and_by_default() {
        let mut bound = bind("f(a, b, c=3, d=None)", json!([1]), json!({"b": 2, "d": "x"})).unwrap();
        assert_eq!(bound.get("a"), &Value::Int(1));
        assert_eq!(bound.take("b"), Value::Int(2));
        assert_eq!(bound.take("b"), Value::Null);
        assert_eq!(bound.take("c"), Value::Int(3));
        assert_eq!(bound.take("d"), Value::from("x"));
        assert_eq!(bound.take("e"), Value::Null);
    }

    #[test]
    fn the_rest_takes_what_no_parameter_does() {
        let mut bound = bind("f(a, *more)", json!([1, 2, 3]), json!({})).unwrap();
        assert_eq!(bound.take("a"), Value::Int(1));
        assert_eq!(bound.rest(), [Value::Int(2), Value::Int(3)]);
        assert!(bind("get(*profiles)", json!([]), json!({})).unwrap().rest().is_empty());
    }

    /// Every message is what CPython 3 says of the same function and the same call.
    #[test]
    fn complaints_are_pythons() {
        let complaint = |notation, vargs, kwargs| bind(notation, vargs, kwargs).unwrap_err();
        let none = || json!({});
        assert_eq!(complaint("f()", json!([1]), none()), "f() takes 0 positional arguments but 1 was given");
        assert_eq!(
            complaint("f(a)", json!([1, 2]), none()),
            "f() takes 1 positional argument but 2 were given"
        );
        assert_eq!(
            complaint("f(a, b=1)", json!([1, 2, 3]), none()),
            "f() takes from 1 to 2 positional arguments but 3 were given"
        );
        assert_eq!(complaint("f(a)", json!([]), none()), "f() missing 1 required positional argument: 'a'");
        assert_eq!(
            complaint("f(a, b, c=1)", json!([]), none()),
            "f() missing 2 required positional arguments: 'a' and 'b'"
        );
        assert_eq!(
            complaint("f(a, b, c)", json!([]), none()),
            "f() missing 3 required positional arguments: 'a', 'b', and 'c'"
        );
        assert_eq!(
            complaint("f(a)", json!([]), json!({"x": 1})),
            "f() got an unexpected keyword argument 'x'"
        );
        assert_eq!(
            complaint("f(a)", json!([1]), json!({"a": 2})),
            "f() got multiple values for argument 'a'"
        );
    }
}
