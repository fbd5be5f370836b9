//! What a host may run out of: descriptors, disk, processes. It is reported, survived, and nothing is lent
//! wrongly; once there is enough again, everything works again.

use serde_json::json;

use crate::support::{Lab, Peer, any, only, raised, wait_until};

#[test]
fn without_descriptors_nothing_is_lent_wrongly_and_nobody_is_lost() {
    let lab = Lab::having(&["h1"]).start();
    let mut holder = lab.client();
    let got = holder.get(json!([any("workspace"), only("h1")]));
    let workspace = got["resources"][0].clone();
    let mut proxy = Peer::session_of(&got);
    proxy.result_on(&workspace, "run", json!([["true"]]));
    let mut wanting = lab.client();
    wanting.result("get_version", json!([]));
    let mut admin = lab.admin();
    let plenty = lab.descriptors() + 100;
    lab.limit_descriptors(3);

    let (kind, message) = raised(&proxy.call_on(&workspace, "run", json!([["true"]])));
    assert!(kind == "RunError" && message.contains("Too many open files"), "{kind}: {message}");
    let (_, message) = wanting.get_refused(json!([any("workspace")]));
    assert!(message.contains("Too many open files"), "{message}");
    let held = admin.result("list_allocations_all", json!([]));
    assert_eq!(held.as_array().map(Vec::len), Some(2), "what was held is held: {held}");
    let address = lab.address();
    let late = std::thread::spawn(move || Peer::connect(address, "").result("get_version", json!([])));
    wait_until("it has tried to accept again and again", || lab.log().matches("not accepted").count() > 3);

    lab.limit_descriptors(plenty);
    assert_eq!(late.join().expect("an answer"), 1, "who came meanwhile is served");
    proxy.result_on(&workspace, "run", json!([["true"]]));
    let mut client = lab.client();
    client.get(json!([any("workspace")]));
    client.close();
    holder.close();
    lab.wait_available(&["h1"]);
    let log = lab.stop();
    assert_eq!(
        log.matches("cannot accept connections").count(),
        1,
        "told once, however often it was tried: {log}"
    );
}
