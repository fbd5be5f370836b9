//! Phones that hang on the relays of a board.

use std::fs::File;
use std::io::Write;

use ave_simulated::{AdbServer, Bench, Phone, UsbTree};

use super::desk::wait_until;

#[test]
fn a_relay_is_the_supply_of_a_phone() {
    let (server, folder) = (AdbServer::start().unwrap(), tempfile::tempdir().unwrap());
    let tree = UsbTree::new(folder.path()).unwrap();
    let phones = vec![Phone::builder(), Phone::builder()];
    let bench = Bench::new(&tree, server.address(), "00099001", phones).unwrap();
    let [first, second] = [0, 1].map(|n| bench.phones[n].serial());
    let mut line = File::options().write(true).open(tree.nodes().join("ttyACM0")).unwrap();
    let attached = |phone: &str| {
        let devices = server.ask("host:devices").unwrap();
        let found = devices.lines().any(|line| line == format!("{phone}\tdevice"));
        (found, tree.devices().join(if phone == first { "1-2.1" } else { "1-2.2" }).exists())
    };
    // A phone is plugged in when it is made: its link may be seen for a moment.
    wait_until(|| attached(&first), |found| *found == (false, false));
    line.write_all(&[0x64]).unwrap();
    wait_until(|| (attached(&first), attached(&second)), |found| *found == ((true, true), (true, true)));
    line.write_all(&[0x6f]).unwrap();
    wait_until(|| (attached(&first), attached(&second)), |found| *found == ((false, false), (true, true)));
    line.write_all(&[0x65]).unwrap();
    wait_until(|| attached(&first), |found| *found == (true, true));
}
