//! The two ways to tell a master what there is: changes only, or, to one of the original kind, everything.

use std::sync::Arc;

use ave_core::News;
use ave_profile::{Profile, Value};

use super::picture::Picture;
use super::update::Update;

/// One call at a master.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) arguments: Vec<Value>,
}

impl Call {
    pub(super) fn new(method: &'static str, arguments: impl Into<Vec<Value>>) -> Call {
        Call { method, arguments: arguments.into() }
    }
}

/// How one master is told, and what it is still to be told over this connection.
#[derive(Debug)]
pub(super) enum Dialect {
    /// Of our own kind.
    Ours(Update),
    /// Of the original kind, or an older one of ours.
    Original(Picture),
}

impl Dialect {
    /// Takes note of news. Returns whether the next report has room for more.
    pub(super) fn hear(&mut self, news: News) -> bool {
        match self {
            Dialect::Ours(update) => {
                if news.afresh {
                    update.begin_anew();
                }
                update.hear(news.report);
                !update.is_full()
            }
            Dialect::Original(picture) => {
                if news.afresh {
                    picture.begin_anew();
                }
                picture.hear(news.report);
                true
            }
        }
    }

    /// The next calls that tell what has been heard, in their order; none when all of it is told. `from` is this
    /// broker's address.
    pub(super) fn calls(&mut self, from: &Value) -> Vec<Call> {
        match self {
            Dialect::Ours(update) => Vec::from_iter(update.calls(from)),
            Dialect::Original(picture) => picture.calls(from),
        }
    }
}

/// Profiles as they travel.
pub(super) fn listed<'p>(profiles: impl IntoIterator<Item = &'p Arc<Profile>>) -> Value {
    Value::List(profiles.into_iter().map(|profile| Profile::clone(profile).into()).collect())
}

#[cfg(test)]
mod tests {
    use ave_core::{Origin, Report, Revision, SharedPiece, Taken};
    use ave_profile::{Address, BrokerId, Identity, KindTable, Map};
    use ave_protocol::arguments::Arguments;
    use ave_protocol::limits::Limits;
    use ave_protocol::message::{Encoding, Envelope, Request};
    use bytes::BytesMut;
    use serde_json::json;

    use crate::peers::limits::PIECE_WEIGHT_MAX;

    use super::*;

    fn profile(json: serde_json::Value) -> Arc<Profile> {
        Arc::new(Profile::of(json))
    }

    fn piece(json: serde_json::Value) -> SharedPiece {
        SharedPiece { profile: profile(json), taken: Vec::new(), origin: Arc::default() }
    }

    fn wlan(uid: &str, room: i64) -> SharedPiece {
        piece(json!({"type": "wlan", "uid": uid, "room": room}))
    }

    fn taken<const N: usize>(piece: SharedPiece, collateral: [serde_json::Value; N]) -> SharedPiece {
        let collateral = collateral.map(profile).into();
        let taken = Taken { profile: piece.profile.clone(), collateral };
        SharedPiece { taken: vec![taken], ..piece }
    }

    fn changed(changed: impl Into<Vec<SharedPiece>>) -> Report {
        Report { changed: changed.into(), ..Report::default() }
    }

    fn gone(kind: &str, value: &str) -> Report {
        Report { gone: vec![Identity::new(kind, value)], ..Report::default() }
    }

    fn stacks(stacks: &[&[serde_json::Value]]) -> Report {
        let stack = |stack: &&[serde_json::Value]| stack.iter().cloned().map(profile).collect();
        Report { stacks: Some(stacks.iter().map(stack).collect()), ..Report::default() }
    }

    fn workspace(workspace: Option<serde_json::Value>) -> Report {
        Report { workspace: Some(workspace.map(Profile::of)), ..Report::default() }
    }

    fn original() -> Dialect {
        Dialect::Original(Picture::new())
    }

    fn ours() -> Dialect {
        Dialect::Ours(Update::new(KindTable::builtin()))
    }

    /// What is told after these reports: methods and arguments, without the address.
    fn told(dialect: &mut Dialect, reports: impl IntoIterator<Item = Report>) -> serde_json::Value {
        for report in reports {
            let news = News { upto: Revision::default(), more: false, afresh: false, report };
            assert!(dialect.hear(news), "there is room");
        }
        let from = Value::from(vec!["slave1".into(), Value::Int(4000)]);
        let calls = dialect.calls(&from).into_iter().map(|Call { method, mut arguments }| {
            assert_eq!(arguments.remove(0), from);
            Value::from(vec![method.into(), Value::List(arguments)])
        });
        serde_json::to_value(Value::List(calls.collect())).unwrap()
    }

    #[test]
    fn an_original_master_is_told_what_c_5_shows_170() {
        let h1 = json!({"type": "handset", "serial": "h1", "power_state": "boot_completed"});
        let r1 =
            json!({"type": "relay", "uid": "r1", "circuits": {"usb.pc.vcc": 1}, "power_state": "online"});
        let short = json!({"type": "relay", "uid": "r1"});
        let stack = [json!({"type": "handset", "serial": "h1"}), short.clone()];
        let w = json!({"type": "workspace", "uid": "slave1-5069532917", "root": "/ave/ws"});
        let generic = json!({"type": "workspace", "root": "/ave/ws", "tools": {}});
        let reports = [
            changed([taken(piece(w.clone()), []), piece(r1.clone())]),
            stacks(&[&stack]),
            changed([taken(piece(h1.clone()), [short.clone()])]),
            workspace(Some(generic.clone())),
        ];
        let allocations = json!({
            "0": [{"profile": h1, "collateral": [short]}],
            "1": [{"profile": w, "collateral": []}],
        });
        let calls = json!([
            ["set_ws_profile", [generic]],
            ["set_stacks", [[stack]]],
            ["set_equipment", [[h1, r1, w], allocations]],
        ]);
        assert_eq!(told(&mut original(), reports), calls);
    }

    #[test]
    fn an_original_master_is_told_only_what_it_can_read() {
        let camera = json!({"type": "camera", "uid": "c"});
        let a = json!({"type": "wlan", "uid": "a"});
        let only_imei = json!({"type": "handset", "imei": "1"});
        let reports = [
            changed([piece(camera.clone()), piece(json!({"type": "handset"}))]),
            changed([taken(piece(a.clone()), [camera.clone()])]),
            stacks(&[&[a.clone(), camera.clone(), only_imei], &[camera], &[]]),
        ];
        let allocations = json!({"0": [{"profile": a, "collateral": []}]});
        let calls = json!([["set_stacks", [[[a]]]], ["set_equipment", [[a], allocations]]]);
        assert_eq!(told(&mut original(), reports), calls);
    }

    #[test]
    fn an_original_master_is_told_everything_but_only_when_something_has_changed_190() {
        let mut master = original();
        assert_eq!(told(&mut master, []), json!([["set_equipment", [[], {}]]]), "that there is nothing");
        assert_eq!(told(&mut master, []), json!([]));
        let (a, b) = (json!({"type": "wlan", "uid": "a", "room": 1}), json!({"type": "wlan", "uid": "b"}));
        let equipment = |equipment: serde_json::Value| json!([["set_equipment", [equipment, {}]]]);
        assert_eq!(told(&mut master, [changed([piece(b.clone())])]), equipment(json!([b])));
        assert_eq!(told(&mut master, [changed([wlan("a", 1)])]), equipment(json!([a, b])));
        let moved = SharedPiece {
            origin: Arc::new(Origin { holder: Some(Address::new("h", 1)), path: vec![BrokerId(1)] }),
            ..wlan("a", 1)
        };
        let silent = [changed([moved]), gone("wlan", "c"), changed([piece(json!({"type": "camera"}))])];
        assert_eq!(told(&mut master, silent), json!([]), "nothing that it could see");
        assert_eq!(told(&mut master, [gone("wlan", "b")]), equipment(json!([a])));
        let stack = [json!({"type": "wlan", "uid": "a"})];
        assert_eq!(told(&mut master, [stacks(&[&stack])]), json!([["set_stacks", [[stack]]]]));
        assert_eq!(told(&mut master, [stacks(&[&stack]), workspace(None)]), json!([]));
        assert_eq!(told(&mut master, [stacks(&[])]), json!([["set_stacks", [[]]]]));
    }

    #[test]
    fn a_master_of_ours_is_told_all_at_first_then_what_has_changed() {
        let mut master = ours();
        let update = |whole, changed: serde_json::Value, gone: serde_json::Value| json!([["share_update", [{"whole": whole, "changed": changed, "gone": gone}]]]);
        let shared = |room, taken: serde_json::Value| {
            let profile = json!({"type": "wlan", "uid": "a", "room": room});
            json!([{"profile": profile, "taken": taken, "holder": null, "path": []}])
        };
        assert_eq!(told(&mut master, []), update(true, json!([]), json!([])), "that there is nothing");
        assert_eq!(told(&mut master, []), json!([]), "190");
        let reports = [changed([wlan("a", 1), wlan("b", 1)]), gone("wlan", "b"), changed([wlan("a", 2)])];
        let b = json!([{"type": "wlan", "uid": "b"}]);
        assert_eq!(told(&mut master, reports), update(false, shared(2, json!([])), b));
        let short = json!({"type": "relay", "uid": "r"});
        let profile = json!({"type": "wlan", "uid": "a", "room": 2});
        let allocation = json!([{"profile": profile, "collateral": [short]}]);
        let report = changed([taken(wlan("a", 2), [short])]);
        assert_eq!(told(&mut master, [report]), update(false, shared(2, allocation), json!([])));
        let reports = [gone("wlan", "a"), changed([wlan("a", 3)])];
        assert_eq!(told(&mut master, reports), update(false, shared(3, json!([])), json!([])));
    }

    #[test]
    fn a_master_of_ours_is_told_where_pieces_are_and_what_they_form() {
        let mut master = ours();
        let origin = Origin { holder: Some(Address::new("h", 1)), path: vec![BrokerId(0xab), BrokerId(1)] };
        let far = SharedPiece { origin: Arc::new(origin), ..wlan("a", 1) };
        let stack = [json!({"type": "wlan", "uid": "a"})];
        let generic = json!({"type": "workspace", "root": "/w"});
        let reports = [changed([far]), stacks(&[&stack]), workspace(None), workspace(Some(generic.clone()))];
        let calls = told(&mut master, reports);
        let update = &calls[0][1][0];
        assert_eq!((&update["stacks"], &update["workspace"]), (&json!([stack]), &generic));
        assert_eq!(told(&mut master, [stacks(&[&stack])]), json!([]), "the same as before");
        let piece = &update["changed"][0];
        assert_eq!(piece["path"], json!(["00000000000000ab", "0000000000000001"]));
        assert_eq!(piece["holder"], json!(["h", 1]));
        let calls = told(&mut master, [workspace(None)]);
        assert_eq!(calls[0][1][0]["workspace"], json!(null));
        assert!(calls[0][1][0].get("stacks").is_none());
    }

    #[test]
    fn what_is_described_afresh_replaces_what_was_heard() {
        for (mut master, method) in [(original(), "set_equipment"), (ours(), "share_update")] {
            told(&mut master, [changed([wlan("a", 1)])]);
            let report = changed([wlan("b", 1)]);
            assert!(master.hear(News { upto: Revision::default(), more: true, afresh: true, report }));
            let calls = told(&mut master, [changed([wlan("c", 1)])]);
            assert_eq!(calls[0][0], method);
            let said = calls.to_string();
            assert!(said.contains(r#""b""#) && said.contains(r#""c""#) && !said.contains(r#""a""#), "{said}");
            assert!(method == "set_equipment" || said.contains(r#""whole":true"#), "{said}");
        }
    }

    #[test]
    fn one_report_has_room_for_all_of_a_site_but_not_for_everything() {
        let mut master = ours();
        let mut hear = |numbers: std::ops::Range<i64>| {
            let report = changed(numbers.map(|n| wlan(&n.to_string(), n)).collect::<Vec<_>>());
            master.hear(News { upto: Revision::default(), more: true, afresh: false, report })
        };
        assert!(hear(0..10_000));
        assert!(!hear(10_000..20_000));
    }

    #[test]
    fn no_report_says_more_than_a_master_reads() {
        const PIECES: usize = 6;
        let mut master = ours();
        let odd = vec![json!({}); PIECE_WEIGHT_MAX - 10]; // as costly to read as anything of this weight
        let odd = Arc::new(Profile::of(json!({"type": "wlan", "uid": "a", "odd": odd})));
        let named = |uid: usize| {
            let mut odd = Profile::clone(&odd);
            odd.0.insert("uid".to_owned(), uid.to_string().into());
            SharedPiece { profile: Arc::new(odd), taken: Vec::new(), origin: Arc::default() }
        };
        let report = changed((0..PIECES).map(named).collect::<Vec<_>>());
        let full = !master.hear(News { upto: Revision::default(), more: true, afresh: false, report });
        assert!(full, "however few pieces there are");
        let entry = json!({"type": "wlan", "uid": "s", "odd": vec![json!({}); 1000]});
        let entry: Arc<[_]> = vec![profile(entry)].into();
        let report = Report { stacks: Some(vec![entry; 1000]), ..Report::default() };
        master.hear(News { upto: Revision::default(), more: false, afresh: false, report });
        let next = |calls: Vec<Call>| <[Call; 1]>::try_from(calls).ok();
        let mut calls = 0;
        while let Some([Call { method, arguments }]) = next(master.calls(&Value::Null)) {
            let arguments = Arguments { positional: arguments, named: Map::new() };
            let mut payload = BytesMut::new();
            Request::new(method, arguments).encode(Encoding::MessagePack, &mut payload).unwrap();
            assert!(payload.len() <= Limits::default().frame_bytes_max);
            let payload = payload.split_off(size_of::<u32>()).freeze(); // behind the length
            assert!(Envelope::parse(&payload, &Limits::default()).is_ok());
            calls += 1;
        }
        assert_eq!(calls, PIECES / 2, "two are as much as one call has room for");
    }
}
