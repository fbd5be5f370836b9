//! Random small labs and random things that happen in them.

use ave_core::{Door, Source};
use ave_profile::{Identity, Profile};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

/// Everything that can be plugged in. Two types share an identity value.
const PIECES: [(&str, &str); 15] = [
    ("handset", "A"),
    ("handset", "B"),
    ("handset", "C"),
    ("handset", "D"),
    ("handset", "E"),
    ("handset", "F"),
    ("handset", "G"),
    ("handset", "H"),
    ("relay", "r"),
    ("relay", "s"),
    ("relay", "t"),
    ("wlan", "r"),
    ("camera", "c"),
    ("camera", "d"),
    ("net", "n"),
];

/// What pieces say of themselves, besides identity and power state.
const SAID: [&str; 9] = [
    r#"{}"#,
    r#"{"pretty": "jane"}"#,
    r#"{"pretty": "mary"}"#,
    r#"{"pretty": "jane", "size": 1}"#,
    r#"{"pretty": "mary", "size": 1.0}"#,
    r#"{"size": true}"#,
    r#"{"size": "1"}"#,
    r#"{"circuits": {"usb": 1, "battery": 2}}"#,
    r#"{"circuits": ["usb"]}"#,
];

/// What clients ask for, besides type and identity.
const ASKED: [&str; 14] = [
    r#"{"pretty": "jane"}"#,
    r#"{"pretty": "jane"}"#,
    r#"{"pretty": "mary"}"#,
    r#"{"pretty": null}"#,
    r#"{"size": 1}"#,
    r#"{"size": 1.0, "pretty": "jane"}"#,
    r#"{"circuits": ["usb"]}"#,
    r#"{"circuits": {"battery": 7}}"#,
    r#"{"circuits": []}"#,
    r#"{"circuits": "usb"}"#,
    r#"{"size": [true, 1]}"#,
    r#"{"size": ["1", 2], "note": "mine"}"#,
    r#"{"size": []}"#,
    r#"{"note": 1}"#,
];

/// One of [`PIECES`].
#[derive(Clone, Copy)]
pub(crate) struct Piece(usize);

/// A piece in one of the states it can be in.
#[derive(Clone)]
pub(crate) struct Sighting {
    pub(crate) piece: Piece,
    /// One of [`SAID`].
    pub(crate) says: &'static str,
    pub(crate) ready: bool,
}

/// One requested profile.
#[derive(Clone)]
pub(crate) enum Ask {
    Any(&'static str),
    /// A type, and one of [`ASKED`].
    With(&'static str, &'static str),
    Offline(&'static str),
    Exact(Piece),
    Workspace,
    WorkspaceWith(&'static str),
    /// The n-th workspace that was ever made.
    WorkspaceAgain(usize),
    UnknownType,
}

/// What somebody gives back.
#[derive(Clone)]
pub(crate) enum Back {
    Piece(Piece),
    /// The n-th workspace that was ever made.
    Workspace(usize),
    /// A profile without an identity.
    Nameless,
}

/// Something that happens. Clients are places at a table: whoever lost their session gets a new one by
/// the next step that does not say `stale`.
#[derive(Clone)]
pub(crate) enum Step {
    Get {
        client: usize,
        stale: bool,
        groups: Vec<Vec<Ask>>,
    },
    GetNonsense {
        client: usize,
    },
    Yield {
        client: usize,
        stale: bool,
        door: Door,
        back: Vec<Back>,
    },
    Leave {
        client: usize,
    },
    /// The edge has closed the n-th of what it was told to close.
    Close {
        order: usize,
        well: bool,
    },
    CloseAll,
    /// An edge says that something is closed, told to or not.
    StrayClosed {
        client: usize,
        piece: Piece,
    },
    /// Somebody wants a piece reset.
    Reset {
        what: Back,
    },
    /// Somebody wants the n-th of what is broken reset.
    ResetBroken {
        nth: usize,
    },
    /// The edge has reset the n-th of what it was told to reset.
    Mended {
        order: usize,
        well: bool,
    },
    /// Time passes.
    Wait {
        s: u64,
    },
    /// An edge says that something is reset, told to or not.
    StrayMended {
        piece: Piece,
    },
    Report {
        source: Source,
        seen: Vec<Sighting>,
        bad: bool,
    },
    Vanish {
        source: Source,
        pieces: Vec<Piece>,
    },
    Stacks(Vec<Vec<Piece>>),
    Host(Option<&'static str>),
}

/// A lab and what happens in it.
#[derive(Clone)]
pub(crate) struct History {
    pub(crate) lab: Vec<Step>,
    pub(crate) steps: Vec<Step>,
}

impl Piece {
    pub(crate) fn identity(self) -> Identity {
        Identity::new(PIECES[self.0].0, PIECES[self.0].1)
    }

    /// Type and identity, as stacks and yields name it.
    pub(crate) fn short(self) -> Profile {
        let (kind, value) = PIECES[self.0];
        let member = if kind == "handset" { "serial" } else { "uid" };
        Profile::of(json!({"type": kind, member: value}))
    }
}

impl Sighting {
    pub(crate) fn profile(&self) -> Profile {
        let mut profile = self.piece.short();
        let ready = match PIECES[self.piece.0].0 {
            "handset" => "boot_completed",
            _ => "online",
        };
        let state = if self.ready { ready } else { "offline" };
        profile.0.insert("power_state".into(), state.into());
        profile.0.extend(parsed(self.says).0);
        profile
    }
}

impl Ask {
    /// The profile; `workspaces` are the uids of all workspaces so far.
    pub(crate) fn profile(&self, workspaces: &[String]) -> Profile {
        let (kind, criteria) = match self {
            Ask::Exact(piece) => return piece.short(),
            Ask::Any(kind) => (*kind, json!({})),
            Ask::With(kind, words) => (*kind, json!(parsed(words))),
            Ask::Offline(kind) => (*kind, json!({"power_state": "offline"})),
            Ask::Workspace => ("workspace", json!({})),
            Ask::WorkspaceWith(tool) => ("workspace", json!({"tools": [tool]})),
            Ask::WorkspaceAgain(n) => ("workspace", json!({"uid": nth(workspaces, *n)})),
            Ask::UnknownType => ("toaster", json!({})),
        };
        let mut profile = Profile::of(criteria);
        profile.0.insert("type".into(), kind.into());
        profile
    }
}

impl Back {
    pub(crate) fn profile(&self, workspaces: &[String]) -> Profile {
        match self {
            Back::Piece(piece) => piece.short(),
            Back::Workspace(n) => Profile::of(json!({"type": "workspace", "uid": nth(workspaces, *n)})),
            Back::Nameless => Profile::of(json!({"type": "handset"})),
        }
    }
}

fn parsed(words: &str) -> Profile {
    serde_json::from_str(words).expect("words are an object")
}

fn nth(workspaces: &[String], n: usize) -> &str {
    workspaces.get(n % workspaces.len().max(1)).map_or("none-0000000000", String::as_str)
}

/// Any history of a small lab.
pub(crate) fn history() -> impl Strategy<Value = History> {
    let lab = (vec(sighting(), 1..16), stacks(), host());
    let lab = lab.prop_map(|(seen, stacks, host)| {
        vec![Step::Report { source: Source::File, seen, bad: false }, Step::Stacks(stacks), Step::Host(host)]
    });
    (lab, vec(step(), 1..40)).prop_map(|(lab, steps)| History { lab, steps })
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..3usize;
    let stale = || proptest::bool::weighted(0.1);
    let source = || select(vec![Source::File, Source::Lister]);
    prop_oneof![
        12 => (client(), stale(), groups()).prop_map(|(client, stale, groups)| Step::Get { client, stale, groups }),
        1 => client().prop_map(|client| Step::GetNonsense { client }),
        6 => (client(), stale(), select(vec![Door::Broker, Door::Session]), vec(back(), 1..4))
            .prop_map(|(client, stale, door, back)| Step::Yield { client, stale, door, back }),
        1 => client().prop_map(|client| Step::Leave { client }),
        6 => (0..8usize, proptest::bool::weighted(0.7)).prop_map(|(order, well)| Step::Close { order, well }),
        2 => Just(Step::CloseAll),
        1 => (client(), piece()).prop_map(|(client, piece)| Step::StrayClosed { client, piece }),
        1 => prop_oneof![3 => piece().prop_map(Back::Piece), 1 => (0..8usize).prop_map(Back::Workspace)]
            .prop_map(|what| Step::Reset { what }),
        4 => (0..8usize).prop_map(|nth| Step::ResetBroken { nth }),
        4 => (0..8usize, proptest::bool::weighted(0.6)).prop_map(|(order, well)| Step::Mended { order, well }),
        3 => select(vec![1, 9, 10, 20, 600]).prop_map(|s| Step::Wait { s }),
        1 => piece().prop_map(|piece| Step::StrayMended { piece }),
        2 => (source(), vec(sighting(), 1..4), proptest::bool::weighted(0.1))
            .prop_map(|(source, seen, bad)| Step::Report { source, seen, bad }),
        1 => (source(), vec(piece(), 1..4)).prop_map(|(source, pieces)| Step::Vanish { source, pieces }),
        2 => stacks().prop_map(Step::Stacks),
        1 => host().prop_map(Step::Host),
    ]
}

fn piece() -> impl Strategy<Value = Piece> {
    (0..PIECES.len()).prop_map(Piece)
}

fn sighting() -> impl Strategy<Value = Sighting> {
    (piece(), select(SAID.to_vec()), proptest::bool::weighted(0.9))
        .prop_map(|(piece, says, ready)| Sighting { piece, says, ready })
}

fn stacks() -> impl Strategy<Value = Vec<Vec<Piece>>> {
    let stack = proptest::sample::subsequence((0..PIECES.len()).collect::<Vec<_>>(), 1..6);
    vec(stack.prop_shuffle().prop_map(|members| members.into_iter().map(Piece).collect()), 0..6)
}

fn host() -> impl Strategy<Value = Option<&'static str>> {
    select(vec![Some(""), Some("jane"), Some("mary"), None])
}

fn groups() -> impl Strategy<Value = Vec<Vec<Ask>>> {
    // Equal groups and one that is picky: what the first ones take first, the picky one may need.
    let alike = (ask(), 1..3usize, 2..4usize, vec(ask(), 1..3), 0..4usize);
    let alike = alike.prop_map(|(ask, size, times, picky, at)| {
        let mut groups = vec![vec![ask; size]; times];
        groups.insert(at.min(times), picky);
        groups
    });
    prop_oneof![
        3 => vec(vec(ask(), 1..5), 1),
        // What several clients can have at once, so that they do.
        3 => select(vec!["camera", "net"]).prop_map(|kind| vec![vec![Ask::Any(kind)]]),
        2 => vec(vec(ask(), 1..4), 2..4),
        2 => alike,
        1 => vec(vec(ask(), 0..2), 0..4),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let kind = || select(vec!["handset", "handset", "relay", "relay", "wlan", "camera"]);
    prop_oneof![
        80 => kind().prop_map(Ask::Any),
        30 => (kind(), select(ASKED.to_vec())).prop_map(|(kind, words)| Ask::With(kind, words)),
        4 => kind().prop_map(Ask::Offline),
        30 => piece().prop_map(Ask::Exact),
        15 => Just(Ask::Workspace),
        3 => select(vec!["git", "svn"]).prop_map(Ask::WorkspaceWith),
        9 => (0..8usize).prop_map(Ask::WorkspaceAgain),
        1 => Just(Ask::UnknownType),
    ]
}

fn back() -> impl Strategy<Value = Back> {
    prop_oneof![
        12 => piece().prop_map(Back::Piece),
        3 => (0..8usize).prop_map(Back::Workspace),
        1 => Just(Back::Nameless),
    ]
}
