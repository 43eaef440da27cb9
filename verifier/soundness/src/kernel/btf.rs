//! Just enough type information for the kernel to see locks and timers in map values, and
//! functions in programs.

use program::MapDef;

/// Kinds of types, as `linux/btf.h` numbers them.
const INT: u32 = 1;
const STRUCT: u32 = 4;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;

/// Types below, by id.
const TYPE_INT: u32 = 1;
const TYPE_LOCK: u32 = 2;
const TYPE_TIMER: u32 = 3;
const TYPE_KEY: u32 = 4;
/// The value of a map.
pub(super) const TYPE_VALUE: u32 = 5;
const TYPE_PROTO: u32 = 6;
/// A static function.
pub(super) const TYPE_FUNCTION: u32 = 7;

/// The number of a function in the kernel's own type information.
pub(super) fn kernel_function(types: &[u8], name: &str) -> Option<u32> {
    let word = |at: usize| {
        let bytes = types.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let header = word(4)? as usize;
    let (mut at, end) = (
        header + word(8)? as usize,
        header + word(8)? as usize + word(12)? as usize,
    );
    let strings = header + word(16)? as usize;
    let mut id = 0;
    while at < end {
        id += 1;
        let (named, info) = (strings + word(at)? as usize, word(at + 4)?);
        let text = types.get(named..)?;
        let is_named = text.starts_with(name.as_bytes()) && text.get(name.len()) == Some(&0);
        if info >> 24 & 0x1f == FUNC && is_named {
            return Some(id);
        }
        at += 12 + bytes_behind(info)?;
    }
    None
}

/// Bytes that follow the record of a type.
fn bytes_behind(info: u32) -> Option<usize> {
    let members = (info & 0xffff) as usize;
    Some(match info >> 24 & 0x1f {
        2 | 7..=12 | 16 | 18 => 0,
        INT | 14 | 17 => 4,
        3 => 12,
        STRUCT | 5 | 15 | 19 => 12 * members,
        6 | FUNC_PROTO => 8 * members,
        _ => return None,
    })
}

/// The key of a map: arrays want a number.
pub(super) fn key_type(map: &MapDef) -> u32 {
    if map.key_size == 4 {
        TYPE_INT
    } else {
        TYPE_KEY
    }
}

struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
}

impl Writer {
    fn words(&mut self, words: &[u32]) {
        self.types
            .extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    fn name(&mut self, name: &str) -> u32 {
        let at = self.strings.len() as u32;
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        at
    }

    /// A structure of a size with members: name, type, offset in bytes.
    fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) {
        let name = self.name(name);
        self.words(&[name, STRUCT << 24 | members.len() as u32, size]);
        for (member, kind, offset) in members {
            let member = self.name(member);
            self.words(&[member, *kind, offset * 8]);
        }
    }

    fn finish(self) -> Vec<u8> {
        let mut header = vec![0x9f, 0xeb, 1, 0];
        let types = self.types.len() as u32;
        let strings = self.strings.len() as u32;
        let words = [24, 0, types, types, strings];
        header.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        header.extend(self.types);
        header.extend(self.strings);
        header
    }
}

/// Types for a map, and for functions.
pub(super) fn bytes(map: Option<&MapDef>) -> Vec<u8> {
    let mut writer = Writer {
        types: Vec::new(),
        strings: vec![0],
    };
    let int = writer.name("int");
    // Signed, 32 bits.
    writer.words(&[int, INT << 24, 4, 1 << 24 | 32]);
    writer.structure("bpf_spin_lock", 4, &[("val", TYPE_INT, 0)]);
    writer.structure("bpf_timer", 16, &[]);
    let (key_size, value_size) = map.map_or((4, 4), |map| (map.key_size, map.value_size));
    writer.structure("key", key_size, &[]);
    let lock = map.and_then(|map| map.spin_lock);
    let timer = map.and_then(|map| map.timer);
    let mut members: Vec<_> = lock
        .map(|at| ("lock", TYPE_LOCK, at))
        .into_iter()
        .chain(timer.map(|at| ("timer", TYPE_TIMER, at)))
        .collect();
    members.sort_by_key(|(_, _, at)| *at);
    writer.structure("value", value_size, &members);
    writer.words(&[0, FUNC_PROTO << 24, TYPE_INT]);
    let function = writer.name("function");
    writer.words(&[function, FUNC << 24, TYPE_PROTO]);
    writer.finish()
}
