//! The connections over which shares report, as the hub sees them: whether each is still open, and how to
//! cut it. However a connection ends, the hub hears of it exactly once.

use std::collections::HashMap;

use ave_profile::LinkId;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The hub's end of a connection over which shares report.
pub(crate) struct LinkEnd {
    pub(crate) id: LinkId,
    /// Cuts the connection.
    pub(crate) cut: CancellationToken,
    /// Why it ended, if its own end has a word for that; the other half goes with it in any case.
    pub(crate) over: oneshot::Receiver<&'static str>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Links {
    open: HashMap<LinkId, CancellationToken>,
    ends: JoinSet<(LinkId, &'static str)>,
}

impl Links {
    /// A connection begins to report.
    pub(crate) fn open(&mut self, LinkEnd { id, cut, over }: LinkEnd) {
        self.open.insert(id, cut);
        self.ends.spawn(async move { (id, over.await.unwrap_or("its connection has ended")) });
    }

    /// Whether a connection may report: it has neither ended nor been cut.
    pub(crate) fn is_open(&self, link: LinkId) -> bool {
        self.open.contains_key(&link)
    }

    /// Cuts a connection. What it still says is not listened to.
    pub(crate) fn cut(&mut self, link: LinkId) {
        if let Some(cut) = self.open.remove(&link) {
            cut.cancel();
        }
    }

    /// Cuts all of them.
    pub(crate) fn cut_all(&mut self) {
        self.open.drain().for_each(|(_, cut)| cut.cancel());
    }

    /// The next connection that has ended, and why; `None` if there is none that could.
    pub(crate) async fn next(&mut self) -> Option<(LinkId, &'static str)> {
        let (ended, why) = self.ends.join_next().await?.ok()?;
        self.open.remove(&ended);
        Some((ended, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(id: u64) -> (LinkEnd, CancellationToken, oneshot::Sender<&'static str>) {
        let (here, over) = oneshot::channel();
        let cut = CancellationToken::new();
        (LinkEnd { id: LinkId(id), cut: cut.clone(), over }, cut, here)
    }

    #[tokio::test]
    async fn every_connection_ends_exactly_once() {
        let mut links = Links::default();
        let ((first, cut, here), (second, kept, there)) = (link(1), link(2));
        links.open(first);
        links.open(second);
        links.cut(LinkId(1));
        assert!(cut.is_cancelled() && !links.is_open(LinkId(1)));
        drop(here);
        assert_eq!(links.next().await, Some((LinkId(1), "its connection has ended")));
        assert!(!kept.is_cancelled() && links.is_open(LinkId(2)));
        there.send("silent").unwrap();
        assert_eq!(links.next().await, Some((LinkId(2), "silent")));
        assert!(!links.is_open(LinkId(2)));
        assert_eq!(links.next().await, None);
    }
}
