//! How a history is written, so that a failing one can be read.

use std::fmt;

use crate::history::{Ask, Back, History, Piece, Sighting, Step};

/// One line for each step.
impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        self.lab.iter().chain(&self.steps).try_for_each(|step| writeln!(f, "  {step:?}"))
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let old = |stale: &bool| if *stale { " (whatever became of it)" } else { "" };
        match self {
            Step::Get { client, stale, groups } => write!(f, "client {client}{} gets {groups:?}", old(stale)),
            Step::GetNonsense { client } => write!(f, "client {client} gets something unreadable"),
            Step::Yield { client, stale, door, back } => {
                write!(f, "client {client}{} yields {back:?} at the {door:?}", old(stale))
            }
            Step::Leave { client } => write!(f, "client {client} leaves"),
            Step::Close { order, well: true } => write!(f, "order {order} is closed"),
            Step::Close { order, well: false } => write!(f, "order {order} cannot be closed"),
            Step::CloseAll => write!(f, "all orders are closed"),
            Step::StrayClosed { client, piece } => {
                write!(f, "stray word: {piece:?} of client {client} is closed")
            }
            Step::Reset { what } => write!(f, "{what:?} is to be reset"),
            Step::ResetBroken { nth } => write!(f, "broken piece {nth} is to be reset"),
            Step::Mended { order, well: true } => write!(f, "reset {order} is done"),
            Step::Mended { order, well: false } => write!(f, "reset {order} does not help"),
            Step::Wait { s } => write!(f, "{s} s pass"),
            Step::StrayMended { piece } => write!(f, "stray word: {piece:?} is reset"),
            Step::Report { source, seen, bad } => {
                write!(f, "{source:?} reports {seen:?}{}", if *bad { " and nonsense" } else { "" })
            }
            Step::Vanish { source, pieces } => write!(f, "{source:?} misses {pieces:?}"),
            Step::Stacks(stacks) => write!(f, "stacks are {stacks:?}"),
            Step::Host(None) => write!(f, "no workspaces here"),
            Step::Host(Some(pretty)) => write!(f, "workspaces are made by {pretty:?}"),
        }
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.identity())
    }
}

impl fmt::Debug for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.ready { "" } else { " offline" };
        write!(f, "{:?} {}{state}", self.piece, self.says)
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Any(kind) => write!(f, "{kind}"),
            Ask::With(kind, words) => write!(f, "{kind} {words}"),
            Ask::Offline(kind) => write!(f, "{kind} offline"),
            Ask::Exact(piece) => write!(f, "{piece:?}"),
            Ask::Workspace => write!(f, "workspace"),
            Ask::WorkspaceWith(tool) => write!(f, "workspace with {tool}"),
            Ask::WorkspaceAgain(n) => write!(f, "workspace no. {n}"),
            Ask::UnknownType => write!(f, "toaster"),
        }
    }
}

impl fmt::Debug for Back {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Back::Piece(piece) => write!(f, "{piece:?}"),
            Back::Workspace(n) => write!(f, "workspace no. {n}"),
            Back::Nameless => write!(f, "nothing with a name"),
        }
    }
}
