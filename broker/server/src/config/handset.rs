//! `handset.json`: what models are called, which USB vendors make handsets, how results end their lines. The
//! lab's file is laid over the one that is shipped.

use std::collections::BTreeMap;
use std::path::Path;

use ave_profile::{Map, Value};

use super::Fault;
use super::fault::shown;
use super::file::{self, FileFault};

/// What is shipped.
const SHIPPED: &str = include_str!("handset.json");

/// Members of a model that the lab's entry replaces or, where it has none, removes.
const REPLACED: [&str; 4] = ["variant", "shutdown", "magic", "boot_to_service"];

/// How the lines of a text that came from a handset end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnds {
    /// As the original's did, which came through a terminal.
    #[default]
    CrLf,
    /// As the handset wrote them.
    Lf,
}

/// What is known of handsets before one is seen (Specification 1.2).
#[derive(Clone, Debug, PartialEq)]
pub struct HandsetConfig {
    /// By model, in lower case.
    models: BTreeMap<String, Map>,
    /// The class of handsets by USB vendor: 4 lower-case hex digits.
    vendors: BTreeMap<String, String>,
    line_ends: LineEnds,
}

/// One file's content, checked.
struct Content {
    models: Vec<(String, Map)>,
    vendors: BTreeMap<String, String>,
    line_ends: Option<LineEnds>,
}

/// A member that is wrong: where, what was wanted, what was found, what it is called.
type Wrong = (String, &'static str, String, String);

impl HandsetConfig {
    /// What is shipped, with the lab's file at `path` laid over it. A file that is no use is ignored, and the
    /// fault says so.
    pub fn load(path: &Path) -> (HandsetConfig, Option<Fault>) {
        let shipped = HandsetConfig::shipped();
        match file::read(path) {
            Ok(content) => match Content::of(content) {
                Ok(lab) => (shipped.overlaid(lab), None),
                Err((field, wanted, found, message)) => {
                    let mut fault = Fault::warning(path, field, wanted, found);
                    fault.message = format!("{message} in {}: the file is ignored", path.display());
                    (shipped, Some(fault))
                }
            },
            Err(FileFault::Missing) => (shipped, None),
            Err(fault) => (shipped, Some(Fault::warning(path, "", "a JSON object", fault.found()))),
        }
    }

    fn shipped() -> HandsetConfig {
        let content = file::parse(SHIPPED.as_bytes()).ok().and_then(|content| Content::of(content).ok());
        let content = content.expect("the shipped handset.json is checked by a test");
        let nothing = HandsetConfig {
            models: BTreeMap::new(),
            vendors: BTreeMap::new(),
            line_ends: LineEnds::default(),
        };
        nothing.overlaid(content)
    }

    fn overlaid(mut self, lab: Content) -> HandsetConfig {
        for (model, entry) in lab.models {
            let known = self.models.entry(model.clone()).or_default();
            known.retain(|name, _| !REPLACED.contains(&name.as_str()));
            known.extend(entry);
            known.insert("model".into(), model.into());
        }
        self.vendors.extend(lab.vendors);
        self.line_ends = lab.line_ends.unwrap_or(self.line_ends);
        self
    }

    /// What is known of a model, however it is spelt.
    pub fn model(&self, model: &str) -> Option<&Map> {
        self.models.get(&model.to_lowercase())
    }

    /// What a model is called in the lab.
    pub fn pretty(&self, model: &str) -> Option<&str> {
        self.model(model)?.get("pretty")?.as_str()
    }

    /// Whether devices of this USB vendor are handsets.
    pub fn is_handset_vendor(&self, vendor: &str) -> bool {
        self.vendors.contains_key(vendor)
    }

    /// How texts that came from a handset end their lines.
    pub fn line_ends(&self) -> LineEnds {
        self.line_ends
    }
}

impl Content {
    fn of(content: Value) -> Result<Content, Wrong> {
        let Value::Map(mut members) = content else {
            let found = content.type_name().to_owned();
            return Err((String::new(), "an object", found, "not an object".to_owned()));
        };
        let line_ends = match members.remove("line_ends") {
            None => None,
            Some(Value::Text(text)) if text == "crlf" => Some(LineEnds::CrLf),
            Some(Value::Text(text)) if text == "lf" => Some(LineEnds::Lf),
            Some(other) => {
                let message = "\"line_ends\" is neither \"crlf\" nor \"lf\"".to_owned();
                return Err(("line_ends".into(), "\"crlf\" or \"lf\"", shown(&other), message));
            }
        };
        let vendors = members.remove("vendors").map_or_else(|| Ok(BTreeMap::new()), vendors)?;
        let entries = match members.remove("handsets") {
            Some(Value::List(entries)) => entries,
            other => {
                let found = other.as_ref().map_or_else(|| "none".to_owned(), shown);
                return Err(("handsets".into(), "a list", found, "no \"handsets\"".to_owned()));
            }
        };
        let entries = entries.into_iter().enumerate().map(|(nth, entry)| model(nth, entry));
        let models = entries.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        Ok(Content { models, vendors, line_ends })
    }
}

/// One entry by its model; nothing if it names none.
fn model(nth: usize, entry: Value) -> Result<Option<(String, Map)>, Wrong> {
    let Value::Map(entry) = entry else {
        let found = entry.type_name().to_owned();
        return Err((format!("handsets[{nth}]"), "an object", found, "no \"model\" entry".to_owned()));
    };
    let missing = |name: &'static str| {
        (format!("handsets[{nth}].{name}"), "a string", "none".to_owned(), format!("no \"{name}\" entry"))
    };
    let model = entry.get("model").ok_or_else(|| missing("model"))?;
    entry.get("pretty").ok_or_else(|| missing("pretty"))?;
    let model = model.as_str().map(|model| model.trim().to_lowercase()).filter(|model| !model.is_empty());
    Ok(model.map(|model| (model, entry)))
}

/// The vendors of all elements of the list, the last word counting.
fn vendors(list: Value) -> Result<BTreeMap<String, String>, Wrong> {
    let wrong = |found: &Value| {
        let message = "\"vendors\" is not a list of {\"<vendor id>\": \"<class>\"}".to_owned();
        ("vendors".to_owned(), "a list of objects, vendor id to class", shown(found), message)
    };
    let maps: Option<Vec<_>> = list.as_list().and_then(|list| list.iter().map(Value::as_map).collect());
    let members = maps.ok_or_else(|| wrong(&list))?.into_iter().flatten();
    members
        .map(|(id, class)| {
            let hex = id.len() == 4 && id.chars().all(|digit| digit.is_ascii_hexdigit());
            let class = class.as_str().filter(|_| hex).ok_or_else(|| wrong(&list))?;
            Ok((id.to_lowercase(), class.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What a lab's file makes of what is shipped, and the warning about it.
    fn lab(content: &str) -> (HandsetConfig, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handset.json");
        std::fs::write(&path, content).unwrap();
        let (config, fault) = HandsetConfig::load(&path);
        (config, fault.map(|fault| fault.to_string()))
    }

    fn good(content: serde_json::Value) -> HandsetConfig {
        let (config, fault) = lab(&content.to_string());
        assert_eq!(fault, None);
        config
    }

    #[test]
    fn h8_the_lab_beats_what_is_shipped_however_a_model_is_spelt() {
        let shipped = HandsetConfig::load(Path::new("/nowhere/handset.json"));
        assert_eq!(shipped, (HandsetConfig::shipped(), None));
        assert_eq!(shipped.0.pretty("C6603"), Some("yuga"));
        let lab = good(json!({"handsets": [{"model": "c6603", "pretty": "kitchen"}]}));
        assert_eq!(lab.pretty("C6603"), Some("kitchen"));
        assert_eq!(lab.pretty("c6903"), Some("honami"));
        assert_eq!(lab.pretty("nobody's"), None);
    }

    #[test]
    fn h8_a_file_that_is_no_use_is_ignored_and_said() {
        for (content, fragment) in [
            ("{", "wanted a JSON object"),
            ("[]", "not an object"),
            ("{}", "no \"handsets\""),
            (r#"{"handsets": {}}"#, "no \"handsets\""),
            (r#"{"handsets": [{"pretty": "x"}]}"#, "no \"model\" entry"),
            (r#"{"handsets": [{"model": "x"}]}"#, "no \"pretty\" entry"),
            (r#"{"handsets": [], "vendors": [{"fce": "x"}]}"#, "\"vendors\""),
            (r#"{"handsets": [], "line_ends": "cr"}"#, "\"line_ends\""),
        ] {
            let (config, fault) = lab(content);
            assert_eq!(config, HandsetConfig::shipped());
            assert!(fault.as_ref().is_some_and(|fault| fault.contains(fragment)), "{content}: {fault:?}");
        }
    }

    #[test]
    fn h9_a_known_model_loses_what_the_lab_does_not_say() {
        let shipped = HandsetConfig::shipped();
        assert!(shipped.model("so-03h").unwrap().contains_key("variant"));
        let lab = good(json!({"handsets": [
            {"model": "SO-03H", "pretty": "ivy", "shutdown": 3, "note": "blue"},
            {"model": "New-1", "pretty": "new", "magic": ["boot1"]},
            {"model": null, "pretty": null},
            {"model": " ", "pretty": ""},
        ]}));
        let expected = json!({"model": "so-03h", "pretty": "ivy", "shutdown": 3, "note": "blue"});
        assert_eq!(lab.model("so-03h").map(|map| Value::from(map.clone())), Some(expected.into()));
        assert_eq!(lab.pretty("new-1"), Some("new"));
        assert_eq!(lab.models.len(), shipped.models.len() + 1);
    }

    #[test]
    fn a_lab_adds_vendors_and_chooses_line_ends() {
        let lab = good(json!({"handsets": [], "vendors": [{}, {"18D1": "x"}], "line_ends": "lf"}));
        assert!(lab.is_handset_vendor("18d1") && lab.is_handset_vendor("0fce"));
        assert!(!lab.is_handset_vendor("04d8"));
        assert_eq!((lab.line_ends(), HandsetConfig::shipped().line_ends()), (LineEnds::Lf, LineEnds::CrLf));
    }
}
