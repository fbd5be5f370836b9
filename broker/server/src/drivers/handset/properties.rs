//! A handset's properties: those its profile shows (Specification 1.1), and the calls that read and set one.

use std::collections::BTreeMap;

use ave_adb::quoted;
use ave_profile::{Map, Profile, Refusal, Value};
use ave_protocol::arguments::Bound;

use super::device::{Answer, Handset};
use super::limits::{CALL_LIMIT, LOOK_LIMIT, PROPERTY_CHARS_MAX};
use crate::config::handset::HandsetConfig;

/// What is made of a property's text.
#[derive(Clone, Copy)]
enum Form {
    AsIs,
    Lower,
    Number,
}

/// A member of the profile, and the property it comes from.
struct Field {
    name: &'static str,
    property: &'static str,
    form: Form,
    /// The call that reads it.
    call: &'static str,
}

const fn field(name: &'static str, property: &'static str, form: Form, call: &'static str) -> Field {
    Field { name, property, form, call }
}

/// Where an old Android reads further properties when it starts.
pub(super) const LOCAL_PROPERTIES: &str = "/data/local.prop";

const NETWORK_TYPE: &str = "gsm.network.type";

const FIELDS: [Field; 17] = [
    field("product.model", "ro.product.model", Form::Lower, "get_product_model"),
    field("product.name", "ro.product.name", Form::Lower, "get_product_name"),
    field("sdk.version", "ro.build.version.sdk", Form::Number, "get_sdk_version"),
    field("sw.label", "ro.build.id", Form::AsIs, "get_build_label"),
    field("sw_type", "ro.build.type", Form::AsIs, "get_build_type"),
    field("private_sw_id", "persist.private_sw_id", Form::AsIs, "get_private_sw_id"),
    field("gsm.operator", "gsm.operator.alpha", Form::AsIs, "get_gsm_operator"),
    field("apn.sim.operator", "gsm.apn.sim.operator.numeric", Form::Lower, "get_apn_sim_operator"),
    field("phone.type", "gsm.current.phone-type", Form::Lower, "get_phone_type"),
    field("network.type", NETWORK_TYPE, Form::Lower, "get_network_type"),
    field("operator.country", "gsm.operator.iso-country", Form::Lower, "get_operator_country"),
    field("operator.isroaming", "gsm.operator.isroaming", Form::Lower, "get_operator_isroaming"),
    field("operator.numeric", "gsm.operator.numeric", Form::Lower, "get_operator_numeric"),
    field("sim.operator", "gsm.sim.operator.alpha", Form::Lower, "get_sim_operator"),
    field("sim.country", "gsm.sim.operator.iso-country", Form::Lower, "get_sim_country"),
    field("sim.operator.numeric", "gsm.sim.operator.numeric", Form::Lower, "get_sim_operator_numeric"),
    // Last, because no call reads it.
    field("gsm-capable", NETWORK_TYPE, Form::AsIs, "get_gsm_capable"),
];

impl Field {
    /// Null for a property that is absent, which an empty one is as well.
    fn value(&self, text: Option<&str>) -> Value {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        if self.name == "gsm-capable" {
            return text.is_some_and(|text| text != "unknown" && text != "unknown,unknown").into();
        }
        let Some(text) = text else { return Value::Null };
        match self.form {
            Form::AsIs => text.into(),
            Form::Lower => text.to_lowercase().into(),
            Form::Number => text.parse().map_or(Value::Null, Value::Int),
        }
    }
}

/// The properties of one look.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Properties(BTreeMap<String, String>);

impl Properties {
    /// What `getprop` prints: `[name]: [value]`, a line each. Other lines are none.
    pub(super) fn of_dump(dump: &str) -> Properties {
        let property = |line: &str| {
            let (name, value) = line.trim_end().strip_prefix('[')?.split_once("]: [")?;
            let wanted = name == "sys.boot_completed" || FIELDS.iter().any(|field| field.property == name);
            let value = value.strip_suffix(']').unwrap_or(value).chars().take(PROPERTY_CHARS_MAX);
            wanted.then(|| (name.to_owned(), value.collect()))
        };
        Properties(dump.lines().filter_map(property).collect())
    }

    /// A property that is there.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Adds every member that comes from a property, and what the lab calls such a model.
    pub(super) fn fill(&self, profile: &mut Map, config: &HandsetConfig) {
        for field in &FIELDS {
            profile.insert(field.name.to_owned(), field.value(self.get(field.property)));
        }
        let pretty =
            profile.get("product.model").and_then(Value::as_str).and_then(|model| config.pretty(model));
        profile.insert("pretty".to_owned(), pretty.into());
    }
}

impl Handset {
    /// The answer of a call that reads one member of the profile; `None` if there is no such call. It never
    /// fails: what cannot be read is null.
    pub(super) async fn field(&self, call: &str) -> Option<Value> {
        let field = FIELDS.iter().find(|field| field.call == call)?;
        Some(field.value(self.property(field.property).await.as_deref()))
    }

    /// A profile with every member that comes from a property.
    pub(super) async fn update_profile(&self, arguments: &mut Bound) -> Answer {
        let Value::Map(mut profile) = arguments.take("profile") else {
            return Err(Refusal::exception("profile must be a dictionary"));
        };
        let dump = self.run("getprop", Some(LOOK_LIMIT)).await?;
        Properties::of_dump(&dump).fill(&mut profile, &self.site.config);
        Ok(Profile(profile).into())
    }

    /// What `handset.json` says of its model, or null.
    pub(super) async fn handset_config(&self) -> Value {
        let model = match self.profile.get("product.model") {
            Some(Value::Text(model)) => Some(model.clone()),
            _ => self.property("ro.product.model").await,
        };
        model.and_then(|model| self.site.config.model(&model).cloned()).into()
    }

    pub(super) async fn get_property(&self, arguments: &mut Bound) -> Answer {
        let key = key(arguments.take("key"))?;
        let value = self.sh(&format!("getprop {}", quoted(&key))).await?;
        match value.trim() {
            "" => Err(Refusal::exception(format!("failed to get property with key: {key}"))),
            value => Ok(value.into()),
        }
    }

    /// Sets it as root and reads it back.
    pub(super) async fn set_property(&self, arguments: &mut Bound) -> Answer {
        let (key, value) = pair(arguments)?;
        self.become_root().await?;
        self.assign(&key, &value).await.map_err(|found| match found {
            Ok(found) => Refusal::exception(format!(
                "failed to set property {key}: wanted \"{value}\", found \"{found}\""
            )),
            Err(refusal) => refusal,
        })?;
        Ok(Value::Null)
    }

    /// Empties it as root, now and in the file that is read at start.
    pub(super) async fn clear_property(&self, arguments: &mut Bound) -> Answer {
        let key = key(arguments.take("key"))?;
        self.become_root().await?;
        self.assign(&key, "").await.map_err(|found| match found {
            Ok(found) => {
                Refusal::exception(format!("failed to clear property {key}: it is still \"{found}\""))
            }
            Err(refusal) => refusal,
        })?;
        self.edit_local_properties(&key, None).await?;
        Ok(Value::Null)
    }

    /// Sets a property; what it is instead, if that did not work.
    pub(super) async fn assign(&self, key: &str, value: &str) -> Result<(), Result<String, Refusal>> {
        let line = format!("setprop {key} {value}; getprop {key}", key = quoted(key), value = quoted(value));
        let found = self.run(&line, Some(CALL_LIMIT)).await.map_err(Err)?;
        match found.trim() {
            found if found == value.trim() => Ok(()),
            found => Err(Ok(found.to_owned())),
        }
    }

    /// Sets a property in `/data/local.prop`, or drops it there. Without a value a file that is not there is not
    /// made.
    pub(super) async fn edit_local_properties(&self, key: &str, value: Option<&str>) -> Result<(), Refusal> {
        let old = match self.exists(LOCAL_PROPERTIES, None).await? {
            true => self.read_text(LOCAL_PROPERTIES).await?,
            false if value.is_none() => return Ok(()),
            false => String::new(),
        };
        let of_key = |line: &&str| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
        let kept = old.lines().filter(|line| !of_key(line)).map(str::to_owned);
        let lines = kept.chain(value.map(|value| format!("{key}={value}")));
        let content: String = lines.map(|line| line + "\n").collect();
        self.write_text(LOCAL_PROPERTIES, &content).await
    }
}

fn key(value: Value) -> Result<String, Refusal> {
    match value {
        Value::Text(key) if !key.trim().is_empty() => Ok(key),
        _ => Err(Refusal::exception("key must be a non-empty string")),
    }
}

/// A property's key and value. Numbers and truth values are written as scripts write them.
pub(super) fn pair(arguments: &mut Bound) -> Result<(String, String), Refusal> {
    let (name, value) = (arguments.take("key"), arguments.take("value"));
    if matches!((&name, &value), (Value::Null, _) | (_, Value::Null)) {
        return Err(Refusal::exception("both key and value must be given"));
    }
    let value = match value {
        Value::Text(text) => text,
        number @ (Value::Int(_) | Value::Uint(_) | Value::Float(_)) => number.to_string(),
        Value::Bool(flag) => if flag { "True" } else { "False" }.to_owned(),
        other => {
            return Err(Refusal::exception(format!("value must be a string, found {}", other.type_name())));
        }
    };
    Ok((key(name)?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_read_whatever_is_in_it() {
        let long = "x".repeat(2 * PROPERTY_CHARS_MAX);
        let dump = format!(
            "noise\n[ro.build.id]: [a]: [b]\n[ro.product.model]: [{long}]\n[gsm.operator.alpha]: [two\nlines]\n\
             [ro.build.version.sdk]: [many]\n[debug.other]: [1]\n[ro.build.type]: []\n"
        );
        let mut profile = Map::new();
        let config = HandsetConfig::load(std::path::Path::new("/nowhere/handset.json")).0;
        Properties::of_dump(&dump).fill(&mut profile, &config);
        assert_eq!(profile["sw.label"], Value::from("a]: [b"));
        assert_eq!(profile["product.model"].as_str().map(str::len), Some(PROPERTY_CHARS_MAX));
        assert_eq!(profile["gsm.operator"], Value::from("two"));
        for absent in ["sdk.version", "sw_type", "pretty", "sim.operator"] {
            assert_eq!(profile[absent], Value::Null, "{absent}");
        }
        assert_eq!(profile["gsm-capable"], Value::Bool(false));
        assert_eq!(profile.len(), FIELDS.len() + 1);
    }
}
