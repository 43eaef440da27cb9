//! What is known of the configuration of the kernel that programs are loaded into.
//!
//! Programs declare values in section `.kconfig`: `CONFIG_*` of the kernel's build, and what loaders
//! add, such as `LINUX_KERNEL_VERSION`. Loaders write them as the types in BTF say, and refuse what
//! does not fit, as is done here. Not decided here: the values nobody gave, which stay unknown.

use crate::{
    btf::{Btf, Kind, TypeId},
    error::LoadError,
};
use abi::diagnostic;
use std::collections::BTreeMap;

/// The version of the kernel, as `KERNEL_VERSION` of its headers makes it.
const VERSION: &str = "LINUX_KERNEL_VERSION";
/// The enumeration by which libbpf's headers call the three values of an option.
const TRISTATE: &str = "libbpf_tristate";

/// Values by name, as they stand in the kernel's `.config`.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    values: BTreeMap<String, String>,
    /// Options that are not named are not set.
    whole: bool,
}

/// How the type of a variable holds its value.
#[derive(Clone, Copy)]
enum Shape {
    Bool,
    Char,
    Tristate,
    Number { bytes: u32, signed: bool },
    Text { bytes: u32 },
}

impl Configuration {
    /// Adds a whole configuration, the text of `/proc/config.gz` or `/boot/config-*`.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn add_file(&mut self, text: &str) -> Result<(), String> {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let added = self.add(line);
            added.map_err(|error| format!("line {number}: {error}"))?;
        }
        self.whole = true;
        Ok(())
    }

    /// Adds one `NAME=VALUE`; a later one wins.
    ///
    /// # Errors
    /// It is no such thing.
    pub fn add(&mut self, line: &str) -> Result<(), String> {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        let is_name = |name: &str| {
            let mut bytes = name.bytes();
            bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if name.is_empty() || !is_name(name) || value.is_empty() {
            return Err(format!("`{line}` is not of the form `CONFIG_NAME=VALUE`"));
        }
        self.values.insert(name.into(), value.into());
        Ok(())
    }

    /// Sets the kernel's version from `6.1`, `6.1.12`, or what `uname -r` prints.
    ///
    /// # Errors
    /// There are no such numbers.
    pub fn set_version(&mut self, text: &str) -> Result<(), String> {
        let error = || format!("`{text}` is no version of the kernel such as `6.1.12`");
        let is_part = |c: char| c.is_ascii_digit() || c == '.';
        let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
        let parts: Result<Vec<u32>, _> = text[..end].split('.').map(str::parse).collect();
        let (major, minor, patch) = match *parts.map_err(|_| error())? {
            [major, minor] => (major, minor, 0),
            [major, minor, patch, ..] => (major, minor, patch),
            _ => return Err(error()),
        };
        if major > 255 || minor > 255 {
            return Err(error());
        }
        // The headers have eight bits for the last part, and stop there.
        let version = major << 16 | minor << 8 | patch.min(255);
        self.values.insert(VERSION.into(), version.to_string());
        Ok(())
    }

    /// The bytes of a variable, when its value is known.
    pub(crate) fn bytes_of(
        &self,
        btf: &Btf<'_>,
        (name, id): (&str, TypeId),
        binding: Binding,
    ) -> Result<Option<Vec<u8>>, LoadError> {
        let bytes = btf.size_of(id)?;
        let Some(value) = self.values.get(name) else {
            let unset = self.whole && binding == Binding::Weak && name.starts_with("CONFIG_");
            return Ok(unset.then(|| vec![0; bytes as usize]));
        };
        let shape = shape(btf, id)?;
        let written = shape.and_then(|shape| shape.write(value));
        let written = written.filter(|written| written.len() == bytes as usize);
        written.map(Some).ok_or_else(|| {
            let text = format!("the value {value} does not fit the type of the variable");
            LoadError::new(diagnostic::GLOBAL_INVALID, text).symbol(name)
        })
    }
}

/// How a variable is declared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    /// It must be set.
    Strong,
    /// It is zero where it is not set.
    Weak,
}

impl Shape {
    /// The bytes of a value.
    fn write(self, value: &str) -> Option<Vec<u8>> {
        let letter = matches!(value, "y" | "m" | "n").then(|| value.as_bytes()[0]);
        match (self, letter) {
            (Shape::Bool, Some(b'm')) => None,
            (Shape::Bool, Some(letter)) => Some(vec![u8::from(letter == b'y')]),
            (Shape::Char, Some(letter)) => Some(vec![letter]),
            (Shape::Tristate, Some(letter)) => {
                let set = match letter {
                    b'y' => 1u32,
                    b'm' => 2,
                    _ => 0,
                };
                Some(set.to_le_bytes().into())
            }
            (Shape::Char, None) => number(value, (1, true)),
            (Shape::Number { bytes, signed }, None) => number(value, (bytes, signed)),
            (Shape::Text { bytes }, None) => text(value, bytes as usize),
            _ => None,
        }
    }
}

/// What a type can hold; other types hold nothing of the configuration.
fn shape(btf: &Btf<'_>, id: TypeId) -> Result<Option<Shape>, LoadError> {
    let variable = btf.ty(id)?;
    if variable.kind != Kind::Variable {
        return Ok(None);
    }
    let (stripped, ty) = btf.strip(variable.size_or_type)?;
    Ok(match ty.kind {
        Kind::Int if btf.is_bool(stripped)? => Some(Shape::Bool),
        Kind::Int if ty.size_or_type == 1 => Some(Shape::Char),
        Kind::Int => Some(Shape::Number {
            bytes: ty.size_or_type,
            signed: btf.is_signed(stripped)?,
        }),
        Kind::Enum if ty.size_or_type == 4 && btf.name(&ty)? == TRISTATE => Some(Shape::Tristate),
        Kind::Array => {
            let bytes = btf.size_of(stripped)?;
            let element = btf.array(stripped)?.map(|(element, _)| btf.strip(element));
            let element = element.transpose()?.map(|(_, ty)| ty);
            let is_text = element.is_some_and(|ty| ty.kind == Kind::Int && ty.size_or_type == 1);
            (is_text && bytes != 0).then_some(Shape::Text { bytes })
        }
        _ => None,
    })
}

/// A number of a width, decimal or hexadecimal.
fn number(text: &str, (bytes, signed): (u32, bool)) -> Option<Vec<u8>> {
    let (digits, negative) = match text.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let hexadecimal = digits.strip_prefix("0x").or(digits.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some(rest) => (rest, 16),
        None => (digits, 10),
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = i128::from(
        u64::from_str_radix(digits, radix)
            .ok()
            .filter(|_| is_number)?,
    );
    let value = if negative { -size } else { size };
    let bits = matches!(bytes, 1 | 2 | 4 | 8).then(|| bytes * 8)?;
    let (least, most) = match signed {
        true => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
        false => (0, (1i128 << bits) - 1),
    };
    let fits = value >= least && value <= most;
    fits.then(|| value.to_le_bytes()[..bytes as usize].into())
}

/// A text in quotes, cut to what there is room for, with a zero at its end.
fn text(value: &str, bytes: usize) -> Option<Vec<u8>> {
    let inside = value.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = inside.as_bytes().to_vec();
    text.truncate(bytes.checked_sub(1)?);
    text.resize(bytes, 0);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let version = |text: &str| {
            let mut configuration = Configuration::default();
            configuration.set_version(text)?;
            Ok::<_, String>(configuration.values[VERSION].clone())
        };
        assert_eq!(version("6.1"), Ok((6 << 16 | 1 << 8).to_string()));
        assert_eq!(version("6.1.12-9-amd64"), Ok((0x06_010c).to_string()));
        assert_eq!(version("4.14.300"), Ok((0x04_0eff).to_string()));
        for bad in [
            "",
            "6",
            "6.",
            "x6.1",
            "6.256",
            "6.1.",
            "6..1",
            "6.99999999999",
        ] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_are_lines_and_remarks() {
        let mut configuration = Configuration::default();
        let file = "# Linux/x86 6.1 Configuration\n\nCONFIG_HZ=250\n# CONFIG_A is not set\n\
                    CONFIG_NAME=\"a=b\"\n";
        configuration.add_file(file).unwrap();
        assert_eq!(configuration.values["CONFIG_HZ"], "250");
        assert_eq!(configuration.values["CONFIG_NAME"], "\"a=b\"");
        assert_eq!(configuration.values.len(), 2);
        let error = configuration
            .add_file("CONFIG_HZ=1\nwhat is this")
            .unwrap_err();
        assert!(error.starts_with("line 2: "), "{error}");
        for bad in [
            "CONFIG_A",
            "CONFIG_A=",
            "=1",
            "CONFIG A=1",
            "\u{1f}\u{8b}=1",
        ] {
            assert!(configuration.add(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_fit_their_types() {
        let signed = |bytes| Shape::Number {
            bytes,
            signed: true,
        };
        let unsigned = |bytes| Shape::Number {
            bytes,
            signed: false,
        };
        let rows: [(Shape, &str, Option<&[u8]>); 23] = [
            (unsigned(0), "0", None),
            (signed(16), "0", None),
            (Shape::Bool, "y", Some(&[1])),
            (Shape::Bool, "n", Some(&[0])),
            (Shape::Bool, "m", None),
            (Shape::Bool, "1", None),
            (Shape::Char, "m", Some(b"m")),
            (Shape::Char, "-128", Some(&[0x80])),
            (Shape::Char, "128", None),
            (Shape::Tristate, "m", Some(&[2, 0, 0, 0])),
            (Shape::Tristate, "1", None),
            (signed(2), "-1", Some(&[0xff, 0xff])),
            (signed(2), "32768", None),
            (signed(4), "0x10", Some(&[16, 0, 0, 0])),
            (signed(4), "y", None),
            (unsigned(2), "65535", Some(&[0xff, 0xff])),
            (unsigned(2), "-1", None),
            (unsigned(8), "0xffffffffffffffff", Some(&[0xff; 8])),
            (unsigned(8), "18446744073709551616", None),
            (unsigned(4), "+1", None),
            (Shape::Text { bytes: 4 }, "\"ab\"", Some(b"ab\0\0")),
            (Shape::Text { bytes: 3 }, "\"abc\"", Some(b"ab\0")),
            (Shape::Text { bytes: 4 }, "ab", None),
        ];
        for (shape, value, expected) in rows {
            assert_eq!(shape.write(value).as_deref(), expected, "{value}");
        }
    }
}
