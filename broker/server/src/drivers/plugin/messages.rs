//! What broker and driver say to each other: a hello and a list of methods, then calls and answers, each
//! the JSON payload of one frame. Believes nothing. (Equipment P6, P7, P11; docs/new-equipment.md)

use std::path::Path;

use ave_profile::{Map, Profile, Refusal, RefusalKind, Value};
use ave_protocol::arguments::Signature;
use ave_protocol::error::Fault;
use ave_protocol::limits::Limits;
use ave_protocol::message::Encoding;
use serde_json::json;

use super::limits::{FRAME_BYTES_MAX, METHODS_MAX, VALUES_MAX};
use crate::limits::LOGGED_CHARS_MAX;

/// What a driver raised, or how it answered.
pub(super) type Answer = Result<Value, Refusal>;

/// A call that a driver lists.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Method {
    /// Its name and parameters.
    pub(crate) signature: Signature,
    /// One line for people; may be empty.
    pub(crate) help: String,
}

/// The first frame a driver gets. A reset is nobody's grant.
pub(super) fn hello(known: &Profile, home: &Path, grant: Option<u64>) -> Vec<u8> {
    let mut hello = json!({"type": known.kind(), "profile": known, "home": home.to_string_lossy()});
    if let Some(number) = grant {
        hello["grant"] = number.into();
    }
    json!({ "hello": hello }).to_string().into_bytes()
}

/// A call.
///
/// # Errors
/// If an argument has no form in JSON, or all of them are too long for a frame.
pub(super) fn call(method: &str, params: &Map) -> Result<Vec<u8>, Refusal> {
    if let Some((name, what)) = params.iter().find_map(|(name, value)| Some((name, unsayable(value)?))) {
        return Err(Refusal::exception(format!("{name}: {what} cannot be passed to a driver")));
    }
    let call = json!({"method": method, "params": params}).to_string().into_bytes();
    if call.len() > FRAME_BYTES_MAX {
        let (found, max) = (call.len(), FRAME_BYTES_MAX);
        return Err(Refusal::exception(format!(
            "{method}() is too long: at most {max} bytes, found {found}"
        )));
    }
    Ok(call)
}

/// What in a value JSON cannot say. It nests no deeper than the message it came in was allowed to.
fn unsayable(value: &Value) -> Option<&'static str> {
    match value {
        Value::Bytes(_) => Some("a byte string"),
        Value::Float(n) if !n.is_finite() => Some("a number that is not finite"),
        Value::List(list) => list.iter().find_map(unsayable),
        Value::Map(map) => map.values().find_map(unsayable),
        _ => None,
    }
}

/// Reads a driver's first frame: its methods, or why it does not open.
///
/// # Errors
/// What is wrong with it.
pub(super) fn opening(payload: &[u8]) -> Result<Result<Vec<Method>, Refusal>, String> {
    let mut members = object(payload)?;
    match (members.remove("methods"), members.remove("exception")) {
        (None, Some(Value::Map(exception))) => Ok(Err(refusal(exception))),
        (Some(Value::List(list)), None) => methods(list).map(Ok),
        _ => Err(format!("wanted {{\"methods\": [...]}} first, found {}", excerpt(payload))),
    }
}

/// Reads an answer.
///
/// # Errors
/// What is wrong with it.
pub(super) fn answer(payload: &[u8]) -> Result<Answer, String> {
    let mut members = object(payload)?;
    match (members.remove("result"), members.remove("exception")) {
        (Some(result), None) => Ok(Ok(result)),
        (None, Some(Value::Map(exception))) => Ok(Err(refusal(exception))),
        _ => Err(format!(
            "wanted {{\"result\": ...}} or {{\"exception\": {{...}}}}, found {}",
            excerpt(payload)
        )),
    }
}

fn object(payload: &[u8]) -> Result<Map, String> {
    let limits = Limits { values_max: VALUES_MAX, ..Limits::default() };
    let value = match Encoding::of(payload) {
        Encoding::Json => Encoding::read(payload, &limits),
        Encoding::MessagePack => None,
    };
    match value {
        Some(Value::Map(members)) => Ok(members),
        _ => Err(format!("wanted a JSON object of at most {VALUES_MAX} values, found {}", excerpt(payload))),
    }
}

/// An exception as it is, but for a trace, which says nothing to a client. (Equipment P11)
fn refusal(exception: Map) -> Refusal {
    let Fault { kind, message, details } = Fault::of_members(exception);
    Refusal { kind: RefusalKind::Driver(kind), message, details }
}

fn methods(list: Vec<Value>) -> Result<Vec<Method>, String> {
    if list.len() > METHODS_MAX {
        return Err(format!("methods: at most {METHODS_MAX} are wanted, found {}", list.len()));
    }
    let mut methods = Vec::<Method>::with_capacity(list.len());
    for (number, listed) in list.iter().enumerate() {
        let wrong = |why: &str| format!("methods[{number}]: {why}");
        let method = method(listed).map_err(|why| wrong(&why))?;
        let name = method.signature.name();
        if methods.iter().any(|other| other.signature.name() == name) {
            return Err(wrong(&format!("{name} is listed twice")));
        }
        methods.push(method);
    }
    Ok(methods)
}

fn method(listed: &Value) -> Result<Method, String> {
    let text = |name| listed.as_map().and_then(|members| members.get(name)).and_then(Value::as_str);
    let notation = text("signature").ok_or("wanted {\"signature\": \"name(parameters)\", \"help\": ...}")?;
    let signature: Signature = notation.parse()?;
    if signature.name().starts_with('_') {
        return Err(format!("{} is a private name", signature.name()));
    }
    if signature.has_rest() {
        return Err(format!("signature {notation:?}: every parameter needs a name of its own"));
    }
    Ok(Method { signature, help: text("help").unwrap_or_default().to_owned() })
}

/// The beginning of what cannot be understood.
fn excerpt(payload: &[u8]) -> String {
    // A character has at most four bytes.
    let beginning = &payload[..payload.len().min(4 * LOGGED_CHARS_MAX)];
    let text: String = String::from_utf8_lossy(beginning).chars().take(LOGGED_CHARS_MAX).collect();
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(methods: serde_json::Value) -> Result<Vec<String>, String> {
        let listed = opening(json!({ "methods": methods }).to_string().as_bytes())?.unwrap();
        Ok(listed.iter().map(|method| method.signature.to_string()).collect())
    }

    #[test]
    fn p_7_methods_are_listed_with_parameters_defaults_and_help() {
        let first = json!({"methods": [{"signature": "load(scenario, loops=1)", "help": "Loads."}]});
        let methods = opening(first.to_string().as_bytes()).unwrap().unwrap();
        assert_eq!(methods[0].signature.to_string(), "load(scenario, loops=1)");
        assert_eq!(methods[0].help, "Loads.");
        assert_eq!(listed(json!([])).unwrap(), [""; 0]);
    }

    #[test]
    fn p_7_a_list_that_means_nothing_says_why() {
        let many: serde_json::Value =
            (0..=METHODS_MAX).map(|n| json!({"signature": format!("m{n}()")})).collect();
        let cases = [
            (json!([1]), "methods[0]: wanted {\"signature\""),
            (json!([{"signature": "a()"}, {"signature": "f("}]), "methods[1]: signature \"f(\""),
            (json!([{"signature": "_x()"}]), "_x is a private name"),
            (json!([{"signature": "a()"}, {"signature": "a(b)"}]), "methods[1]: a is listed twice"),
            (json!([{"signature": "a(*all)"}]), "every parameter needs a name of its own"),
            (many, "at most 512 are wanted, found 513"),
        ];
        for (methods, wanted) in cases {
            let why = listed(methods).unwrap_err();
            assert!(why.contains(wanted), "{why}");
        }
    }

    #[test]
    fn p_11_an_exception_keeps_its_type_message_and_members() {
        let raised = json!({"exception": {"type": "Timeout", "message": "å", "cmd": ["a"], "trace": [1]}});
        let refusal = answer(raised.to_string().as_bytes()).unwrap().unwrap_err();
        assert_eq!((refusal.kind.as_str(), refusal.message.as_str()), ("Timeout", "å"));
        assert_eq!(refusal.details, Map::from([("cmd".into(), vec!["a"].into())]));
        assert!(opening(raised.to_string().as_bytes()).unwrap().is_err());
    }

    #[test]
    fn what_is_no_answer_is_shown_in_part() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let long = "x".repeat(10_000);
        let many = format!("{{\"result\": [{}1]}}", "1,".repeat(VALUES_MAX));
        let both = r#"{"methods": [], "result": 1, "exception": {}}"#;
        let all = ["", "Hello", "[]", "{}", both, r#"{"exception": "x"}"#, "\u{80}", &deep, &long, &many];
        for payload in all {
            let why = answer(payload.as_bytes()).unwrap_err();
            assert!(why.starts_with("wanted ") && why.len() < 1000, "{why}");
            assert!(opening(payload.as_bytes()).is_err());
        }
        assert!(answer(&[0x81, 0xa6, b'r', b'e', b's', b'u', b'l', b't', 1]).is_err(), "MessagePack");
    }

    #[test]
    fn c_4_what_json_cannot_say_is_refused_for_that_call() {
        let params = |value| Map::from([("a".to_owned(), value)]);
        for value in [Value::Bytes(vec![1]), vec![Value::Bytes(vec![])].into(), f64::NAN.into()] {
            assert!(call("m", &params(value)).unwrap_err().message.contains("a: a "));
        }
        assert!(call("m", &params(Value::Text("x".repeat(FRAME_BYTES_MAX)))).is_err());
        let sent = call("m", &params("å".into())).unwrap();
        assert_eq!(sent, r#"{"method":"m","params":{"a":"å"}}"#.as_bytes());
    }
}
