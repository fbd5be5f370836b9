//! What a descriptor must say beyond being well formed: names that are names, programs that are there, limits
//! that make sense. Every fault is found at once.

use std::env;
use std::path::{Component, Path};

use ave_profile::{CommandLister, Kind, Lister, Reset, Rule, UsbLister, Value};

use super::{POWER_STATE, is_driven_here};
use crate::config::fault::{Fault, shown};
use crate::config::workspace::is_executable;

/// The longest name of a type, member or method: people type them.
const NAME_BYTES_MAX: usize = 64;

/// Listers of one type; each is a task.
const LISTERS_MAX: usize = 16;

/// The longest time anything may take or pause: a day.
const LIMIT_S_MAX: u64 = 86_400;

/// Faults told of one descriptor: a person mends these first.
const FAULTS_MAX: usize = 20;

/// What can be read of a USB device without opening it.
const USB_ATTRIBUTES: [&str; 7] =
    ["serial", "product", "manufacturer", "idVendor", "idProduct", "sysfs_path", "tty"];

/// The type that `get_profile` of a broker has.
const RESERVED: &str = "broker";

/// What belongs into a field of a descriptor.
pub(super) fn wanted(field: &str) -> &'static str {
    let end = field.find(['.', '[']).unwrap_or(field.len());
    match &field[..end] {
        "type" => "the name of the type",
        "identity" => "the name of the member that identifies a piece",
        "defaults" => "an object of members and values",
        "rules" => r#"an object of members, each "equal", "names", "one_of" or "ignore""#,
        "kept" => "a list of members",
        "allocations" => r#"a number from 1, or "unlimited""#,
        "fields" => "an object of members, each with a sentence",
        "listers" => r#"a list of {"file": ...}, {"usb": ...} and {"command": ...}"#,
        "driver" => r#"{"command": ["program", "argument"]}"#,
        "open" => r#""eager" or "lazy""#,
        "reset" => r#"{"method": "name"} or {"command": ["program", "argument"]}"#,
        "limits" => r#"an object of "open_s", "call_s", "close_s" and "reset_s", in whole seconds"#,
        _ => r#"an object with "type", "identity" and the members of docs/configuration.md"#,
    }
}

/// Everything that is wrong with a type whose programs are relative to `folder`.
pub(super) fn faults(path: &Path, folder: &Path, kind: &Kind) -> Vec<Fault> {
    let mut check = Check { path, folder, kind, faults: Vec::new() };
    check.names();
    check.identity();
    check.listers();
    check.driving();
    check.faults
}

struct Check<'a> {
    path: &'a Path,
    folder: &'a Path,
    kind: &'a Kind,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn require(&mut self, holds: bool, field: &str, wanted: &str, found: impl Into<String>) {
        if !holds && self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault::warning(self.path, field, wanted, found));
        }
    }

    fn names(&mut self) {
        let kind = self.kind;
        let wanted = "a name of small letters, digits, - and _, other than \"broker\"";
        self.require(is_type(&kind.name), "type", wanted, quoted(&kind.name));
        self.require(!kind.made_on_demand, "made_on_demand", "false: only workspaces are", "true");
        self.member(&kind.identity, "identity");
        let listed = [
            ("defaults", kind.defaults.keys().collect::<Vec<_>>()),
            ("rules", kind.rules.keys().collect()),
            ("kept", kind.kept.iter().collect()),
            ("fields", kind.fields.keys().collect()),
        ];
        for (field, names) in listed {
            names.iter().for_each(|name| self.member(name, field));
        }
    }

    fn member(&mut self, name: &str, field: &str) {
        self.require(is_member(name), field, "names of letters, digits, ., - and _", quoted(name));
    }

    /// The identity means the same to everybody.
    fn identity(&mut self) {
        let kind = self.kind;
        let free = !["type", POWER_STATE].contains(&kind.identity.as_str());
        self.require(free, "identity", "a member that only identifies", quoted(&kind.identity));
        for fixed in ["type", &kind.identity] {
            let field = format!("defaults.{fixed}");
            self.require(!kind.defaults.contains_key(fixed), &field, "no default for this member", "one");
            let field = format!("rules.{fixed}");
            self.require(kind.rule(fixed) == Rule::Equal, &field, "\"equal\"", "another rule");
        }
    }

    fn listers(&mut self) {
        let count = self.kind.listers.len();
        let wanted = format!("at most {LISTERS_MAX} listers");
        self.require(count <= LISTERS_MAX, "listers", &wanted, count.to_string());
        for (i, lister) in self.kind.listers.iter().enumerate() {
            match lister {
                Lister::File(file) => {
                    let field = format!("listers[{i}].file.path");
                    let wanted = "a path below the folder of configuration files";
                    self.require(stays_inside(&file.path), &field, wanted, quoted(&file.path));
                }
                Lister::Usb(usb) => self.usb(&format!("listers[{i}].usb"), usb),
                Lister::Command(command) => self.command_lister(&format!("listers[{i}].command"), command),
            }
        }
    }

    fn usb(&mut self, field: &str, usb: &UsbLister) {
        for (name, id) in [("vendor", Some(&usb.vendor)), ("product", usb.product.as_ref())] {
            let fits = id.is_none_or(|id| is_usb_id(id));
            let found = quoted(id.map_or("", String::as_str));
            self.require(fits, &format!("{field}.{name}"), "4 small hex digits", found);
        }
        let identified = usb.fields.contains_key(&self.kind.identity);
        self.require(identified, &format!("{field}.fields"), "the identity among the members", "none");
        for (name, attribute) in &usb.fields {
            let known = USB_ATTRIBUTES.contains(&attribute.as_str());
            let wanted = format!("one of {}", USB_ATTRIBUTES.join(", "));
            self.require(known, &format!("{field}.fields.{name}"), &wanted, quoted(attribute));
            self.reported(name, &format!("{field}.fields"), false);
        }
        for name in usb.constants.keys() {
            self.reported(name, &format!("{field}.constants"), usb.fields.contains_key(name));
        }
    }

    /// A member of the profiles that a lister makes.
    fn reported(&mut self, name: &str, field: &str, twice: bool) {
        self.member(name, field);
        let said = ["type", POWER_STATE].contains(&name) || twice;
        let wanted = "only members that nothing else says";
        self.require(!said, &format!("{field}.{name}"), wanted, "another value for this one");
    }

    fn command_lister(&mut self, field: &str, lister: &CommandLister) {
        self.program(&format!("{field}.command"), &lister.command);
        for (name, seconds) in [("every_s", lister.every_s), ("grace_s", lister.grace_s)] {
            let sane = (1..=LIMIT_S_MAX).contains(&seconds);
            self.require(sane, &format!("{field}.{name}"), "1 to 86400 seconds", seconds.to_string());
        }
    }

    fn driving(&mut self) {
        let kind = self.kind;
        if let Some(driver) = &kind.driver {
            self.program("driver.command", &driver.command);
        }
        match &kind.reset {
            Some(Reset::Method(name)) => {
                self.require(is_method(name), "reset.method", "a method's name", quoted(name));
                let wanted = "a \"driver\" that has the method";
                let driven = kind.driver.is_some() || is_driven_here(&kind.name);
                self.require(driven, "reset.method", wanted, "no driver");
            }
            Some(Reset::Command(words)) => self.program("reset.command", words),
            None => {}
        }
        let limits = &kind.limits;
        let named = [
            ("open_s", limits.open_s),
            ("call_s", limits.call_s),
            ("close_s", limits.close_s),
            ("reset_s", limits.reset_s),
        ];
        for (name, seconds) in named {
            let field = format!("limits.{name}");
            self.require(seconds <= LIMIT_S_MAX, &field, "0 to 86400 seconds", seconds.to_string());
        }
    }

    fn program(&mut self, field: &str, words: &[String]) {
        let Some(program) = words.first().filter(|word| !word.is_empty()) else {
            return self.require(false, field, "a program and its arguments", "no program");
        };
        if program.contains('/') {
            let place = self.folder.join(program);
            let found = format!("none at {}", place.display());
            self.require(is_executable(&place), field, "an executable file", found);
        } else {
            let path = env::var_os("PATH").unwrap_or_default();
            let somewhere = env::split_paths(&path).any(|folder| is_executable(&folder.join(program)));
            self.require(somewhere, field, "a program in PATH", format!("no {}", quoted(program)));
        }
        let whole = words.iter().all(|word| !word.contains('\0'));
        self.require(whole, field, "words without a zero byte", "one");
    }
}

fn quoted(text: &str) -> String {
    shown(&Value::from(text))
}

fn is_type(name: &str) -> bool {
    is_name(name, |c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_'))
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name != RESERVED
}

fn is_member(name: &str) -> bool {
    is_name(name, |c| c.is_ascii_alphanumeric() || ".-_".contains(c))
}

/// Names that begin with `_` are nobody's to call.
fn is_method(name: &str) -> bool {
    is_name(name, |c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn is_name(name: &str, allowed: impl Fn(char) -> bool) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(allowed)
}

fn is_usb_id(id: &str) -> bool {
    id.len() == 4 && id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

fn stays_inside(path: &str) -> bool {
    let mut steps = Path::new(path).components().peekable();
    steps.peek().is_some() && steps.all(|step| matches!(step, Component::Normal(_))) && !path.contains('\0')
}
