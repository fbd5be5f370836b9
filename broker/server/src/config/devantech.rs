//! `devantech.json`: which circuit hangs on which relay of a board, in which groups they are lent, and how
//! they rest while nobody has them. Read whenever a board appears.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ave_profile::{Map, Value};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::fault::shown;
use super::file::{self, FileFault};
use super::relay::RelayConfig;
use super::{Fault, Paths};

/// How many relays a board has.
pub const PORTS: usize = 8;

/// The section for every board that has none of its own.
const ANY_BOARD: &str = "*";

/// One relay of a board: 1 to 8, as printed on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Port(u8);

impl Port {
    /// Every relay of a board.
    pub fn all() -> impl Iterator<Item = Port> {
        (1..=PORTS as u8).map(Port)
    }

    /// The number on the board.
    pub fn number(self) -> u8 {
        self.0
    }

    fn new(number: i64) -> Option<Port> {
        u8::try_from(number).ok().filter(|number| (1..=PORTS as u8).contains(number)).map(Port)
    }
}

impl From<Port> for i64 {
    fn from(port: Port) -> i64 {
        port.0.into()
    }
}

impl TryFrom<i64> for Port {
    type Error = String;

    fn try_from(number: i64) -> Result<Port, String> {
        Port::new(number).ok_or_else(|| format!("port {number} is out of bounds"))
    }
}

/// What hangs on one board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardPlan {
    /// The circuits of each group.
    pub groups: BTreeMap<String, BTreeMap<String, Port>>,
    defaults: [bool; PORTS],
}

impl BoardPlan {
    /// How a relay rests while nobody has it: on (energised) or off.
    pub fn default_of(&self, port: Port) -> bool {
        self.defaults[usize::from(port.0) - 1]
    }
}

/// The file's sections, each checked when it is needed: a fault in one board's does not concern another.
#[derive(Clone, Debug)]
pub struct DevantechConfig {
    path: PathBuf,
    sections: Map,
    relay: RelayConfig,
}

impl DevantechConfig {
    /// Reads `devantech.json` of a home, and `relay.json` for the circuits' names.
    ///
    /// # Errors
    /// Why no board can be used.
    pub fn load(paths: &Paths) -> Result<DevantechConfig, Box<Fault>> {
        let relay = RelayConfig::load(&paths.relay_json())?;
        let path = paths.devantech_json();
        let content = file::read(&path).map_err(|fault| {
            let message = match fault {
                FileFault::Missing => format!("no such config file: {}", path.display()),
                _ => format!("could not load config file: {}: {fault}", path.display()),
            };
            Box::new(Fault::error(&path, "", "a JSON object", fault.found(), message))
        })?;
        DevantechConfig::of(path, content, relay)
    }

    fn of(path: PathBuf, content: Value, relay: RelayConfig) -> Result<DevantechConfig, Box<Fault>> {
        match content {
            Value::Map(sections) => Ok(DevantechConfig { path, sections, relay }),
            other => {
                let message = format!("{} is not a dictionary", path.display());
                Err(Box::new(Fault::error(&path, "", "an object", other.type_name(), message)))
            }
        }
    }

    /// What hangs on the board with this serial number: its own section, else the one for any board.
    ///
    /// # Errors
    /// The section's first fault, or that there is none.
    pub fn plan(&self, serial: &str) -> Result<BoardPlan, Box<Fault>> {
        let own = self.sections.get_key_value(serial);
        let Some((name, section)) = own.or_else(|| self.sections.get_key_value(ANY_BOARD)) else {
            let message = format!("no values for device with serial \"{serial}\"");
            return Err(Box::new(Fault::error(
                &self.path,
                serial,
                "a section, or one for \"*\"",
                "none",
                message,
            )));
        };
        Section { config: self, name, used: BTreeSet::new() }.plan(section)
    }

    /// Everything that keeps boards from being used: the first fault of each section, or of the file. The
    /// broker starts all the same.
    pub fn faults(paths: &Paths) -> Vec<Fault> {
        let faults: Vec<_> = match DevantechConfig::load(paths) {
            Ok(config) => {
                let unused = config.relay.unused(&paths.relay_json());
                let each = config.sections.keys().filter_map(|serial| config.plan(serial).err());
                each.map(|fault| *fault).chain(unused).collect()
            }
            Err(fault) => vec![*fault],
        };
        faults.into_iter().map(Fault::into_warning).collect()
    }

    /// What a fresh home gets: four groups that cut the power of a phone, the last with its keys.
    pub fn default_content() -> serde_json::Value {
        json!({"*": {
            "groups": {
                "a": {"usb.pc.vcc": 1},
                "b": {"usb.pc.vcc": 2},
                "c": {"usb.pc.vcc": 3},
                "d": {
                    "usb.pc.vcc": 4,
                    "handset.battery": 5,
                    "handset.power": 6,
                    "handset.volume.up": 7,
                    "handset.volume.down": 8
                }
            },
            "defaults": [1, 1, 1, 1, 1, 0, 0, 0]
        }})
    }
}

/// One section of the file, while it is checked.
struct Section<'a> {
    config: &'a DevantechConfig,
    name: &'a str,
    used: BTreeSet<Port>,
}

impl Section<'_> {
    fn plan(&mut self, section: &Value) -> Result<BoardPlan, Box<Fault>> {
        let members = self.object("", section, || format!("\"{}\" is not a dictionary", self.name))?;
        let missing = || format!("\"{}\" contains no \"groups\" field", self.name);
        let listed = members.get("groups");
        let listed = listed.ok_or_else(|| self.fault(".groups", "an object", &Value::Null, missing()))?;
        let listed = self.object(".groups", listed, || "\"groups\" is not a dictionary".to_owned())?;
        let mut groups = BTreeMap::new();
        for (name, circuits) in listed {
            groups.insert(name.clone(), self.circuits(name, circuits)?);
        }
        Ok(BoardPlan { groups, defaults: self.defaults(members.get("defaults"))? })
    }

    fn circuits(&mut self, group: &str, circuits: &Value) -> Result<BTreeMap<String, Port>, Box<Fault>> {
        let field = format!(".groups.{group}");
        let circuits = self.object(&field, circuits, || format!("group \"{group}\" is not a dictionary"))?;
        let mut ports = BTreeMap::new();
        for (circuit, port) in circuits {
            ports.insert(circuit.clone(), self.port(&format!("{field}.{circuit}"), circuit, port)?);
        }
        Ok(ports)
    }

    fn port(&mut self, field: &str, circuit: &str, value: &Value) -> Result<Port, Box<Fault>> {
        let wrong = |wanted: &str, message: String| self.fault(field, wanted, value, message);
        let Value::Int(number) = *value else {
            return Err(wrong("the number of a relay", format!("circuit \"{circuit}\" is not an integer")));
        };
        if !self.config.relay.governs(circuit) {
            let wanted = "a circuit's governed name, or one of \"circuits\" in relay.json";
            return Err(wrong(wanted, format!("circuit identifier \"{circuit}\" is invalid")));
        }
        let port = Port::new(number);
        let port = port.ok_or_else(|| wrong("1 to 8", format!("port {number} is out of bounds")))?;
        if !self.used.insert(port) {
            let message = format!("port {number} is used more than once");
            return Err(self.fault(field, "each relay once", value, message));
        }
        Ok(port)
    }

    fn defaults(&self, value: Option<&Value>) -> Result<[bool; PORTS], Box<Fault>> {
        let Some(value) = value else { return Ok([true; PORTS]) };
        let wrong =
            |message: &str| self.fault(".defaults", "a list of 8 numbers, 0 or 1", value, message.to_owned());
        let list: Option<&[Value; PORTS]> = value.as_list().and_then(|list| list.try_into().ok());
        let list = list.ok_or_else(|| wrong("defaults is not a list of 8 values"))?;
        let mut defaults = [false; PORTS];
        for (default, value) in defaults.iter_mut().zip(list) {
            *default = match value {
                Value::Int(0) => false,
                Value::Int(1) => true,
                _ => return Err(wrong("defaults contain values out of bounds")),
            };
        }
        Ok(defaults)
    }

    fn object<'v>(
        &self,
        field: &str,
        value: &'v Value,
        message: impl FnOnce() -> String,
    ) -> Result<&'v Map, Box<Fault>> {
        value.as_map().ok_or_else(|| self.fault(field, "an object", value, message()))
    }

    fn fault(&self, field: &str, wanted: &str, value: &Value, message: String) -> Box<Fault> {
        Box::new(Fault::error(&self.config.path, self.place(field), wanted, shown(value), message))
    }

    fn place(&self, field: &str) -> String {
        format!("{}{field}", self.name)
    }
}

#[cfg(test)]
mod tests;
