//! The version resource (RT_VERSION): fixed numbers and strings.

use super::{Malformed, Pe, directory};
use object::LittleEndian;
use object::read::pe::{ResourceDirectory, ResourceDirectoryEntryData};

const RT_VERSION: u16 = 16;
/// Strings read at most.
const STRINGS: usize = 64;
const SIGNATURE: u32 = 0xFEEF_04BD;

/// What a version resource says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Version {
    /// FILEVERSION.
    pub file: [u16; 4],
    /// PRODUCTVERSION.
    pub product: [u16; 4],
    /// The strings of all languages, in order.
    pub strings: Vec<(String, String)>,
}

impl Version {
    /// A string by its key.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<&str> {
        self.strings
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, text)| text.as_str())
    }
}

impl Pe<'_> {
    /// The version resource, if there is one.
    ///
    /// # Errors
    /// The resource directory or the version block is malformed.
    pub fn version(&self) -> Result<Option<Version>, Malformed> {
        let what = "resource directory";
        let Some((at, bytes)) = self.directory_bytes(directory::RESOURCE, what)? else {
            return Ok(None);
        };
        let malformed = |problem| Malformed { what, at, problem };
        let entry = find(ResourceDirectory::new(bytes));
        let Some((rva, len)) = entry.map_err(|_| malformed("it is malformed"))? else {
            return Ok(None);
        };
        let block = self
            .slice(rva, len)
            .ok_or(malformed("the version lies outside"))?;
        parse(block)
            .ok_or(Malformed {
                what: "version resource",
                at: rva,
                problem: "it is malformed",
            })
            .map(Some)
    }
}

/// RVA and size of the first language of the first version resource.
fn find(directory: ResourceDirectory<'_>) -> object::Result<Option<(u32, u32)>> {
    for entry in directory.root()?.entries {
        if entry.name_or_id().id() != Some(RT_VERSION) {
            continue;
        }
        let ResourceDirectoryEntryData::Table(names) = entry.data(directory)? else {
            continue;
        };
        let Some(name) = names.entries.first() else {
            continue;
        };
        let ResourceDirectoryEntryData::Table(languages) = name.data(directory)? else {
            continue;
        };
        let Some(language) = languages.entries.first() else {
            continue;
        };
        if let Some(data) = language.data(directory)?.data() {
            let field = (
                data.offset_to_data.get(LittleEndian),
                data.size.get(LittleEndian),
            );
            return Ok(Some(field));
        }
    }
    Ok(None)
}

fn parse(block: &[u8]) -> Option<Version> {
    let root = Node::read(block)?;
    let mut version = Version::default();
    if root.key != "VS_VERSION_INFO" {
        return None;
    }
    if let Some((fixed, _)) = root.value.split_first_chunk::<52>() {
        let word =
            |i: usize| u32::from_le_bytes([fixed[i], fixed[i + 1], fixed[i + 2], fixed[i + 3]]);
        if word(0) != SIGNATURE {
            return None;
        }
        let quad = |high: u32, low: u32| {
            [
                (high >> 16) as u16,
                high as u16,
                (low >> 16) as u16,
                low as u16,
            ]
        };
        version.file = quad(word(8), word(12));
        version.product = quad(word(16), word(20));
    }
    // The nesting is fixed: StringFileInfo, one table per language, strings.
    let strings = Children(root.children)
        .filter(|info| info.key == "StringFileInfo")
        .flat_map(|info| Children(info.children))
        .flat_map(|table| Children(table.children))
        .take(STRINGS);
    version
        .strings
        .extend(strings.map(|string| (string.key, text(string.value))));
    Some(version)
}

/// One block: length, value length, type, key, value, children.
struct Node<'a> {
    len: usize,
    key: String,
    value: &'a [u8],
    children: &'a [u8],
}

impl<'a> Node<'a> {
    fn read(bytes: &'a [u8]) -> Option<Node<'a>> {
        let field = |i: usize| {
            Some(usize::from(u16::from_le_bytes([
                *bytes.get(i)?,
                *bytes.get(i + 1)?,
            ])))
        };
        let (len, value_len, is_text) = (field(0)?, field(2)?, field(4)? == 1);
        let bytes = bytes.get(..len).filter(|_| len >= 6)?;
        let units = bytes[6..].chunks_exact(2);
        let key_units = units.clone().position(|unit| unit == [0, 0])?;
        let key = text(&bytes[6..6 + key_units * 2]);
        let value_at = (6 + (key_units + 1) * 2).next_multiple_of(4).min(len);
        let value_bytes = if is_text { value_len * 2 } else { value_len };
        let value_end = (value_at + value_bytes).min(len);
        let children = bytes
            .get(value_end.next_multiple_of(4)..)
            .unwrap_or_default();
        Some(Node {
            len,
            key,
            value: &bytes[value_at..value_end],
            children,
        })
    }
}

/// Sibling blocks; ends at the first malformed one.
struct Children<'a>(&'a [u8]);

impl<'a> Iterator for Children<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        let node = Node::read(self.0)?;
        self.0 = self
            .0
            .get(node.len.next_multiple_of(4)..)
            .unwrap_or_default();
        Some(node)
    }
}

/// UTF-16 up to the terminator.
fn text(bytes: &[u8]) -> String {
    let units = bytes
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let units: Vec<u16> = units.take_while(|&unit| unit != 0).collect();
    String::from_utf16_lossy(&units)
}
