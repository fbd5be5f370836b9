//! What the broker is doing, in words for the person on call. No key is ever among them.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use ave_core::Allocator;
use ave_profile::Address;
use tokio::time::timeout;

use crate::journal;
use crate::site::Site;

/// How long the hub may take to say how it is. One that takes longer is the finding.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Counts, and who holds what.
pub(crate) async fn describe(site: Arc<Site>) -> String {
    let look = site.hub.look(|core| {
        let counts = [
            ("Equipment", core.equipment(None, None).len()),
            ("Available", core.available(None).len()),
            ("Collateral", core.collateral(None).len()),
            ("Stacks", core.stacks().len()),
        ];
        let pieces = |share: Address| {
            let pieces = core.equipment(None, Some(&Allocator::Share(share.clone()))).len();
            (share, pieces)
        };
        let shares: Vec<_> = core.shares().into_iter().map(pieces).collect();
        (counts, core.allocations(None), shares, journal::fingerprint(core))
    });
    let Ok(Ok((counts, allocations, shares, fingerprint))) = timeout(LOOK_LIMIT, look).await else {
        return "the hub does not answer\n".to_owned();
    };
    let mut text = String::new();
    for (name, count) in counts {
        let _ = writeln!(text, "{name}:\t{count}"); // a string takes everything
    }
    let _ = writeln!(text, "Fingerprint:\t{fingerprint}");
    let _ = writeln!(text, "Allocated:\t{}", allocations.len());
    for profile in allocations {
        if let Some(item) = site.kinds.identity(&profile) {
            let _ = writeln!(text, "\t{item}");
        }
    }
    let _ = writeln!(text, "Shares:\t{}", shares.len());
    for (share, pieces) in shares {
        let _ = writeln!(text, "\t{share}\t{pieces}");
    }
    text
}
