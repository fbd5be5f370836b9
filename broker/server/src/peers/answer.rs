//! What other brokers answer, read with suspicion: they may be older, broken, or hostile.

use ave_client::{Allotment, Door};
use ave_core::Setback;
use ave_profile::{Identity, KindTable, Map, Profile, Refusal, RefusalKind, Value};
use ave_protocol::error::Fault;

use super::burden::excess_of_profile;
use super::dial::LineError;
use crate::limits::{REFUSAL_BYTES_MAX, REFUSAL_WEIGHT_MAX};

/// How the refusals of original sessions begin, which say `Exit` whatever the reason. (Specification 5.9.)
const BUSY: [&str; 4] = [
    "all such equipment busy",
    "cannot allocate all equipment together",
    "equipment shares collateral",
    "resource already allocated",
];
const NO_SUCH: [&str; 2] = ["no such resource", "no such workspace"];

/// How an original session begins to say that it could not ask somebody else; our own core says it too.
const FAILED: &str = "Broker connection failed";

/// A piece at another broker.
pub(super) struct Entry {
    pub(super) item: Identity,
    pub(super) profile: Profile,
    /// `address`, `authkey`, `profile` and perhaps `session`, as they came. Not to be printed.
    pub(super) members: Map,
}

/// Reads the answer to a question for these groups: the session's door, and what to name there.
pub(super) fn allotments(
    answer: Value,
    groups: &[Vec<Profile>],
) -> Result<(Door, Vec<Vec<Value>>), LineError> {
    let parts = match (answer, groups) {
        (part, [_]) => vec![part],
        (Value::List(parts), _) => parts,
        (other, _) => return Err(nonsense("a list of groups", other.type_name())),
    };
    if parts.len() != groups.len() {
        return Err(nonsense(&format!("{} groups", groups.len()), &parts.len().to_string()));
    }
    let parts: Option<Vec<_>> = parts.into_iter().map(Allotment::parse).collect();
    let parts = parts.ok_or_else(|| nonsense("a session's address, key and resources", "something else"))?;
    let door = parts.first().map(|part| part.door.clone());
    let door = door.ok_or_else(|| nonsense("a grant", "nothing"))?;
    for (part, group) in parts.iter().zip(groups) {
        if part.resources.len() != group.len() {
            let wanted = format!("{} resources in a group", group.len());
            return Err(nonsense(&wanted, &part.resources.len().to_string()));
        }
        if !is_same(&part.door, &door) {
            return Err(nonsense("one session", "several"));
        }
    }
    Ok((door, parts.into_iter().map(|part| part.resources).collect()))
}

/// Reads what a session says about the pieces of these groups, which it lists in one row.
pub(super) fn entries(
    answer: Value,
    groups: &[Vec<Profile>],
    kinds: &KindTable,
) -> Result<Vec<Vec<Entry>>, LineError> {
    let Value::List(found) = answer else { return Err(nonsense("a list of entries", answer.type_name())) };
    let wanted: usize = groups.iter().map(Vec::len).sum();
    if found.len() != wanted {
        return Err(nonsense(&format!("{wanted} entries"), &found.len().to_string()));
    }
    let mut found = found.into_iter();
    let group = |group: &Vec<Profile>| {
        group.iter().zip(found.by_ref()).map(|(asked, value)| entry(asked, value, kinds)).collect()
    };
    groups.iter().map(group).collect()
}

fn entry(asked: &Profile, value: Value, kinds: &KindTable) -> Result<Entry, LineError> {
    let Value::Map(mut members) = value else { return Err(nonsense("an entry", value.type_name())) };
    if Door::parse(&members).is_none() {
        return Err(nonsense("an address and a key", "something else"));
    }
    if members.get("session").is_some_and(|session| session.as_str().is_none_or(|id| id.len() > 16)) {
        members.remove("session");
    }
    let Some(Value::Map(profile)) = members.get("profile") else { return Err(nonsense("a profile", "none")) };
    let profile = Profile(profile.clone());
    if let Some(why) = excess_of_profile(&profile) {
        return Err(LineError::Lost(format!("it answered nonsense: {why}")));
    }
    match kinds.identity(&profile) {
        Some(item) if profile.kind() == asked.kind() => Ok(Entry { item, profile, members }),
        _ => Err(nonsense(&format!("a piece of type {:?}", asked.kind().unwrap_or_default()), "another")),
    }
}

/// Whether two doors lead to one session.
pub(super) fn is_same(one: &Door, other: &Door) -> bool {
    one.address == other.address && one.key.expose() == other.key.expose()
}

pub(super) fn nonsense(wanted: &str, found: &str) -> LineError {
    LineError::Lost(format!("it answered nonsense: wanted {wanted}, found {found}"))
}

/// A refusal of one of several groups that were asked for one after the other.
pub(super) fn of_group(error: LineError, nth: usize, groups: usize) -> LineError {
    let LineError::Fault(Fault { kind, message, details }) = error else { return error };
    let refusal = Refusal { kind: RefusalKind::Driver(kind), message, details };
    LineError::Fault(refusal.of_group(nth, groups).into())
}

/// What a failed question means to the client who waits for it. (Specification 5.9.)
pub(super) fn setback(error: LineError) -> Setback {
    match error {
        LineError::Fault(fault) => refused(fault),
        other => Setback::Unreachable(other.to_string()),
    }
}

fn refused(mut fault: Fault) -> Setback {
    for text in [&mut fault.kind, &mut fault.message] {
        text.truncate(text.floor_char_boundary(REFUSAL_BYTES_MAX));
    }
    if Value::Map(fault.details.clone()).weight() > REFUSAL_WEIGHT_MAX {
        (fault.kind, fault.details) = ("Exception".to_owned(), Map::new()); // other types may need them
    }
    let begins = |texts: &[&str]| texts.iter().any(|text| fault.message.starts_with(text));
    let kind = match fault.kind.as_str() {
        "Busy" => RefusalKind::Busy,
        "NoSuch" => RefusalKind::NoSuch,
        "Exit" if begins(&BUSY) => RefusalKind::Busy,
        "Exit" if begins(&NO_SUCH) => RefusalKind::NoSuch,
        "Exit" => {
            let why = fault.message.strip_prefix(FAILED).map(|rest| rest.trim_start_matches([':', ' ']));
            return Setback::Unreachable(why.unwrap_or(&fault.message).to_owned());
        }
        // Clients would take the one for their own session's end and the other for their own broker's.
        "Exception" if begins(&["session closed"]) => return Setback::Unreachable(fault.message),
        "Restarting" => return Setback::Restarting,
        "Exception" => RefusalKind::Exception,
        other => RefusalKind::Driver(other.to_owned()),
    };
    Setback::Refused(Refusal { kind, message: fault.message, details: fault.details })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_one_group_after_the_other_names_the_group() {
        let busy = || LineError::Fault(Fault::new("Exit", "all such equipment busy: {}"));
        let Setback::Refused(refusal) = setback(of_group(busy(), 1, 3)) else { panic!("a refusal") };
        assert_eq!((refusal.kind.clone(), refusal.group()), (RefusalKind::Busy, Some(1)));
        let Setback::Refused(refusal) = setback(of_group(busy(), 0, 1)) else { panic!("a refusal") };
        assert_eq!(refusal.group(), None, "there is no other");
    }

    #[test]
    fn an_endless_refusal_is_cut_short() {
        let message = "é".repeat(REFUSAL_BYTES_MAX);
        let mut fault = Fault::new("RunError", message);
        fault.details.insert("out".to_owned(), Value::List(vec![Value::Null; REFUSAL_WEIGHT_MAX]));
        let Setback::Refused(refusal) = setback(LineError::Fault(fault)) else { panic!("a refusal") };
        assert_eq!((refusal.kind, refusal.details.len()), (RefusalKind::Exception, 0));
        assert_eq!(refusal.message.len(), REFUSAL_BYTES_MAX);
    }
}
