//! The version resource, from the text template `templates/driver/version.rc`.
//!
//! The template is written in the resource compiler's language, of which this reads the part that
//! a VERSIONINFO needs: numbers, one string block, one translation. Placeholders are replaced after
//! parsing, so a name with quotes cannot change the structure. Format: VS_VERSIONINFO, Win32 docs.

use super::layout::Layout;
use crate::Error;

const TEMPLATE: &str = include_str!("../../../templates/driver/version.rc");
/// Longest module name: what file systems allow, and far below the format's 64 KiB per block.
const NAME_UNITS: usize = 255;
const RT_VERSION: u32 = 16;
const ENGLISH_US: u32 = 0x409;
/// Three directory levels with one entry each, and one data entry.
const DATA_ENTRY_AT: usize = 3 * (16 + 8);
const BLOB_AT: usize = DATA_ENTRY_AT + 16;

/// A `.rsrc` section whose one data entry still lacks the section's address.
#[derive(Debug)]
pub(super) struct Resource {
    bytes: Vec<u8>,
}

impl Resource {
    /// Contents of the section.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Enters the address of the data.
    pub(super) fn write(&self, layout: &mut Layout) {
        let section = layout.resources_mut();
        let rva = section.rva + BLOB_AT as u32;
        section.data[DATA_ENTRY_AT..DATA_ENTRY_AT + 4].copy_from_slice(&rva.to_le_bytes());
    }
}

/// The version resource of a module.
pub(super) fn version(module: &str) -> Result<Resource, Error> {
    let len = module.encode_utf16().count();
    if len > NAME_UNITS {
        return Err(Error::ModuleName {
            len,
            limit: NAME_UNITS,
        });
    }
    let blob = Template::parse(TEMPLATE)?.instantiate(module);
    let mut bytes = Vec::with_capacity(BLOB_AT + blob.len());
    let subdirectory = 0x8000_0000;
    for (id, target) in [
        (RT_VERSION, 24 | subdirectory),
        (1, 48 | subdirectory),
        (ENGLISH_US, DATA_ENTRY_AT as u32),
    ] {
        // Characteristics, stamp, version; no named entries, one by id.
        for field in [0, 0, 0, 0x1_0000, id, target] {
            bytes.extend_from_slice(&u32::to_le_bytes(field));
        }
    }
    for field in [0, blob.len() as u32, 0, 0] {
        bytes.extend_from_slice(&u32::to_le_bytes(field));
    }
    bytes.extend_from_slice(&blob);
    Ok(Resource { bytes })
}

/// The template after parsing, placeholders still in it.
#[derive(Debug, Default)]
struct Template<'a> {
    /// FILEVERSION, PRODUCTVERSION as written.
    versions: [&'a str; 2],
    /// FILEFLAGSMASK, FILEFLAGS, FILEOS, FILETYPE, FILESUBTYPE.
    numbers: [u32; 5],
    language_block: &'a str,
    strings: Vec<(&'a str, &'a str)>,
    translation: [u16; 2],
}

impl<'a> Template<'a> {
    fn parse(text: &'a str) -> Result<Template<'a>, Error> {
        let mut template = Template::default();
        for (index, line) in text.lines().enumerate() {
            template
                .line(line.trim())
                .ok_or(Error::Template { line: index + 1 })?;
        }
        Ok(template)
    }

    fn line(&mut self, line: &'a str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "FILEVERSION" => self.versions[0] = rest,
            "PRODUCTVERSION" => self.versions[1] = rest,
            "FILEFLAGSMASK" => self.numbers[0] = number(rest)?,
            "FILEFLAGS" => self.numbers[1] = number(rest)?,
            "FILEOS" => self.numbers[2] = number(rest)?,
            "FILETYPE" => self.numbers[3] = number(rest)?,
            "FILESUBTYPE" => self.numbers[4] = number(rest)?,
            "BLOCK" => match quoted(rest)? {
                "StringFileInfo" | "VarFileInfo" => {}
                language => self.language_block = language,
            },
            "VALUE" => return self.value(rest),
            "" | "//" | "1" | "BEGIN" | "END" => {}
            _ => return None,
        }
        Some(())
    }

    fn value(&mut self, rest: &'a str) -> Option<()> {
        let (key, value) = rest.split_once(',')?;
        let (key, value) = (quoted(key.trim())?, value.trim());
        if key == "Translation" {
            let (language, code_page) = value.split_once(',')?;
            let half = |text: &str| u16::try_from(number(text.trim())?).ok();
            self.translation = [half(language)?, half(code_page)?];
        } else {
            self.strings.push((key, quoted(value)?));
        }
        Some(())
    }

    fn instantiate(&self, module: &str) -> Vec<u8> {
        let release = env!("CARGO_PKG_VERSION");
        let mut numbers = release
            .split('.')
            .map(|part| part.parse::<u32>().unwrap_or(0));
        let [a, b, c] = [(); 3].map(|()| numbers.next().unwrap_or(0));
        let packed = |text: &str| {
            if text == "{version}" {
                [a << 16 | b, c << 16]
            } else {
                [0, 0]
            }
        };
        let [file, product] = self.versions.map(packed);
        let [mask, flags, os, kind, subtype] = self.numbers;
        let fixed = [
            0xFEEF_04BD,
            0x1_0000,
            file[0],
            file[1],
            product[0],
            product[1],
            mask,
            flags,
            os,
            kind,
            subtype,
            0,
            0,
        ];
        let fixed: Vec<u8> = fixed.iter().flat_map(|v: &u32| v.to_le_bytes()).collect();
        let fill = |text: &str| text.replace("{name}", module).replace("{release}", release);
        let strings = self
            .strings
            .iter()
            .map(|(key, text)| string(key, &fill(text)))
            .collect();
        let table = node(self.language_block, Value::None, strings);
        let translation: Vec<u8> = self
            .translation
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let translation = node("Translation", Value::Binary(&translation), Vec::new());
        let children = vec![
            node("StringFileInfo", Value::None, vec![table]),
            node("VarFileInfo", Value::None, vec![translation]),
        ];
        node("VS_VERSION_INFO", Value::Binary(&fixed), children)
    }
}

enum Value<'a> {
    None,
    Binary(&'a [u8]),
    /// UTF-16 with terminator; the length field counts units, not bytes.
    Text(&'a [u8]),
}

fn string(key: &str, text: &str) -> Vec<u8> {
    node(key, Value::Text(&utf16z(text)), Vec::new())
}

/// One block: length, value length, type, key, value, children; parts aligned to four bytes.
fn node(key: &str, value: Value<'_>, children: Vec<Vec<u8>>) -> Vec<u8> {
    let (value_len, kind, bytes) = match value {
        Value::None => (0, 1u16, &[][..]),
        Value::Binary(bytes) => (bytes.len(), 0, bytes),
        Value::Text(bytes) => (bytes.len() / 2, 1, bytes),
    };
    let mut out = vec![0; 6];
    out.extend_from_slice(&utf16z(key));
    for part in std::iter::once(bytes).chain(children.iter().map(Vec::as_slice)) {
        if !part.is_empty() {
            out.resize(out.len().next_multiple_of(4), 0);
            out.extend_from_slice(part);
        }
    }
    let len = out.len() as u16;
    out[0..2].copy_from_slice(&len.to_le_bytes());
    out[2..4].copy_from_slice(&(value_len as u16).to_le_bytes());
    out[4..6].copy_from_slice(&kind.to_le_bytes());
    out
}

fn utf16z(text: &str) -> Vec<u8> {
    text.encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect()
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}
