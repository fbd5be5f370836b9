//! `--reset`: has a piece that could not be closed made fit again, and waits until that is done.

use std::time::Duration;

use ave_profile::{Identity, Kind, KindTable, Profile, Value};
use ave_protocol::arguments::Arguments;

use super::ask::{ANSWER_LIMIT, Question};
use super::{ExitCode, Failure, Outcome, answer, misused};
use crate::config::{Paths, Types};
use crate::drivers::plugin;
use crate::limits::RESET_GIVE_UP;

/// Resets the piece `named` as `TYPE=IDENTITY`.
pub(super) fn reset(paths: &Paths, named: &str, admin: Option<&str>) -> Outcome {
    let types = Types::load(paths);
    let (item, profile) = piece(types.kinds(), named)?;
    let arguments = Arguments::positional([profile]);
    let limit = types.kinds().get(&item.kind).map_or(RESET_GIVE_UP, |kind| limit(kind));
    Question { doing: "reset", call: "reset_equipment", arguments, limit }.ask(paths, admin)?;
    answer(format_args!("{item} is reset"))
}

/// For as long as the broker has patience with a piece of this type, and then for its answer.
fn limit(kind: &Kind) -> Duration {
    RESET_GIVE_UP.max(plugin::close_limit(kind)).saturating_add(ANSWER_LIMIT)
}

fn piece(kinds: &KindTable, named: &str) -> Result<(Identity, Profile), Failure> {
    let wrong = |why: &str| misused(ExitCode::Failure, format_args!("--reset {named}: {why}"));
    let (kind, value) = named.split_once('=').ok_or_else(|| wrong("wanted TYPE=IDENTITY"))?;
    let kind = kinds.get(kind).ok_or_else(|| wrong("no such type"))?;
    let members =
        [("type".to_owned(), Value::from(&*kind.name)), (kind.identity.clone(), Value::from(value))];
    Ok((Identity::new(&kind.name, value), Profile(members.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_long_reset_is_waited_for() {
        let limit_of = |limits| {
            let kind = json!({"type": "oven", "identity": "name", "limits": limits});
            limit(&serde_json::from_value(kind).unwrap())
        };
        assert!(limit_of(json!({})) > RESET_GIVE_UP);
        assert!(limit_of(json!({"reset_s": 600})) > Duration::from_secs(600) + ANSWER_LIMIT);
        assert_eq!(limit_of(json!({"reset_s": 0})), Duration::MAX, "no limit is none");
    }
}
