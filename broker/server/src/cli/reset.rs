//! `--reset`: has a piece that could not be closed made fit again, and waits until that is done.

use ave_profile::{Identity, KindTable, Profile, Value};
use ave_protocol::arguments::Arguments;

use super::ask::{ANSWER_LIMIT, Question};
use super::{ExitCode, Failure, Outcome, answer, misused};
use crate::config::{Paths, Types};
use crate::limits::RESET_GIVE_UP;

/// Resets the piece `named` as `TYPE=IDENTITY`.
pub(super) fn reset(paths: &Paths, named: &str, admin: Option<&str>) -> Outcome {
    let (item, profile) = piece(Types::load(paths).kinds(), named)?;
    let arguments = Arguments::positional([profile]);
    let limit = RESET_GIVE_UP + ANSWER_LIMIT;
    Question { doing: "reset", call: "reset_equipment", arguments, limit }.ask(paths, admin)?;
    answer(format_args!("{item} is reset"))
}

fn piece(kinds: &KindTable, named: &str) -> Result<(Identity, Profile), Failure> {
    let wrong = |why: &str| misused(ExitCode::Failure, format_args!("--reset {named}: {why}"));
    let (kind, value) = named.split_once('=').ok_or_else(|| wrong("wanted TYPE=IDENTITY"))?;
    let kind = kinds.get(kind).ok_or_else(|| wrong("no such type"))?;
    let members =
        [("type".to_owned(), Value::from(&*kind.name)), (kind.identity.clone(), Value::from(value))];
    Ok((Identity::new(&kind.name, value), Profile(members.into())))
}
