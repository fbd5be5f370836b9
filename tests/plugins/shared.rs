//! One board with several sockets: each is a piece with a driver of its own, and one helper program, which
//! owns the board, serves all of them.

use super::*;

fn board() -> Lab {
    let socket = |uid: &str| json!({"type": "socket", "uid": uid, "board": "b1"});
    let driver = json!({"command": [python(), "./driver.py"]});
    let kind = json!({"type": "socket", "identity": "uid", "driver": driver, "limits": {"open_s": 30}});
    Lab::plan()
        .broker(json!({"open_limit_s": 30}))
        .file("equipment.d/socket.json", kind)
        .file("equipment.d/driver.py", include_str!("board/driver.py"))
        .file("equipment.d/helper.py", include_str!("board/helper.py"))
        .equipment(json!([socket("b1.1"), socket("b1.2"), socket("b1.3")]))
        .start()
}

fn socket(lab: &Lab, uid: &str) -> Held {
    Held::of(lab, json!({"type": "socket", "uid": uid}))
}

#[test]
fn p_13_one_helper_serves_several_drivers_and_ends_with_the_last() {
    let lab = board();
    let (mut first, mut second) = (socket(&lab, "b1.1"), socket(&lab, "b1.2"));
    first.result("switch", json!([true]));
    second.result("switch", json!([false]));
    let state = first.result("state", json!([]));
    assert_eq!(state["board"], json!({"b1.1": true, "b1.2": false}));
    assert_eq!(second.result("state", json!([])), state, "both talk to one helper");
    let helper = i32::try_from(state["helper"].as_i64().expect("a number")).ok().and_then(Pid::from_raw);
    let helper = helper.expect("a process");
    drop(first);
    lab.wait_available(&["b1.1", "b1.3"]);
    assert_eq!(socket(&lab, "b1.3").result("state", json!([])), state, "it outlives one driver");
    drop(second);
    wait_until("it has nothing to do any more", || !runs(helper));
}
