//! Types of equipment, described by data: which member identifies a piece, how a request is matched,
//! what a grant shows. Nothing else in the broker knows one type from another.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::means::{DriverLimits, Lister, Opening, Program, Reset};
use crate::{Identity, Map, Profile, Refusal, RefusalKind, Value};

/// How one requested member is compared with the same member of a known piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Equal as JSON values.
    #[default]
    Equal,
    /// The request names things (a list of names, or the members of an object) that must all exist; a
    /// grant shows only those.
    Names,
    /// The request is one value or a list of values; the piece's must be one of them.
    OneOf,
    /// Not compared at all, and the piece need not have it.
    Ignore,
}

/// How many sessions may hold one piece at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Allocations {
    /// At most so many.
    AtMost(NonZeroU32),
    /// Any number.
    Unlimited(Unlimited),
}

/// The word for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlimited {
    /// `"unlimited"`.
    Unlimited,
}

impl Default for Allocations {
    fn default() -> Allocations {
        Allocations::AtMost(NonZeroU32::MIN)
    }
}

/// How much of a known piece a grant shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The identity, the members the type keeps, and those the request named.
    Reduced,
    /// All of it.
    All,
}

/// One type of equipment. (Specification 5.2 to 5.4.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// The value of the `type` member.
    #[serde(rename = "type")]
    pub name: Arc<str>,
    /// The member that tells pieces of this type apart.
    pub identity: String,
    /// Members a request gets when it does not say them itself.
    #[serde(default)]
    pub defaults: Map,
    /// Members that are not compared by [`Rule::Equal`].
    #[serde(default)]
    pub rules: BTreeMap<String, Rule>,
    /// Members a grant shows besides `type`, the identity and what was asked for.
    #[serde(default)]
    pub kept: Vec<String>,
    /// A piece is made when somebody asks for one and gone when it is given back; never stacked.
    #[serde(default)]
    pub made_on_demand: bool,
    /// How many sessions may hold one piece at once.
    #[serde(default)]
    pub allocations: Allocations,
    /// What the members mean, for people: one sentence each.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// Who finds the pieces, besides `equipment.json` and programs that call `add_equipment`.
    #[serde(default)]
    pub listers: Vec<Lister>,
    /// The program that drives a piece; the broker's own driver, if it has one, where this is missing.
    #[serde(default)]
    pub driver: Option<Program>,
    /// Whether the client is answered before its piece is open.
    #[serde(default)]
    pub open: Opening,
    /// What makes a piece clean again after each session.
    #[serde(default)]
    pub reset: Option<Reset>,
    /// How long the driver may take.
    #[serde(default)]
    pub limits: DriverLimits,
}

impl Kind {
    /// The rule for one member.
    pub fn rule(&self, member: &str) -> Rule {
        self.rules.get(member).copied().unwrap_or_default()
    }

    /// The identity value of a profile of this type, if it has one.
    pub fn identity_of<'p>(&self, profile: &'p Profile) -> Option<&'p str> {
        profile.get(&self.identity).and_then(Value::as_str)
    }

    /// The request with this type's defaults for what it does not say.
    pub fn with_defaults(&self, mut request: Profile) -> Profile {
        for (name, value) in &self.defaults {
            request.0.entry(name.clone()).or_insert_with(|| value.clone());
        }
        request
    }

    /// Whether a known piece of this type is what the request describes.
    pub fn matches(&self, request: &Profile, known: &Profile) -> bool {
        request.iter().filter(|(name, _)| self.rule(name) != Rule::Ignore).all(|(name, wanted)| {
            known.get(name).is_some_and(|found| match self.rule(name) {
                Rule::Equal => wanted == found,
                Rule::Names => names_within(wanted, found),
                Rule::OneOf => wanted.one_of().contains(found),
                Rule::Ignore => true, // filtered out above
            })
        })
    }

    /// What the client is shown of a piece granted for a request. (Specification 5.4.)
    ///
    /// Members the known profile does not have are left out.
    pub fn granted(&self, request: &Profile, known: &Profile, kept: Kept) -> Profile {
        if kept == Kept::All {
            return known.clone();
        }
        let own = ["type", self.identity.as_str()];
        let names = own.into_iter().chain(self.kept.iter().map(String::as_str));
        let shown = names.chain(request.keys().map(String::as_str)).filter_map(|name| {
            let found = known.get(name)?;
            let value = match self.rule(name) {
                Rule::Equal | Rule::OneOf | Rule::Ignore => found.clone(),
                Rule::Names => reduced(found, request.get(name)),
            };
            Some((name.to_owned(), value))
        });
        Profile(shown.collect())
    }
}

fn names_within(wanted: &Value, found: &Value) -> bool {
    let Some(names) = wanted.names() else { return false };
    match found {
        Value::Map(map) => names.iter().all(|name| map.contains_key(*name)),
        Value::List(list) => names.iter().all(|name| list.iter().any(|v| v.as_str() == Some(name))),
        _ => false,
    }
}

/// The part of `found` that the request names: nothing at all if it names nothing.
fn reduced(found: &Value, wanted: Option<&Value>) -> Value {
    let names = wanted.and_then(Value::names).unwrap_or_default();
    match found {
        Value::Map(map) => {
            let pick = |name: &str| Some((name.to_owned(), map.get(name)?.clone()));
            Value::Map(names.into_iter().filter_map(pick).collect())
        }
        Value::List(list) => {
            let named = |v: &&Value| v.as_str().is_some_and(|name| names.contains(&name));
            Value::List(list.iter().filter(named).cloned().collect())
        }
        other => other.clone(),
    }
}

/// The types a broker knows, by name.
#[derive(Clone, Debug)]
pub struct KindTable(BTreeMap<Arc<str>, Arc<Kind>>);

impl KindTable {
    /// The seven types of the manual.
    pub fn builtin() -> KindTable {
        let kinds: Vec<Kind> =
            serde_json::from_str(include_str!("kinds.json")).expect("kinds.json is checked by a test");
        KindTable::new(kinds)
    }

    /// A table of these types; a later one of the same name replaces an earlier one.
    pub fn new(kinds: impl IntoIterator<Item = Kind>) -> KindTable {
        KindTable(kinds.into_iter().map(|kind| (kind.name.clone(), Arc::new(kind))).collect())
    }

    /// The type of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Kind>> {
        self.0.get(name)
    }

    /// All types, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.0.values()
    }

    /// The identity of a profile whose type is known and whose identity member is a string.
    pub fn identity(&self, profile: &Profile) -> Option<Identity> {
        let kind = self.get(profile.kind()?)?;
        Some(Identity { kind: kind.name.clone(), value: kind.identity_of(profile)?.into() })
    }

    /// The type and identity of a piece somebody reports.
    ///
    /// # Errors
    /// `KeyError` with the name of the identity member if that is missing; `Exception`,
    /// `invalid profile: ...`, if the type is missing, unknown or made on demand, or the identity is
    /// not a string. (Specification 4.3.)
    pub fn reported(&self, profile: &Profile) -> Result<(Arc<Kind>, Identity), Refusal> {
        let name = type_name(profile)?;
        let kind = self.get(name).ok_or_else(|| invalid(profile, &format!("unknown type \"{name}\"")))?;
        if kind.made_on_demand {
            return Err(invalid(profile, "pieces of this type are made on demand"));
        }
        Ok((kind.clone(), kind.identified(profile)?))
    }

    /// The identity of a piece that another broker reports, which may be one made on demand; `None` if
    /// this broker does not know its type. (Specification 6.3.)
    ///
    /// # Errors
    /// As of [`KindTable::reported`], but for types unknown or made on demand.
    pub fn shared(&self, profile: &Profile) -> Result<Option<Identity>, Refusal> {
        let Some(kind) = self.get(type_name(profile)?) else { return Ok(None) };
        kind.identified(profile).map(Some)
    }
}

impl Kind {
    fn identified(&self, profile: &Profile) -> Result<Identity, Refusal> {
        match profile.get(&self.identity) {
            None => Err(Refusal::new(RefusalKind::KeyError, self.identity.clone())),
            Some(Value::Text(value)) => {
                Ok(Identity { kind: self.name.clone(), value: value.as_str().into() })
            }
            Some(_) => Err(invalid(profile, &format!("\"{}\" is not a string", self.identity))),
        }
    }
}

fn type_name(profile: &Profile) -> Result<&str, Refusal> {
    match profile.get("type") {
        None => Err(invalid(profile, "\"type\" is missing")),
        Some(Value::Text(name)) => Ok(name),
        Some(_) => Err(invalid(profile, "\"type\" is not a string")),
    }
}

fn invalid(profile: &Profile, why: &str) -> Refusal {
    Refusal::exception(format!("invalid profile: {why}: {profile}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind(name: &str) -> Arc<Kind> {
        KindTable::builtin().get(name).unwrap().clone()
    }

    fn matches(request: serde_json::Value, known: serde_json::Value) -> bool {
        let request = Profile::of(request);
        kind(request.kind().unwrap()).matches(&request, &Profile::of(known))
    }

    #[test]
    fn the_seven_types_are_there() {
        let names: Vec<_> = KindTable::builtin().iter().map(|k| k.name.to_string()).collect();
        assert_eq!(names, ["beryllium", "handset", "powermeter", "relay", "testdrive", "wlan", "workspace"]);
    }

    #[test]
    fn matching_follows_5_3() {
        let relay =
            json!({"type": "relay", "uid": "a", "circuits": {"usb.pc.vcc": 1}, "power_state": "online"});
        assert!(matches(json!({"type": "relay", "circuits": ["usb.pc.vcc"]}), relay.clone())); // 96
        assert!(matches(json!({"type": "relay", "circuits": {"usb.pc.vcc": 7}}), relay.clone()));
        assert!(!matches(json!({"type": "relay", "circuits": ["handset.battery"]}), relay.clone()));
        assert!(!matches(json!({"type": "relay", "circuits": "usb.pc.vcc"}), relay.clone()));
        assert!(!matches(json!({"type": "relay", "power_state": "offline"}), relay.clone()));
        assert!(!matches(json!({"type": "relay", "colour": null}), relay)); // A11
        let handset = json!({"type": "handset", "serial": "h", "gsm.operator": "GTE"});
        assert!(matches(json!({"type": "handset", "gsm.operator": "GTE"}), handset.clone())); // 95
        assert!(!matches(json!({"type": "handset", "pretty": "yuga"}), handset));
    }

    #[test]
    fn defaults_never_override_what_was_said() {
        let said = Profile::of(json!({"type": "handset", "power_state": "offline"}));
        assert_eq!(kind("handset").with_defaults(said.clone()), said);
        let silent = kind("relay").with_defaults(Profile::of(json!({"type": "relay"})));
        assert_eq!(silent, Profile::of(json!({"type": "relay", "power_state": "online"})));
    }

    #[test]
    fn a_grant_shows_what_5_4_says() {
        let relay = Profile::of(json!({"type": "relay", "uid": "a", "power_state": "online",
            "circuits": {"handset.battery": 2, "usb.pc.vcc": 1}, "tty": "/dev/ttyACM0"}));
        let granted = |request| kind("relay").granted(&Profile::of(request), &relay, Kept::Reduced);
        assert_eq!(
            granted(json!({"type": "relay", "circuits": ["handset.battery"], "power_state": "online"})),
            Profile::of(json!({"type": "relay", "uid": "a", "circuits": {"handset.battery": 2},
                "power_state": "online"}))
        ); // 98
        assert_eq!(
            granted(json!({"type": "relay"})),
            Profile::of(json!({"type": "relay", "uid": "a", "circuits": {}}))
        ); // 97
        let offline = Profile::of(json!({"type": "handset", "serial": "h", "power_state": "offline"}));
        assert_eq!(kind("handset").granted(&Profile::default(), &offline, Kept::Reduced), offline); // 92
    }

    #[test]
    fn reported_pieces_are_checked() {
        let table = KindTable::builtin();
        let refused = |json| table.reported(&Profile::of(json)).unwrap_err();
        assert_eq!(refused(json!({"type": "handset"})), Refusal::new(RefusalKind::KeyError, "serial"));
        for bad in [json!({}), json!({"type": 1}), json!({"type": "toaster"}), json!({"type": "workspace"})] {
            assert!(refused(bad).message.starts_with("invalid profile: "));
        }
        assert!(refused(json!({"type": "relay", "uid": 1})).message.contains("\"uid\" is not a string"));
        let known = table.reported(&Profile::of(json!({"type": "relay", "uid": "a"}))).unwrap().1;
        assert_eq!(known, Identity::new("relay", "a"));
    }

    #[test]
    fn shared_pieces_may_be_of_unknown_types_and_made_on_demand_189() {
        let shared = |json| KindTable::builtin().shared(&Profile::of(json));
        assert_eq!(shared(json!({"type": "toaster"})), Ok(None));
        let workspace = shared(json!({"type": "workspace", "uid": "w"}));
        assert_eq!(workspace, Ok(Some(Identity::new("workspace", "w"))));
        let nameless = shared(json!({"type": "handset"})).unwrap_err();
        assert_eq!(nameless, Refusal::new(RefusalKind::KeyError, "serial"));
        for bad in [json!({}), json!({"type": 1}), json!({"type": "relay", "uid": 1})] {
            assert!(shared(bad).unwrap_err().message.starts_with("invalid profile: "));
        }
    }
}
