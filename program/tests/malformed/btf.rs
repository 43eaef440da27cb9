//! Type information that is wrong in one place, and shapes that compilers rarely make.

use crate::support::{Elf, FUNCTION, OBJECT, Symbol, code, data, section};
use abi::{Code, diagnostic as is};
use program::{LoadError, LoadOptions, Object};

const EXIT: u64 = 0x9500_0000_0000_0000;

/// A `.BTF` section in the making. Ids count from 1 in the order of calls.
#[derive(Default)]
struct Btf {
    types: Vec<u32>,
    strings: Vec<u8>,
    count: u32,
}

const INT: u32 = 1;
const POINTER: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const TYPEDEF: u32 = 8;
const VARIABLE: u32 = 14;
const DATA_SECTION: u32 = 15;

impl Btf {
    fn string(&mut self, text: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        let at = self.strings.len() as u32;
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        if text.is_empty() { 0 } else { at }
    }

    /// Adds a type of a kind; `extra` follows the common header.
    fn add(&mut self, kind: u32, name: &str, len: u32, size: u32, extra: &[u32]) -> u32 {
        let name = self.string(name);
        self.types
            .extend_from_slice(&[name, kind << 24 | len, size]);
        self.types.extend_from_slice(extra);
        self.count += 1;
        self.count
    }

    /// `int (*)[n]`, as `__uint` makes it.
    fn number(&mut self, int: u32, n: u32) -> u32 {
        let array = self.add(ARRAY, "", 0, 0, &[int, int, n]);
        self.add(POINTER, "", 0, array, &[])
    }

    fn members(&mut self, list: &[(&str, u32)]) -> Vec<u32> {
        (0u32..)
            .zip(list)
            .flat_map(|(index, (name, ty))| [self.string(name), *ty, index * 64])
            .collect()
    }

    /// A structure of pointers.
    fn structure(&mut self, name: &str, list: &[(&str, u32)]) -> u32 {
        let members = self.members(list);
        let len = list.len() as u32;
        self.add(STRUCT, name, len, len * 8, &members)
    }

    fn bytes(&self) -> Vec<u8> {
        let types: Vec<u8> = self
            .types
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let (len, strings) = (types.len() as u32, self.strings.len() as u32);
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, len, len, strings] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        [bytes, types, self.strings.clone()].concat()
    }
}

/// A program and the type information, without maps.
fn with_btf(btf: Vec<u8>) -> Elf {
    Elf {
        sections: vec![code("xdp", &[EXIT]), section(".BTF", 1, 0, btf)],
        symbols: vec![Symbol {
            name: "main",
            info: FUNCTION,
            section: 1,
            value: 0,
            size: 8,
        }],
    }
}

/// A map `m` at the start of `.maps` whose type `make` defines.
fn with_map(make: impl Fn(&mut Btf, u32) -> u32) -> Elf {
    let mut btf = Btf::default();
    let int = btf.add(INT, "int", 0, 4, &[0x2000]);
    let ty = make(&mut btf, int);
    let variable = btf.add(VARIABLE, "m", 0, ty, &[1]);
    btf.add(DATA_SECTION, ".maps", 1, 0, &[variable, 0, 32]);
    let mut elf = with_btf(btf.bytes());
    elf.sections.push(data(".maps", &[0; 32]));
    elf.symbols.push(Symbol {
        name: "m",
        info: OBJECT,
        section: 3,
        value: 0,
        size: 32,
    });
    elf
}

fn load(elf: &Elf) -> Result<Object, LoadError> {
    program::load(&elf.bytes(), &LoadOptions::default())
}

#[track_caller]
fn refused(elf: &Elf, code: Code, place: &str) {
    let error = load(elf).unwrap_err();
    assert_eq!(
        (error.code(), &*error.place().to_string()),
        (code, place),
        "{error}"
    );
}

/// Type, key, value, entries of an array.
fn array_map(btf: &mut Btf, int: u32) -> [(&'static str, u32); 4] {
    let key = btf.add(POINTER, "", 0, int, &[]);
    [
        ("type", btf.number(int, 2)),
        ("key", key),
        ("value", key),
        ("max_entries", btf.number(int, 9)),
    ]
}

#[test]
fn the_builder_makes_maps() {
    let elf = with_map(|btf, int| {
        let members = array_map(btf, int);
        btf.structure("", &members)
    });
    let object = load(&elf).unwrap();
    let map = &object.maps[0];
    assert_eq!((map.key_size, map.value_size, map.max_entries), (4, 4, 9));
}

#[test]
fn headers_and_extents() {
    let place = |offset| format!("section `.BTF`, offset {offset:#x}");
    let mut btf = Btf::default();
    btf.add(INT, "int", 0, 4, &[0x2000]);
    let good = btf.bytes();
    assert!(load(&with_btf(good.clone())).is_ok());
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        with_btf(bytes)
    };
    refused(&changed(0, 0), is::BTF_MALFORMED, "section `.BTF`");
    refused(&changed(2, 9), is::BTF_MALFORMED, "section `.BTF`");
    refused(&changed(4, 8), is::BTF_MALFORMED, &place(4));
    refused(&changed(13, 1), is::BTF_MALFORMED, &place(8));
    refused(&changed(21, 1), is::BTF_MALFORMED, &place(16));
    // Kind 31, then an array that would need more bytes.
    refused(&changed(31, 31), is::BTF_MALFORMED, &place(24));
    refused(&changed(31, 3), is::BTF_MALFORMED, &place(24));
    let last = good.len() - 1;
    refused(&changed(last, b'x'), is::BTF_MALFORMED, &place(16));
}

#[test]
fn cycles_end() {
    let elf = with_map(|btf, int| {
        let cycle = btf.count + 1;
        btf.add(TYPEDEF, "again", 0, cycle, &[]);
        let value = btf.add(POINTER, "", 0, cycle, &[]);
        let mut members = array_map(btf, int);
        members[2].1 = value;
        btf.structure("", &members)
    });
    refused(&elf, is::BTF_LIMIT, "section `.BTF`, `m`, offset 0x0");
    let elf = with_map(|btf, int| {
        // An array of itself.
        let cycle = btf.count + 1;
        btf.add(ARRAY, "", 0, 0, &[cycle, int, 1]);
        let value = btf.add(POINTER, "", 0, cycle, &[]);
        let mut members = array_map(btf, int);
        members[2].1 = value;
        btf.structure("", &members)
    });
    refused(&elf, is::BTF_LIMIT, "section `.BTF`, `m`, offset 0x0");
}

#[test]
fn values_of_more_than_four_gigabytes() {
    let elf = with_map(|btf, int| {
        let huge = btf.add(ARRAY, "", 0, 0, &[int, int, 0x8000_0000]);
        let value = btf.add(POINTER, "", 0, huge, &[]);
        let mut members = array_map(btf, int);
        members[2].1 = value;
        btf.structure("", &members)
    });
    refused(&elf, is::BTF_LIMIT, "section `.BTF`, `m`, offset 0x0");
}

#[test]
fn definitions_must_be_complete() {
    let place = "section `.maps`, `m`, offset 0x0";
    refused(&with_map(|_, int| int), is::MAP_MALFORMED, place);
    let no_type = with_map(|btf, int| {
        let members = array_map(btf, int);
        btf.structure("", &members[1..])
    });
    refused(&no_type, is::MAP_MALFORMED, place);
    let plain_number = with_map(|btf, int| {
        let mut members = array_map(btf, int);
        members[0].1 = int;
        btf.structure("", &members)
    });
    refused(&plain_number, is::MAP_MALFORMED, place);
    let contradiction = with_map(|btf, int| {
        let mut members = array_map(btf, int).to_vec();
        members.push(("key_size", btf.number(int, 8)));
        btf.structure("", &members)
    });
    refused(&contradiction, is::MAP_MALFORMED, place);
    let pinning = with_map(|btf, int| {
        let mut members = array_map(btf, int).to_vec();
        members.push(("pinning", btf.number(int, 2)));
        btf.structure("", &members)
    });
    refused(&pinning, is::MAP_MALFORMED, place);
    let dangling = with_map(|btf, int| {
        let mut members = array_map(btf, int);
        members[1].1 = 0xffff;
        btf.structure("", &members)
    });
    refused(
        &dangling,
        is::BTF_MALFORMED,
        "section `.BTF`, `m`, offset 0x0",
    );
}

#[test]
fn maps_and_descriptions_must_match() {
    let good = with_map(|btf, int| {
        let members = array_map(btf, int);
        btf.structure("", &members)
    });
    let mut extra = good.clone();
    extra.symbols.push(Symbol {
        name: "other",
        info: OBJECT,
        section: 3,
        value: 8,
        size: 8,
    });
    refused(
        &extra,
        is::MAP_MALFORMED,
        "section `.maps`, `other`, offset 0x8",
    );
    let mut outside = good.clone();
    outside.symbols[1].value = 0x1000;
    refused(&outside, is::MAP_MALFORMED, "section `.maps`, `m`");
    let mut missing = good;
    missing.symbols.pop();
    refused(&missing, is::MAP_MALFORMED, "section `.maps`, `m`");
}

#[test]
fn global_sections_must_have_the_described_size() {
    let mut btf = Btf::default();
    btf.add(DATA_SECTION, ".data", 0, 16, &[]);
    let mut elf = with_btf(btf.bytes());
    elf.sections.push(data(".data", &[0; 8]));
    refused(&elf, is::GLOBAL_INVALID, "section `.data`");
    elf.sections[2].data.resize(16, 0);
    assert!(load(&elf).is_ok());
    elf.sections[2] = data(".rodata", &vec![0; (1 << 20) + 1]);
    refused(&elf, is::GLOBAL_INVALID, "section `.rodata`");
}

#[test]
fn line_tables_must_fit() {
    let mut btf = Btf::default();
    let name = btf.string("xdp");
    let text = btf.string("return 0;");
    let ext = |record: u32, of: u32, count: u32, at: u32| {
        let lines = [record, of, count, at, text, text, 7 << 10 | 3];
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, 0, 0, lines.len() as u32 * 4].iter().chain(&lines) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        let mut elf = with_btf(btf.bytes());
        elf.sections.push(section(".BTF.ext", 1, 0, bytes));
        elf
    };
    let object = load(&ext(16, name, 1, 0)).unwrap();
    let line = &object.programs[0].lines[0];
    assert_eq!((line.line, line.column, &*line.text), (7, 3, "return 0;"));
    let place = |offset| format!("section `.BTF.ext`, offset {offset:#x}");
    refused(&ext(12, name, 1, 0), is::BTF_EXT_MALFORMED, &place(24));
    refused(&ext(16, 9999, 1, 0), is::BTF_EXT_MALFORMED, &place(28));
    refused(&ext(16, name, 2, 0), is::BTF_EXT_MALFORMED, &place(28));
    refused(&ext(16, name, 0, 0), is::BTF_EXT_MALFORMED, &place(32));
    refused(
        &ext(16, name, 1, 4),
        is::BTF_EXT_MALFORMED,
        "section `xdp`, offset 0x4",
    );
}
