//! What the naive broker expects of the core, and how the core's effects are held against it.

use ave_core::{Effect, Granted};
use ave_profile::{Identity, Profile, Refusal, RequestId, SessionId, Value};

use crate::brute::Reason;

/// An effect, as far as the specification fixes it.
#[derive(Debug)]
pub(crate) enum Expected {
    Grant {
        session: SessionId,
        request: RequestId,
        groups: Vec<Vec<Piece>>,
    },
    /// With any of these reasons.
    Refuse {
        session: SessionId,
        request: RequestId,
        reasons: Vec<Reason>,
    },
    Yielded {
        session: SessionId,
        request: RequestId,
        outcome: Result<Vec<Profile>, Reason>,
    },
    Close {
        session: SessionId,
        items: Vec<Identity>,
    },
    End {
        session: SessionId,
        items: Vec<Identity>,
    },
    Reset {
        item: Identity,
        known: Profile,
        request: Option<RequestId>,
    },
    ResetAnswered {
        request: RequestId,
        outcome: Result<(), Reason>,
    },
    Reported {
        request: RequestId,
        outcome: Result<(), Reason>,
    },
}

/// A granted piece.
#[derive(Debug)]
pub(crate) enum Piece {
    Known {
        item: Identity,
        shown: Profile,
        known: Profile,
        again: bool,
    },
    /// A new workspace, whose name only the core knows.
    New {
        generic: Profile,
    },
}

impl Expected {
    /// Whether this is the effect that was expected.
    pub(crate) fn is(&self, effect: &Effect) -> bool {
        match (self, effect) {
            (
                Expected::Grant { session, request, groups },
                Effect::Grant { session: s, request: r, groups: g },
            ) => {
                let same = |(a, b): (&Vec<Piece>, &Vec<Granted>)| {
                    a.len() == b.len() && a.iter().zip(b).all(|(piece, granted)| piece.is(granted))
                };
                (session, request) == (s, r) && groups.len() == g.len() && groups.iter().zip(g).all(same)
            }
            (
                Expected::Refuse { session, request, reasons },
                Effect::Refuse { session: s, request: r, refusal },
            ) => (session, request) == (s, r) && reasons.iter().any(|reason| is(reason, refusal)),
            (
                Expected::Yielded { session, request, outcome },
                Effect::Yielded { session: s, request: r, outcome: o },
            ) => (session, request) == (s, r) && same(outcome, o),
            (Expected::Close { session, items }, Effect::Close { session: s, items: i }) => {
                (session, items) == (s, i)
            }
            (Expected::End { session, items }, Effect::End { session: s, items: i }) => {
                (session, items) == (s, i)
            }
            (Expected::Reset { item, known, request }, Effect::Reset { item: i, known: k, request: r }) => {
                (item, known, request) == (i, &**k, r)
            }
            (
                Expected::ResetAnswered { request, outcome },
                Effect::ResetAnswered { request: r, outcome: o },
            ) => request == r && same(outcome, o),
            (Expected::Reported { request, outcome }, Effect::Reported { request: r, outcome: o }) => {
                request == r && same(outcome, o)
            }
            _ => false,
        }
    }
}

impl Piece {
    fn is(&self, granted: &Granted) -> bool {
        match self {
            Piece::Known { item, shown, known, again } => {
                (item, again) == (&granted.item, &granted.again)
                    && (shown, known) == (&*granted.profile, &*granted.known)
            }
            Piece::New { generic } => {
                let uid = &*granted.item.value;
                let mut wanted = generic.clone();
                wanted.0.insert("uid".into(), uid.into());
                let prefix = generic.get("pretty").and_then(Value::as_str).map(|pretty| format!("{pretty}-"));
                let digits = uid.strip_prefix(prefix.unwrap_or_default().as_str()).unwrap_or_default();
                let named = digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
                named && !granted.again && wanted == *granted.profile && wanted == *granted.known
            }
        }
    }
}

fn is(reason: &Reason, refusal: &Refusal) -> bool {
    reason.0 == refusal.kind && refusal.message.starts_with(reason.1)
}

fn same<T: PartialEq>(expected: &Result<T, Reason>, found: &Result<T, Refusal>) -> bool {
    match (expected, found) {
        (Ok(expected), Ok(found)) => expected == found,
        (Err(reason), Err(refusal)) => is(reason, refusal),
        _ => false,
    }
}
