//! A simulated registry: keys with values, as much as a driver reads when it starts.
//!
//! Names compare without regard to case, as in Windows. A key exists when it was made, and with it
//! all keys above it. Left out: writing by the driver, security, links.

use abi::native::nmr::{MODULE_ID_VALUE, PARAMETERS_SUBKEY};
use std::collections::BTreeMap;

/// Below it lie the keys of services.
pub const SERVICES: &str = r"\Registry\Machine\System\CurrentControlSet\Services";

/// `REG_SZ`: UTF-16 text.
pub const REG_SZ: u32 = 1;
/// `REG_BINARY`: bytes.
pub const REG_BINARY: u32 = 3;
/// `REG_DWORD`: a 32-bit number.
pub const REG_DWORD: u32 = 4;

/// A value: its type and bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// Type number (`REG_...`).
    pub kind: u32,
    /// Bytes, as they lie in memory.
    pub data: Vec<u8>,
}

/// What stands in `Parameters\NpiModuleId` below the service key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ModuleIdValue {
    /// There is no `Parameters` key: the driver was made a service by hand.
    #[default]
    NoKey,
    /// There is a `Parameters` key without the value.
    NoValue,
    /// The value, right or wrong.
    Value(Value),
}

impl ModuleIdValue {
    /// The value that eBPF for Windows writes.
    #[must_use]
    pub fn of(id: abi::Guid) -> ModuleIdValue {
        ModuleIdValue::Value(Value {
            kind: REG_BINARY,
            data: id.to_bytes().to_vec(),
        })
    }
}

type Values = BTreeMap<String, Value>;

/// Keys by full path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Registry {
    keys: BTreeMap<String, Values>,
}

impl Registry {
    /// A registry with the key of one service.
    #[must_use]
    pub fn with_service(service: &str, module_id: &ModuleIdValue) -> Registry {
        let mut registry = Registry::default();
        registry.add_service(service, module_id);
        registry
    }

    /// Adds the key of a service.
    pub fn add_service(&mut self, service: &str, module_id: &ModuleIdValue) {
        let service = service_key(service);
        let parameters = join(&service, PARAMETERS_SUBKEY);
        self.make_key(&service);
        match module_id {
            ModuleIdValue::NoKey => {}
            ModuleIdValue::NoValue => self.make_key(&parameters),
            ModuleIdValue::Value(value) => {
                self.set(&parameters, MODULE_ID_VALUE, value.clone());
            }
        }
    }

    /// Makes a key and all above it.
    pub fn make_key(&mut self, path: &str) {
        let path = normal(path);
        for (at, _) in path.match_indices('\\').filter(|(at, _)| *at != 0) {
            self.keys.entry(path[..at].to_owned()).or_default();
        }
        self.keys.entry(path).or_default();
    }

    /// Sets a value, and makes its key.
    pub fn set(&mut self, path: &str, name: &str, value: Value) {
        self.make_key(path);
        let values = self.keys.entry(normal(path)).or_default();
        values.insert(name.to_uppercase(), value);
    }

    /// Whether a key exists.
    #[must_use]
    pub fn has_key(&self, path: &str) -> bool {
        self.keys.contains_key(&normal(path))
    }

    /// A value of a key; the empty name is the default value.
    #[must_use]
    pub fn value(&self, path: &str, name: &str) -> Option<&Value> {
        self.keys.get(&normal(path))?.get(&name.to_uppercase())
    }

    /// Names of the keys right below a key, in upper case.
    pub fn below(&self, path: &str) -> impl Iterator<Item = String> {
        let start = format!("{}\\", normal(path));
        let keys = self.keys.keys();
        let names = keys.filter_map(move |key| key.strip_prefix(&start).map(str::to_owned));
        names.filter(|name| !name.contains('\\'))
    }
}

/// Full path of a service's key.
#[must_use]
pub fn service_key(service: &str) -> String {
    join(SERVICES, service)
}

/// A path below another one.
#[must_use]
pub fn join(path: &str, name: &str) -> String {
    format!("{}\\{}", path.trim_end_matches('\\'), name)
}

fn normal(path: &str) -> String {
    path.trim_end_matches('\\').to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_ignore_case() {
        let id = abi::Guid::from_u128(0x00112233_4455_6677_8899_aabbccddeeff);
        let registry = Registry::with_service("DropPacket", &ModuleIdValue::of(id));
        let key = join(&service_key("droppacket"), "PARAMETERS");
        assert!(registry.has_key(&key));
        assert!(registry.has_key(r"\registry\machine\"));
        assert_eq!(registry.below(SERVICES).collect::<Vec<_>>(), ["DROPPACKET"]);
        assert_eq!(registry.below(&key).count(), 0);
        let value = registry.value(&key, "npimoduleid").unwrap();
        assert_eq!((value.kind, value.data.len()), (REG_BINARY, 16));
        assert_eq!(registry.value(&key, "other"), None);
    }

    #[test]
    fn absent_things_are_absent() {
        let registry = Registry::with_service("x", &ModuleIdValue::NoKey);
        assert!(registry.has_key(&service_key("x")));
        assert!(!registry.has_key(&join(&service_key("x"), "Parameters")));
        let registry = Registry::with_service("x", &ModuleIdValue::NoValue);
        let key = join(&service_key("x"), "Parameters");
        assert!(registry.has_key(&key));
        assert_eq!(registry.value(&key, "NpiModuleId"), None);
    }
}
