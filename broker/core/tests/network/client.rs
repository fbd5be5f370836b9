//! Test scripts: each gets, holds, gives back and leaves at one broker, as chance has it.

use std::collections::BTreeMap;

use ave_core::{Door, Event};
use ave_profile::{Identity, Profile, Refusal, RefusalKind, SessionId, Want};

use crate::agenda::{Happening, MILLISECOND, SECOND, SiteId};
use crate::books::Asker;
use crate::session::Answer;
use crate::site::Pid;
use crate::world::World;

#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) site: SiteId,
    /// The process its connection has led it to, if it has a session.
    pub(crate) pid: Pid,
    pub(crate) session: Option<SessionId>,
    pub(crate) waiting: bool,
    /// What it asked for last.
    pub(crate) wants: Want,
    /// What it has, as it was shown.
    pub(crate) holds: BTreeMap<Identity, Profile>,
    /// Why it was refused what it asked for last, if it was.
    pub(crate) refused: Option<RefusalKind>,
    /// How much it has still to do.
    pub(crate) deeds: u64,
}

impl World {
    /// A client does the next thing.
    pub(crate) fn acts(&mut self, nth: usize) {
        let site = self.clients[nth].site;
        if self.clients[nth].deeds == 0 {
            return;
        }
        let pause = if self.dice.percent(60) {
            self.dice.among(1..50 * MILLISECOND)
        } else {
            self.dice.among(1..6 * SECOND)
        };
        self.agenda.enter(pause, None, Happening::Acts(nth));
        if self.clients[nth].session.is_none() && self.serving(site).is_none() {
            return;
        }
        self.clients[nth].deeds -= 1;
        let deed = self.dice.among(0..100);
        if self.clients[nth].waiting {
            if deed < 15 {
                self.seen.mark("a client left before it was answered", true);
                self.leaves(nth);
            }
        } else if self.clients[nth].session.is_none() || deed < 55 {
            let want = self.want();
            self.gets(nth, want);
        } else if deed < 85 {
            self.gives_back(nth);
        } else {
            self.leaves(nth);
        }
    }

    pub(crate) fn gets(&mut self, nth: usize, wants: Want) {
        let site = self.clients[nth].site;
        if self.clients[nth].session.is_none() {
            let Some(pid) = self.serving(site) else { return };
            self.clients[nth].pid = pid;
            self.clients[nth].session = Some(self.open_session(pid, Asker::Client(nth)));
        }
        let Client { pid, session: Some(session), .. } = self.clients[nth] else { return };
        let crossed = self.clients.iter().any(|other| other.waiting && cross(&wants, &other.wants));
        let crossing = "two clients wanted the same two pieces of two sites the other way round";
        self.seen.mark(crossing, crossed);
        let want = Ok(wants.clone());
        self.clients[nth].wants = wants;
        self.clients[nth].waiting = true;
        let request = self.books.asked(pid, Asker::Client(nth));
        let nonce = self.dice.number();
        self.say(pid, Event::Asked { session, request, want, nonce, via: Vec::new() });
    }

    /// At the broker, then at the session; or at once at the session.
    fn gives_back(&mut self, nth: usize) {
        let held: Vec<&Profile> = self.clients[nth].holds.values().collect();
        if held.is_empty() {
            return;
        }
        let profiles = if self.dice.percent(50) {
            held.into_iter().cloned().collect()
        } else {
            vec![held[self.dice.index(held.len())].clone()]
        };
        let door = if self.dice.percent(80) { Door::Broker } else { Door::Session };
        for profile in &profiles {
            let item = self.kinds.identity(profile);
            self.clients[nth].holds.retain(|held, _| Some(held) != item.as_ref());
        }
        self.yields(nth, door, profiles);
    }

    fn yields(&mut self, nth: usize, door: Door, profiles: Vec<Profile>) {
        let Client { pid, session: Some(session), .. } = self.clients[nth] else { return };
        self.clients[nth].waiting = true;
        let request = self.books.asked(pid, Asker::Client(nth));
        self.say(pid, Event::Yielded { session, request, door, profiles });
    }

    /// The script ends, or is killed.
    pub(crate) fn leaves(&mut self, nth: usize) {
        let Client { pid, session: Some(session), .. } = self.clients[nth] else { return };
        self.forgets(nth);
        self.say(pid, Event::SessionEnded { session });
    }

    /// Its broker, or its session, is gone.
    pub(crate) fn forgets(&mut self, nth: usize) {
        self.books.nobody_waits(Asker::Client(nth));
        let client = &mut self.clients[nth];
        (client.session, client.waiting) = (None, false);
        client.holds.clear();
    }

    /// The session is over; what was to be answered has been.
    pub(crate) fn client_is_cut(&mut self, nth: usize, session: SessionId) {
        if self.clients[nth].session == Some(session) {
            self.seen.mark("a client lost its session", true);
            self.forgets(nth);
        }
    }

    pub(crate) fn client_hears(&mut self, nth: usize, answer: Answer) {
        let client = &mut self.clients[nth];
        client.waiting = false;
        match answer {
            Answer::Got(groups) => {
                for profile in groups.into_iter().flatten() {
                    let item = self.kinds.identity(&profile).expect("what is lent has a name");
                    self.clients[nth].holds.insert(item, profile);
                }
            }
            Answer::GaveBack(profiles) => {
                if !profiles.is_empty() && self.dice.percent(90) {
                    self.yields(nth, Door::Session, profiles);
                }
            }
            Answer::Refused(refusal) => {
                self.clients[nth].refused = Some(refusal.kind.clone());
                self.seen.mark(refused(&refusal), true);
            }
        }
    }
}

/// Whether two want the same two groups in opposite order, of two different sites.
fn cross(one: &Want, other: &Want) -> bool {
    let site = |group: &Vec<Profile>| {
        let named = group[0].get("serial").or(group[0].get("uid"));
        named.and_then(|value| value.as_str()).and_then(|value| value.chars().next())
    };
    let [first, second] = &one.groups[..] else { return false };
    other.groups[..] == [second.clone(), first.clone()]
        && site(first).zip(site(second)).is_some_and(|(first, second)| first != second)
}

fn refused(refusal: &Refusal) -> &'static str {
    match refusal.kind {
        RefusalKind::Busy => "a client was told Busy",
        RefusalKind::NoSuch => "a client was told NoSuch",
        _ => "a client was told something else",
    }
}
