//! Finds the numbered things that have given members, without looking at the others.
//!
//! The same index serves pieces (numbered in list order) and stacks (numbered by preference). What matches
//! a request has all of its keys. Usually that is all there is to it, and no profile is read to find out;
//! [`Wanted::exact`] says whether it is.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

use ave_profile::{Kind, Profile, Rule, Value};

use crate::bits::{BitSet, first_common};

/// A posting stays a list while it is shorter than this.
const LIST_MAX: usize = 64;

/// One word of a profile: its type, a member and what the member says. 128 bits of hash, so that two
/// words never share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u128);

impl Key {
    fn of(kind: &Kind, member: &str, word: impl Hash) -> Key {
        let mut hasher = DefaultHasher::new();
        (&*kind.name, member, word).hash(&mut hasher);
        let low = hasher.finish();
        hasher.write_u8(0);
        Key(u128::from(hasher.finish()) << 64 | u128::from(low))
    }

    /// The key of having this word `count` times, for things that have many profiles.
    pub(crate) fn times(self, count: usize) -> Key {
        Key(self.0.wrapping_add((count as u128 - 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)))
    }
}

/// A key is a hash already.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 as u64);
    }
}

#[derive(Clone, Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0 << 8 | u64::from(*byte));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// The keys under which a known profile is found, ascending.
pub(crate) fn known_keys(kind: &Kind, known: &Profile) -> Vec<Key> {
    let mut keys = Vec::with_capacity(1 + known.len());
    keys.push(Key::of(kind, "", ()));
    for (member, value) in known.iter() {
        match (kind.rule(member), value) {
            (Rule::Equal, _) => keys.push(Key::of(kind, member, value)),
            (Rule::Names, Value::Map(map)) => named(kind, member, map.keys().map(String::as_str), &mut keys),
            (Rule::Names, Value::List(list)) => {
                named(kind, member, list.iter().filter_map(Value::as_str), &mut keys);
            }
            (Rule::OneOf, _) => keys.extend([Key::of(kind, member, ()), Key::of(kind, member, value)]),
            (Rule::Names | Rule::Ignore, _) => {}
        }
    }
    ascending(keys)
}

/// What a request says to the index.
#[derive(Debug, PartialEq)]
pub(crate) struct Wanted {
    /// What everything that matches has, ascending.
    pub(crate) keys: Vec<Key>,
    /// Whether everything that has them matches.
    pub(crate) exact: bool,
}

/// The keys of what a request of this type matches; `None` if nothing can. The type itself is the caller's
/// to compare.
pub(crate) fn wanted(kind: &Kind, request: &Profile) -> Option<Wanted> {
    // Some numbers do not even equal themselves.
    let equal = |member, value: &Value| value.eq(value).then(|| Key::of(kind, member, value));
    let mut keys = vec![Key::of(kind, "", ())];
    let mut exact = true;
    for (member, value) in request.iter().filter(|(member, _)| *member != "type") {
        match (kind.rule(member), value.one_of()) {
            (Rule::Equal, _) => keys.push(equal(member, value)?),
            (Rule::Names, _) => named(kind, member, value.names()?.into_iter(), &mut keys),
            (Rule::OneOf, []) => return None,
            (Rule::OneOf, [only]) => keys.push(equal(member, only)?),
            (Rule::OneOf, _) => {
                keys.push(Key::of(kind, member, ()));
                exact = false;
            }
            (Rule::Ignore, _) => {}
        }
    }
    Some(Wanted { keys: ascending(keys), exact })
}

fn named<'n>(kind: &Kind, member: &str, names: impl Iterator<Item = &'n str>, keys: &mut Vec<Key>) {
    keys.push(Key::of(kind, member, ()));
    keys.extend(names.map(|name| Key::of(kind, member, name)));
}

fn ascending(mut keys: Vec<Key>) -> Vec<Key> {
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Where each key occurs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    postings: HashMap<Key, Posting, BuildHasherDefault<AsItIs>>,
}

/// Ascending numbers: a list while there are few for their size, then bits.
#[derive(Clone, Debug)]
enum Posting {
    List(Vec<u32>),
    Bits(BitSet),
}

impl Index {
    pub(crate) fn insert(&mut self, at: u32, keys: &[Key]) {
        for key in keys {
            self.postings.entry(*key).or_insert_with(|| Posting::List(Vec::new())).insert(at);
        }
    }

    pub(crate) fn remove(&mut self, at: u32, keys: &[Key]) {
        for key in keys {
            if self.postings.get_mut(key).is_some_and(|posting| posting.remove(at)) {
                self.postings.remove(key);
            }
        }
    }

    /// What has all these keys; `None` if one of them occurs nowhere.
    pub(crate) fn with_all(&self, keys: &[Key]) -> Option<Common<'_>> {
        let mut common = Common::default();
        for key in keys {
            match self.postings.get(key)? {
                Posting::List(list) => common.lists.push(list),
                Posting::Bits(bits) => common.sets.push(bits),
            }
        }
        common.lists.sort_unstable_by_key(|list| list.len());
        Some(common)
    }
}

impl Posting {
    fn insert(&mut self, at: u32) {
        match self {
            Posting::Bits(bits) => bits.insert(at),
            Posting::List(list) => {
                let place = list.partition_point(|known| *known < at);
                if list.get(place) != Some(&at) {
                    list.insert(place, at);
                }
                let highest = list.last().map_or(0, |last| *last as usize);
                if list.len() > LIST_MAX.max(highest / 64) {
                    let mut bits = BitSet::default();
                    list.iter().for_each(|at| bits.insert(*at));
                    *self = Posting::Bits(bits);
                }
            }
        }
    }

    /// Whether it is empty now.
    fn remove(&mut self, at: u32) -> bool {
        match self {
            Posting::Bits(bits) => {
                bits.remove(at);
                bits.is_empty()
            }
            Posting::List(list) => {
                if let Ok(place) = list.binary_search(&at) {
                    list.remove(place);
                }
                list.is_empty()
            }
        }
    }
}

/// What several postings and sets have in common.
#[derive(Default)]
pub(crate) struct Common<'a> {
    lists: Vec<&'a [u32]>,
    sets: Vec<&'a BitSet>,
}

impl<'a> Common<'a> {
    pub(crate) fn and(mut self, set: &'a BitSet) -> Common<'a> {
        self.sets.push(set);
        self
    }

    /// The first common number at `from` or later.
    pub(crate) fn seek(&self, from: u32) -> Option<u32> {
        let Some((shortest, others)) = self.lists.split_first() else {
            return first_common(&self.sets, from);
        };
        let later = &shortest[shortest.partition_point(|at| *at < from)..];
        later.iter().copied().find(|at| {
            self.sets.iter().all(|set| set.contains(*at))
                && others.iter().all(|list| list.binary_search(at).is_ok())
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        std::iter::successors(self.seek(0), |at| self.seek(at + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ave_profile::KindTable;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};
    use std::collections::BTreeMap;

    /// The built-in types, and one with every rule.
    fn kinds() -> KindTable {
        let camera = json!({"type": "camera", "identity": "uid",
            "rules": {"circuits": "names", "size": "one_of", "note": "ignore"}});
        let camera: Kind = serde_json::from_value(camera).unwrap();
        KindTable::new(KindTable::builtin().iter().map(|kind| Kind::clone(kind)).chain([camera]))
    }

    fn found(known: serde_json::Value, wanted: serde_json::Value) -> bool {
        let kinds = kinds();
        let (known, wanted) = (Profile::of(known), Profile::of(wanted));
        let kind = kinds.get(known.kind().unwrap()).unwrap();
        let mut index = Index::default();
        index.insert(7, &known_keys(kind, &known));
        let wanted_words = super::wanted(kind, &wanted);
        let at = wanted_words.as_ref().and_then(|wanted| index.with_all(&wanted.keys)?.seek(0));
        let matches = kind.matches(&wanted, &known);
        match wanted_words {
            Some(Wanted { exact: false, .. }) => assert!(at.is_some() || !matches, "{wanted}"),
            _ => assert_eq!(at.is_some(), matches, "{wanted}"),
        }
        at == Some(7)
    }

    #[test]
    fn it_finds_what_matches_and_nothing_else() {
        let relay = json!({"type": "relay", "uid": "a", "circuits": {"x": 1, "y": 2}, "n": 1, "l": [1, {}]});
        for wanted in [
            json!({"type": "relay"}),
            json!({"type": "relay", "circuits": []}),
            json!({"type": "relay", "circuits": ["x", "x", "y"]}),
            json!({"type": "relay", "circuits": {"y": 9}, "uid": "a"}),
            json!({"type": "relay", "n": 1.0, "l": [1.0, {}]}),
        ] {
            assert!(found(relay.clone(), wanted));
        }
        for wanted in [
            json!({"type": "relay", "circuits": "x"}),
            json!({"type": "relay", "circuits": ["x", 1]}),
            json!({"type": "relay", "circuits": ["z"]}),
            json!({"type": "relay", "n": true}),
            json!({"type": "relay", "m": null}),
        ] {
            assert!(!found(relay.clone(), wanted));
        }
    }

    #[test]
    fn only_a_choice_of_several_values_is_not_exact() {
        let kinds = kinds();
        let camera = kinds.get("camera").unwrap();
        let exact = |request| wanted(camera, &Profile::of(request)).map(|wanted| wanted.exact);
        assert_eq!(exact(json!({"size": [1, 2]})), Some(false));
        assert_eq!(exact(json!({"size": [1], "note": [1, 2], "circuits": ["x", "y"]})), Some(true));
        assert_eq!(exact(json!({"size": []})), None);
    }

    fn value() -> impl Strategy<Value = Json> {
        let scalar = prop_oneof![
            prop_oneof![Just(json!("a")), Just(json!("b")), Just(json!("")), Just(json!(null))],
            prop_oneof![
                Just(json!(0)),
                Just(json!(1)),
                Just(json!(1.0)),
                Just(json!(-0.0)),
                Just(json!(true))
            ],
        ];
        let list = proptest::collection::vec(scalar.clone(), 0..3).prop_map(Json::from);
        let object = proptest::collection::btree_map("[ab]", scalar.clone(), 0..3).prop_map(|map| json!(map));
        prop_oneof![scalar, list, object]
    }

    proptest! {
        #[test]
        fn having_all_keys_is_matching_where_it_is_exact(
            known in proptest::collection::btree_map("circuits|n|size|note", value(), 0..4),
            wanted in proptest::collection::btree_map("circuits|n|size|note", value(), 0..4),
        ) {
            let typed = |members| {
                let mut members: BTreeMap<String, Json> = members;
                members.insert("type".to_owned(), json!("camera"));
                json!(members)
            };
            found(typed(known), typed(wanted));
        }
    }

    #[test]
    fn a_number_that_is_not_one_matches_nothing() {
        let kind = KindTable::builtin().get("wlan").unwrap().clone();
        let odd = Profile([("n".to_owned(), Value::List(vec![Value::Float(f64::NAN)]))].into());
        assert!(!kind.matches(&odd, &odd));
        assert_eq!(wanted(&kind, &odd), None);
    }

    #[test]
    fn a_posting_is_the_same_as_a_list_and_as_bits() {
        let key = Key(1);
        let (mut index, numbers) = (Index::default(), (0..500u32).map(|n| n * 3));
        numbers.clone().rev().for_each(|at| index.insert(at, &[key]));
        assert!(matches!(index.postings[&key], Posting::Bits(_)));
        assert_eq!(
            index.with_all(&[key]).unwrap().iter().collect::<Vec<_>>(),
            numbers.clone().collect::<Vec<_>>()
        );
        numbers.for_each(|at| index.remove(at, &[key]));
        assert!(index.postings.is_empty());
    }
}
