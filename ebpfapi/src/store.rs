//! The store of program types: what tools of eBPF for Windows know about extensions.
//!
//! It lies in the registry, below `Software\eBPF\Providers` of the machine, or of the user where the
//! machine's may not be written. Extensions' installers write it for the verifier and compiler of eBPF
//! for Windows. This project's own tools do not read it: their program types are the tables of `abi`.
//! The layout is stated here once: every entry is a list of keys with their values.

use abi::Guid;

/// Below it lie all entries.
pub const PROVIDERS: &str = r"Software\eBPF\Providers";
/// Longest name of a key, in UTF-16 units.
const NAME_UNITS: usize = 255;
/// Size of a helper's structure from which on it says whether packet data moves.
const WITH_FLAGS: u32 = 65;

/// A value of the registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// `REG_DWORD`
    Number(u32),
    /// `REG_SZ`
    Text(String),
    /// `REG_BINARY`
    Bytes(Vec<u8>),
}

/// A key of the registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// Its path below [`PROVIDERS`].
    pub path: String,
    /// Its values.
    pub values: Vec<(&'static str, Value)>,
}

/// Version and size of the structure that an entry comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    /// Its version.
    pub version: u16,
    /// The end of its last field.
    pub size: u32,
}

/// An ELF section's type of programs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SectionEntry {
    /// Of its structure.
    pub form: Form,
    /// What the section's name begins with.
    pub name: String,
    /// The program type, and the hook.
    pub types: [Guid; 2],
    /// Their numbers.
    pub numbers: [u32; 2],
}

/// A helper.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HelperEntry {
    /// Of its structure.
    pub form: Form,
    /// Its name.
    pub name: String,
    /// Number, kind of result, kinds of arguments.
    pub prototype: [u32; 7],
    /// It moves packet data.
    pub moves_packet: bool,
}

/// A program type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramEntry {
    /// Of its structure.
    pub form: Form,
    /// Of its descriptor.
    pub descriptor_form: Form,
    /// Its name.
    pub name: String,
    /// Its GUID.
    pub program_type: Guid,
    /// Bytes of the context, and offsets of its packet pointers.
    pub context: [i32; 4],
    /// Its number.
    pub number: u32,
    /// It may leak pointers.
    pub is_privileged: bool,
    /// Its helpers beyond the general ones.
    pub helpers: Vec<HelperEntry>,
}

impl Form {
    fn values(self) -> Vec<(&'static str, Value)> {
        vec![
            ("Version", Value::Number(self.version.into())),
            ("Size", Value::Number(self.size)),
        ]
    }
}

/// Whether something can be the name of a key.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['\\', '\0']) && name.encode_utf16().count() <= NAME_UNITS
}

fn little_endian<const N: usize>(numbers: [u32; N]) -> Value {
    Value::Bytes(numbers.map(u32::to_le_bytes).concat())
}

impl SectionEntry {
    /// Where it lies.
    #[must_use]
    pub fn path(name: &str) -> String {
        format!(r"SectionData\{name}")
    }

    /// Its keys.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let [program_type, attach_type] = self.types.map(|guid| guid.to_bytes().to_vec());
        let mut values = self.form.values();
        values.extend([
            ("ProgramType", Value::Bytes(program_type)),
            ("AttachType", Value::Bytes(attach_type)),
            ("BpfProgType", Value::Number(self.numbers[0])),
            ("BpfAttachType", Value::Number(self.numbers[1])),
        ]);
        let path = SectionEntry::path(&self.name);
        vec![Key { path, values }]
    }
}

impl HelperEntry {
    /// Where a general helper lies.
    #[must_use]
    pub fn path(name: &str) -> String {
        format!(r"GlobalHelpers\{name}")
    }

    /// The keys of a general helper.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        vec![self.key(HelperEntry::path(&self.name))]
    }

    fn key(&self, path: String) -> Key {
        let mut values = self.form.values();
        values.push(("Prototype", little_endian(self.prototype)));
        if self.form.size >= WITH_FLAGS {
            values.push(("ReallocatePacket", Value::Number(self.moves_packet.into())));
        }
        Key { path, values }
    }
}

impl ProgramEntry {
    /// Where it lies.
    #[must_use]
    pub fn path(program_type: Guid) -> String {
        format!(r"ProgramData\{{{program_type}}}")
    }

    /// Its keys.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let path = ProgramEntry::path(self.program_type);
        let mut values = self.form.values();
        let count = u32::try_from(self.helpers.len()).unwrap_or(u32::MAX);
        values.push(("HelperCount", Value::Number(count)));
        let mut descriptor = self.descriptor_form.values();
        descriptor.extend([
            ("Name", Value::Text(self.name.clone())),
            (
                "ContextDescriptor",
                little_endian(self.context.map(|number| number as u32)),
            ),
            ("BpfProgType", Value::Number(self.number)),
            ("IsPrivileged", Value::Number(self.is_privileged.into())),
        ]);
        let descriptor = Key {
            path: format!(r"{path}\TypeDescriptor"),
            values: descriptor,
        };
        let helper = |helper: &HelperEntry| helper.key(format!(r"{path}\Helpers\{}", helper.name));
        let helpers: Vec<Key> = self.helpers.iter().map(helper).collect();
        let own = Key { path, values };
        [own, descriptor].into_iter().chain(helpers).collect()
    }
}

#[cfg(windows)]
pub use crate::windows::{delete_stored, write_stored};

#[cfg(test)]
mod tests {
    //! The layout, as tools of eBPF for Windows read it.

    use super::*;

    const FORM: Form = Form {
        version: 1,
        size: 66,
    };

    fn helper(size: u32) -> HelperEntry {
        HelperEntry {
            form: Form { size, ..FORM },
            name: "a_helper".to_owned(),
            prototype: [0x1_0000, 0, 9, 2, 0, 0, 0],
            moves_packet: true,
        }
    }

    #[test]
    fn a_program_type_has_a_key_for_each_part() {
        let entry = ProgramEntry {
            form: Form { size: 64, ..FORM },
            descriptor_form: Form { size: 61, ..FORM },
            name: "a_type".to_owned(),
            program_type: Guid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            context: [16, 0, 8, -1],
            number: 7,
            is_privileged: false,
            helpers: vec![helper(66), helper(64)],
        };
        let [own, descriptor, new, old] = entry.keys().try_into().expect("four keys");
        let path = r"ProgramData\{01234567-89ab-cdef-0123-456789abcdef}";
        assert_eq!(own.path, path);
        assert_eq!(own.values[2], ("HelperCount", Value::Number(2)));
        assert_eq!(descriptor.path, format!(r"{path}\TypeDescriptor"));
        assert_eq!(descriptor.values[2].1, Value::Text("a_type".to_owned()));
        let Value::Bytes(context) = &descriptor.values[3].1 else {
            panic!("{descriptor:?}");
        };
        assert_eq!(context[12..], [0xff; 4]);
        assert_eq!(new.path, format!(r"{path}\Helpers\a_helper"));
        let Value::Bytes(prototype) = &new.values[2].1 else {
            panic!("{new:?}");
        };
        assert_eq!((prototype.len(), prototype[2], prototype[8]), (28, 1, 9));
        assert_eq!(new.values[3], ("ReallocatePacket", Value::Number(1)));
        // Structures without flags say nothing about them.
        assert_eq!(old.values.len(), 3);
    }

    #[test]
    fn names_of_keys_are_checked() {
        assert!(is_name("cgroup/connect4"));
        for name in ["", r"a\b", "a\0b", &"x".repeat(256)] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
