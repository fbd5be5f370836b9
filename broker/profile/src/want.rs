//! What one call of `get` asks for: groups of profiles, the parentheses of the manual.

use serde::{Deserialize, Serialize};

use crate::{Profile, Refusal, Value};

/// How many profiles one call may name; a call that needs more is a mistake.
pub const PROFILES_MAX: usize = 64;

/// How many groups one call may name.
pub const GROUPS_MAX: usize = 16;

/// How much one call may ask about, as [`Value::weight`] has it: a hundred profiles as labs have them.
/// All of it may be compared with each piece.
pub const WEIGHT_MAX: usize = 8192;

/// Groups of profiles. All of a group comes from one stack of one host; groups are independent, and
/// all of them succeed or fail together. (Specification 5.1.)
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Want {
    /// The groups, in the order of the request; results follow it.
    pub groups: Vec<Vec<Profile>>,
}

impl Want {
    /// Reads the arguments of `get`: profiles make one group; as soon as one argument is a list, each
    /// argument is a group of its own.
    ///
    /// # Errors
    /// Type `Exception` if an argument is neither, has no `type`, or the call exceeds a limit.
    pub fn of_get(args: &[Value]) -> Result<Want, Refusal> {
        weighed(args, WEIGHT_MAX)?;
        if args.iter().any(|arg| matches!(arg, Value::List(_))) {
            return Want::of_groups(args);
        }
        Want { groups: vec![args.iter().map(profile).collect::<Result<_, _>>()?] }.within_limits()
    }

    /// Reads the arguments of `get_multi_resources`: an object is a group of one, a list is a group.
    ///
    /// # Errors
    /// As for [`Want::of_get`].
    pub fn of_groups(args: &[Value]) -> Result<Want, Refusal> {
        weighed(args, WEIGHT_MAX)?;
        let group = |arg: &Value| match arg {
            Value::List(list) => list.iter().map(profile).collect(),
            _ => Ok(vec![profile(arg)?]),
        };
        Want { groups: args.iter().map(group).collect::<Result<_, _>>()? }.within_limits()
    }

    /// All profiles, in the order of the request.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.groups.iter().flatten()
    }

    fn within_limits(self) -> Result<Want, Refusal> {
        let (groups, profiles) = (self.groups.len(), self.profiles().count());
        if groups > GROUPS_MAX {
            return Err(Refusal::exception(format!(
                "too many groups in one call: at most {GROUPS_MAX}, found {groups}"
            )));
        }
        if profiles > PROFILES_MAX {
            return Err(Refusal::exception(format!(
                "too many profiles in one call: at most {PROFILES_MAX}, found {profiles}"
            )));
        }
        Ok(self)
    }
}

/// Makes sure that arguments are not so much that looking at them would hold up others.
///
/// # Errors
/// Type `Exception` if together they weigh more than `weight_max`.
pub fn weighed(args: &[Value], weight_max: usize) -> Result<(), Refusal> {
    let found: usize = args.iter().map(Value::weight).sum();
    if found > weight_max {
        return Err(Refusal::exception(format!(
            "too much in one call: at most {weight_max} values, members and kilobytes of text, found {found}"
        )));
    }
    Ok(())
}

fn profile(value: &Value) -> Result<Profile, Refusal> {
    let Value::Map(map) = value else {
        return Err(Refusal::exception(format!("profile is not an object: {value}")));
    };
    let profile = Profile(map.clone());
    match profile.get("type") {
        None => Err(Refusal::exception(format!("profile \"type\" field is missing: {profile}"))),
        Some(Value::Text(_)) => Ok(profile),
        Some(other) => Err(Refusal::exception(format!("profile \"type\" field is not a string: {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn args(json: serde_json::Value) -> Vec<Value> {
        Value::from(json).as_list().unwrap().to_vec()
    }

    fn sizes(want: Result<Want, Refusal>) -> Vec<usize> {
        want.unwrap().groups.iter().map(Vec::len).collect()
    }

    #[test]
    fn the_argument_forms_of_5_1_give_the_groups_of_5_1() {
        let h = json!({"type": "handset"});
        let r = json!({"type": "relay"});
        assert_eq!(sizes(Want::of_get(&args(json!([h, r])))), [2]);
        assert_eq!(sizes(Want::of_get(&[])), [0]);
        assert_eq!(sizes(Want::of_get(&args(json!([h, h, [r]])))), [1, 1, 1]); // 126
        assert_eq!(sizes(Want::of_groups(&args(json!([[h, r], h])))), [2, 1]);
        assert_eq!(sizes(Want::of_groups(&args(json!([[h], [h]])))), [1, 1]);
    }

    #[test]
    fn bad_shapes_are_refused_with_what_was_found() {
        let message = |json| Want::of_get(&args(json)).unwrap_err().message;
        assert!(message(json!([{"pretty": "x"}])).starts_with("profile \"type\" field is missing")); // 86
        assert!(message(json!([{"type": 1}])).contains("not a string: 1"));
        assert!(message(json!(["handset"])).contains("not an object: \"handset\""));
        assert!(message(json!(vec![json!({"type": "handset"}); PROFILES_MAX + 1])).contains("found 65"));
        assert!(message(json!(vec![json!([{"type": "handset"}]); GROUPS_MAX + 1])).contains("found 17"));
        let heavy = message(json!([{"type": "relay", "circuits": vec!["usb.pc.vcc"; WEIGHT_MAX]}]));
        assert!(heavy.starts_with("too much in one call: at most 8192 "), "{heavy}");
    }
}
