//! How equipment is shared: the notifier of a share, and the master's side of its connection. Both do what
//! the broker's own edges do: whole lists at first, then only what has changed, one report after the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use ave_core::{Event, News, Report, Revision, SharedPiece, Toward};
use ave_profile::{BrokerId, LinkId, RequestId};

use crate::agenda::{Happening, MILLISECOND, Micros, SECOND, SiteId};
use crate::books::Asker;
use crate::plan::{Remote, address};
use crate::site::{Broker, Pid};
use crate::wire::{End, Message, Role, WireId};
use crate::world::World;

/// The least time between two reports.
const REPORT_EVERY: Micros = 100 * MILLISECOND;

/// How long a master may take to accept a connection.
const DIAL_LIMIT: Micros = 5 * SECOND;

const PAUSE_MIN: Micros = SECOND;
const PAUSE_MAX: Micros = 16 * SECOND;

/// Few, so that most reports come in several parts, at both ends.
const PIECES_MAX: usize = 2;

/// A share that reports over one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker {
    pub(crate) share: SiteId,
    pub(crate) link: LinkId,
    pub(crate) broker: Option<BrokerId>,
}

/// A share's memory of what it told its master.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    /// An administrator wants no sharing.
    pub(crate) stopped: bool,
    wire: Option<WireId>,
    /// The master and whether it has a name, once it has answered.
    master: Option<Option<BrokerId>>,
    /// How far it has told, if it has told anything over this connection.
    told: Option<Revision>,
    /// What the core had come to when all of it was told.
    seen: Option<Revision>,
    /// What is on its way.
    telling: Option<News>,
    /// When the next report may go.
    next: Micros,
    planned: bool,
    pause: Micros,
}

impl Notifier {
    /// One that says nothing any more.
    pub(crate) fn stopped() -> Notifier {
        Notifier { stopped: true, ..Notifier::default() }
    }
}

impl World {
    /// Whom a broker shares with.
    pub(crate) fn master_of(&self, pid: Pid) -> Option<SiteId> {
        match self.brokers[pid].plan.remote {
            Remote::Share(master) if !self.brokers[pid].notifier.stopped => Some(master),
            _ => None,
        }
    }

    pub(crate) fn notifier_dials(&mut self, pid: Pid) {
        let Some(master) = self.master_of(pid) else { return };
        if self.brokers[pid].notifier.wire.is_some() {
            return;
        }
        let wire = self.dial(pid, master, Role::Notifier);
        self.brokers[pid].notifier.wire = Some(wire);
        self.later(pid, DIAL_LIMIT, Happening::NotifierTooLate(wire));
    }

    pub(crate) fn notifier_too_late(&mut self, pid: Pid, wire: WireId) {
        let notifier = &self.brokers[pid].notifier;
        if notifier.wire == Some(wire) && notifier.master.is_none() {
            self.hang_up(wire, End::Dialer);
            self.notifier_is_lost(pid);
        }
    }

    pub(crate) fn notifier_is_lost(&mut self, pid: Pid) {
        let notifier = &mut self.brokers[pid].notifier;
        notifier.wire = None;
        notifier.telling = None;
        let pause = notifier.pause.clamp(PAUSE_MIN, PAUSE_MAX);
        notifier.pause = if notifier.master.take().is_some() { PAUSE_MIN } else { pause * 2 };
        self.later(pid, pause, Happening::NotifierDials);
    }

    /// An administrator stops sharing, or starts it.
    pub(crate) fn set_sharing(&mut self, pid: Pid, on: bool) {
        self.brokers[pid].notifier.stopped = !on;
        if on {
            self.later(pid, 0, Happening::NotifierDials);
        } else if let Some(wire) = self.brokers[pid].notifier.wire {
            self.hang_up(wire, End::Dialer);
            self.notifier_is_lost(pid);
        }
    }

    pub(crate) fn notifier_hears(&mut self, pid: Pid, message: Message) {
        let now = self.agenda.now;
        let notifier = &mut self.brokers[pid].notifier;
        match message {
            Message::Welcome(master) => {
                notifier.master = Some(master);
                (notifier.told, notifier.seen) = (None, None);
                notifier.next = now;
            }
            Message::Noted => {
                let told = notifier.telling.take().expect("a report is noted once");
                notifier.told = Some(told.upto);
                notifier.next = if told.more { now } else { notifier.next };
            }
            message => panic!("not what a master says: {message:?}"),
        }
        self.report(pid);
    }

    /// Something may have changed, or may be said again.
    pub(crate) fn report(&mut self, pid: Pid) {
        let now = self.agenda.now;
        let Broker { notifier, core, plan, .. } = &mut self.brokers[pid];
        let (Remote::Share(address_of), Some(master), None) =
            (&plan.remote, notifier.master, &notifier.telling)
        else {
            return;
        };
        let Some(wire) = notifier.wire.filter(|_| notifier.seen != Some(core.revision())) else { return };
        if now < notifier.next {
            if !std::mem::replace(&mut notifier.planned, true) {
                let after = notifier.next - now;
                self.later(pid, after, Happening::NotifierReports);
            }
            return;
        }
        let toward = Toward { address: Some(address(*address_of)), broker: master };
        let news = if plan.is_original || master.is_none() {
            nameless(core.news(Revision::default(), &toward, usize::MAX))
        } else {
            core.news(notifier.told.unwrap_or_default(), &toward, PIECES_MAX)
        };
        notifier.seen = (!news.more).then(|| core.revision());
        if !news.afresh && news.report == Report::default() {
            notifier.told = Some(news.upto);
            return if news.more {
                self.report(pid)
            };
        }
        notifier.next = now + REPORT_EVERY;
        let message = Message::Update { whole: news.afresh, report: news.report.clone() };
        notifier.telling = Some(news);
        self.send(wire, End::Dialer, message);
    }

    pub(crate) fn may_report(&mut self, pid: Pid) {
        self.brokers[pid].notifier.planned = false;
        self.report(pid);
    }

    /// A share reports. Before a whole list is compared with what is known, the core hears over which
    /// connection the share speaks now: from then on the end of an older one takes nothing away.
    pub(crate) fn share_says(&mut self, pid: Pid, wire: WireId, of: Speaker, message: Message) {
        let Message::Update { whole, report } = message else { panic!("not what a share says: {message:?}") };
        let request = self.books.asked(pid, Asker::Wire(wire));
        if whole {
            self.say(pid, shared(of, Report::default(), None));
            self.later(pid, self.brokers[pid].plan.inbox, Happening::Compared { of, report, request });
        } else {
            self.tell_in_parts(pid, of, report, request);
        }
    }

    /// A whole list is compared with what is known.
    pub(crate) fn compared(&mut self, pid: Pid, of: Speaker, mut report: Report, request: RequestId) {
        let known = self.brokers[pid].core.shared_by(&address(of.share));
        self.seen.mark("a whole list met an older one", !known.is_empty());
        let item = |piece: &SharedPiece| self.kinds.identity(&piece.profile);
        let listed: BTreeSet<_> = report.changed.iter().filter_map(item).collect();
        report.gone = known.iter().filter_map(item).filter(|item| !listed.contains(item)).collect();
        report.changed.retain(|piece| !known.contains(piece));
        self.tell_in_parts(pid, of, report, request);
    }

    /// Tells a long report as the edges do, a few pieces at a time.
    fn tell_in_parts(&mut self, pid: Pid, of: Speaker, mut report: Report, request: RequestId) {
        while report.changed.len() > PIECES_MAX {
            let changed = report.changed.drain(..PIECES_MAX).collect();
            self.say(pid, shared(of, Report { changed, ..Report::default() }, None));
        }
        self.say(pid, shared(of, report, Some(request)));
    }

    /// `Effect::Reported`
    pub(crate) fn report_is_noted(&mut self, pid: Pid, request: RequestId) {
        if let Some(Asker::Wire(wire)) = self.books.answered(request) {
            self.note(pid, || format!("notes what wire {wire} brought"));
            self.send(wire, End::Host, Message::Noted);
        }
    }

    /// `Effect::CutLink`
    pub(crate) fn cut_link(&mut self, pid: Pid, link: LinkId) {
        self.seen.mark("a share was dropped", true);
        let wire = link.0 as WireId;
        self.hang_up(wire, End::Host);
        self.say(pid, Event::ShareLost { link });
    }
}

/// What original brokers can say.
fn nameless(mut news: News) -> News {
    news.report.changed.iter_mut().for_each(|piece| piece.origin = Arc::default());
    news
}

/// What the core hears of a share.
fn shared(of: Speaker, report: Report, request: Option<RequestId>) -> Event {
    let Speaker { share, link, broker } = of;
    Event::ShareReported { share: address(share), link, broker, report, request }
}
