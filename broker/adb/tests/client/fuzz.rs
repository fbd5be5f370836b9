//! Good answers with a few bytes changed: every call comes back, with an answer or an error, and nothing panics.

use std::ops::ControlFlow;

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;
use ave_adb::Server;
use tokio::runtime;

use crate::script::against;

const MOMENT_MS: u64 = 1000;

const SEEDS: [&[u8]; 9] = [
    b"OKAY00040029",
    b"OKAY0023CB5A\tdevice\n127.0.0.1:5555\toffline\n",
    b"OKAY001fCB5A tcp:49152 localabstract:x\n",
    b"OKAYOKAY000549152",
    b"OKAY000cCB5A\tdevice\n0000000dCB5A\toffline\n",
    b"OKAYOKAYSTAT\xa4\x81\0\0\x05\0\0\0\x07\0\0\0",
    b"OKAYOKAYDENT\xedA\0\0\x05\0\0\0\x07\0\0\0\x02\0\0\0..DONE",
    b"OKAYOKAYDATA\x03\0\0\0abcDATA\x02\0\0\0deDONE",
    b"OKAYOKAYFAIL\x04\0\0\0gone",
];

#[test]
fn no_answer_makes_a_call_panic_or_hang() {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let target = folder.path().join("file");
    arbtest(|u| {
        let answer = mutated(u)?;
        let call = u.int_in_range(0..=7)?;
        runtime.block_on(against(&[&answer], async |s: Server| {
            let device = s.device("x");
            match call {
                0 => drop(s.version().await),
                1 => drop(s.devices().await),
                2 => drop(s.forwards().await),
                3 => drop(device.forward("tcp:1").await),
                4 => drop(device.stat("/a").await),
                5 => drop(device.list("/a").await),
                6 => drop(device.pull("/a", &target).await),
                _ => {
                    let Ok(mut tracker) = s.track().await else { return };
                    while tracker.next().await.is_ok() {}
                }
            }
        }));
        Ok(())
    })
    .budget_ms(MOMENT_MS);
}

fn mutated(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut answer = if u.ratio(1, 8)? { u.arbitrary()? } else { u.choose(&SEEDS)?.to_vec() };
    u.arbitrary_loop(Some(0), Some(4), |u| {
        let at = u.int_in_range(0..=answer.len())?;
        match u.int_in_range(0..=2)? {
            0 => answer.truncate(at),
            1 => answer.insert(at, u.arbitrary()?),
            _ if at < answer.len() => answer[at] = u.arbitrary()?,
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(answer)
}
