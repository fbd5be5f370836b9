//! What other brokers say beside a request: where the question has been, and how long they are never silent.
//! Original peers say neither. (Specification 2.1, 6.7.)

use std::time::Duration;

use ave_profile::{BrokerId, Map, Refusal, RefusalKind, Value};

use crate::config::SILENCE_LIMIT_S_MAX;
use crate::limits::VIA_MAX;

/// The brokers that a question has come through, the first one first.
///
/// # Errors
/// As for a question that has come here before: what makes no sense cannot be followed.
pub(crate) fn via(further: &Map) -> Result<Vec<BrokerId>, Refusal> {
    let refuse = |found: String| {
        let text =
            format!("no such resource: the question came through {found}, wanted a list of brokers' ids");
        Refusal::new(RefusalKind::NoSuch, text)
    };
    match further.get("via") {
        None => Ok(Vec::new()),
        Some(Value::List(ids)) if ids.len() > VIA_MAX => {
            Err(refuse(format!("{} brokers, at most {VIA_MAX} are followed", ids.len())))
        }
        Some(Value::List(ids)) => {
            let id = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
            ids.iter().map(id).collect::<Option<_>>().ok_or_else(|| refuse("something else".to_owned()))
        }
        Some(other) => Err(refuse(other.type_name().to_owned())),
    }
}

/// How long the sender is never silent while its connection lasts; `None` if it does not say so sensibly.
pub(crate) fn silence_limit(announced: Option<&Value>) -> Option<Duration> {
    let Some(Value::Int(seconds)) = announced else { return None };
    let seconds = u64::try_from(*seconds).ok()?;
    (1..=SILENCE_LIMIT_S_MAX).contains(&seconds).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn further(via: serde_json::Value) -> Map {
        Map::from([("via".to_owned(), via.into())])
    }

    #[test]
    fn where_a_question_has_been_is_a_short_list_of_ids() {
        let id = "00000000000000ab";
        assert_eq!(via(&Map::new()), Ok(Vec::new()));
        assert_eq!(via(&further(json!([id, id]))), Ok(vec![BrokerId(0xab); 2]));
        assert_eq!(via(&further(json!(vec![id; VIA_MAX]))).unwrap().len(), VIA_MAX);
        let wrong =
            [json!(vec![id; VIA_MAX + 1]), json!(id), json!(null), json!([1]), json!(["AB"]), json!([[]])];
        for wrong in wrong {
            let refusal = via(&further(wrong)).unwrap_err();
            assert_eq!(refusal.kind, RefusalKind::NoSuch);
            assert!(refusal.message.starts_with("no such resource"), "{refusal}");
        }
    }

    #[test]
    fn silence_is_announced_in_sensible_seconds() {
        assert_eq!(silence_limit(Some(&Value::Int(12))), Some(Duration::from_secs(12)));
        for wrong in [Value::Int(0), Value::Int(-1), Value::Int(i64::MAX), Value::from("12"), Value::Null] {
            assert_eq!(silence_limit(Some(&wrong)), None, "{wrong}");
        }
        assert_eq!(silence_limit(None), None);
    }
}
