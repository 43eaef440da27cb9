//! A hand-made native module: two programs, two maps, initial values, globals, a hash.

use super::section;
use abi::Guid;
use abi::native as layout;
use codegen::{Import, Module, Reloc, RelocKind, SectionId, SectionKind, Symbol, SymbolId, Target};

const TEXT: u16 = 0;
const XDP: u16 = 1;
const RDATA: u16 = 2;
const DATA: u16 = 3;

/// Program type of both programs.
pub(crate) const PROGRAM_TYPE: u128 = 0xf1832a85_85d5_45b0_98a0_7069d63013b0;
/// Attach type of both programs.
pub(crate) const ATTACH_TYPE: u128 = 0x85e0d8ef_579e_4931_b072_8ee226bb2e9d;

#[derive(Default)]
struct Bytes {
    data: Vec<u8>,
    relocs: Vec<Reloc>,
}

impl Bytes {
    fn raw(&mut self, bytes: &[u8]) -> u32 {
        let at = self.data.len() as u32;
        self.data.extend_from_slice(bytes);
        at
    }

    fn word(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    fn header(&mut self, header: layout::Header) {
        for word in [u64::from(header.version), header.size, header.total_size] {
            self.word(word);
        }
    }

    fn pointer(&mut self, symbol: SymbolId) {
        let offset = self.data.len() as u32;
        let target = Target::Symbol(symbol);
        self.relocs.push(Reloc {
            offset,
            kind: RelocKind::Abs64,
            target,
            addend: 0,
        });
        self.word(0);
    }
}

/// Sections under construction and symbols into them.
#[derive(Default)]
struct Parts {
    rdata: Bytes,
    data: Bytes,
    symbols: Vec<Symbol>,
}

impl Parts {
    fn symbol(&mut self, section: u16, offset: u32) -> SymbolId {
        let name = format!("s{}", self.symbols.len());
        self.symbols.push(Symbol {
            name,
            section: SectionId(section),
            offset,
        });
        SymbolId(self.symbols.len() as u32 - 1)
    }

    fn string(&mut self, text: &str) -> SymbolId {
        let at = self.rdata.raw(text.as_bytes());
        self.rdata.raw(&[0]);
        self.symbol(RDATA, at)
    }

    fn guid(&mut self, text: u128) -> SymbolId {
        let at = self.data.raw(&Guid::from_u128(text).to_bytes());
        self.symbol(DATA, at)
    }

    fn helpers(&mut self, ids: &[u32]) -> SymbolId {
        let names: Vec<_> = ids
            .iter()
            .map(|id| self.string(&format!("helper_id_{id}")))
            .collect();
        let at = self.data.data.len() as u32;
        for (id, name) in ids.iter().zip(names) {
            self.data.header(layout::HelperFunctionEntry::HEADER);
            self.data.word(u64::from(*id));
            self.data.pointer(name);
        }
        self.symbol(DATA, at)
    }
}

struct Wanted {
    name: &'static str,
    pe_section: &'static str,
    function: SymbolId,
    helpers: &'static [u32],
    maps: &'static [u16],
}

fn program(parts: &mut Parts, programs: &mut Bytes, wanted: &Wanted) {
    let strings = [wanted.pe_section, "xdp/filter", wanted.name].map(|text| parts.string(text));
    let maps: Vec<u8> = wanted
        .maps
        .iter()
        .flat_map(|index| index.to_le_bytes())
        .collect();
    let maps = parts.data.raw(&maps);
    let maps = parts.symbol(DATA, maps);
    let padding = parts.data.data.len().next_multiple_of(8) - parts.data.data.len();
    parts.data.raw(&[0; 8][..padding]);
    let helpers = parts.helpers(wanted.helpers);
    let types = [parts.guid(PROGRAM_TYPE), parts.guid(ATTACH_TYPE)];
    let hash = parts.rdata.raw(&[0xAB; 32]);
    let hash = parts.symbol(RDATA, hash);
    let hash_type = parts.string(layout::HASH_SHA256);
    programs.word(0);
    programs.header(layout::ProgramEntry::HEADER_WITHOUT_BTF);
    programs.pointer(wanted.function);
    strings
        .into_iter()
        .for_each(|string| programs.pointer(string));
    programs.pointer(maps);
    programs.word(wanted.maps.len() as u64);
    programs.pointer(helpers);
    programs.word(wanted.helpers.len() as u64);
    programs.word(42);
    types.into_iter().for_each(|kind| programs.pointer(kind));
    programs.pointer(hash);
    programs.word(32);
    programs.pointer(hash_type);
}

fn map(parts: &mut Parts, maps: &mut Bytes, name: &str, definition: [u32; 8]) -> SymbolId {
    let name = parts.string(name);
    maps.raw(&[0; 16]);
    maps.header(layout::MapEntry::HEADER);
    for field in definition {
        maps.raw(&field.to_le_bytes());
    }
    maps.pointer(name);
    name
}

/// The module.
pub(crate) fn module() -> Module {
    let mut parts = Parts::default();
    let entry = parts.symbol(TEXT, 0);
    let (first, second) = (parts.symbol(XDP, 0), parts.symbol(XDP, 16));
    let (mut programs, mut maps) = (Bytes::default(), Bytes::default());
    let (mut values, mut globals) = (Bytes::default(), Bytes::default());
    for (name, function, helpers, used) in [
        ("filter", first, &[1u32, 2][..], &[0u16, 1][..]),
        ("other", second, &[5], &[]),
    ] {
        let wanted = Wanted {
            name,
            pe_section: "xdp~1",
            function,
            helpers,
            maps: used,
        };
        program(&mut parts, &mut programs, &wanted);
    }
    let counters = map(&mut parts, &mut maps, "counters", [2, 4, 8, 16, 0, 0, 7, 0]);
    map(
        &mut parts,
        &mut maps,
        "sample.data",
        [2, 4, 4, 1, 0, 1, 8, 0],
    );
    let filter = parts.string("filter");
    let at = parts.data.data.len() as u32;
    parts.data.pointer(filter);
    parts.data.word(0);
    let slots = parts.symbol(DATA, at);
    values.header(layout::MapInitialValues::HEADER);
    values.pointer(counters);
    values.word(2);
    values.pointer(slots);
    let initial = parts.rdata.raw(&[1, 2, 3, 4]);
    let (name, initial) = (parts.string("sample.data"), parts.symbol(RDATA, initial));
    globals.header(layout::GlobalVariableSectionInfo::HEADER);
    globals.pointer(name);
    globals.word(4);
    globals.pointer(initial);

    let code = [0xB8, 1, 0, 0, 0, 0xC3].repeat(4);
    let data = |name, bytes: Bytes| section(name, SectionKind::Data, bytes.data, bytes.relocs);
    Module {
        name: "sample".to_owned(),
        sections: vec![
            section(".text", SectionKind::Code, vec![0x31, 0xC0, 0xC3], vec![]),
            section("xdp~1", SectionKind::Code, code, vec![]),
            section(".rdata", SectionKind::ReadOnly, parts.rdata.data, vec![]),
            data(".data", parts.data),
            data(layout::SECTION_PROGRAMS, programs),
            data(layout::SECTION_MAPS, maps),
            data(layout::SECTION_INITIAL_VALUES, values),
            data(layout::SECTION_GLOBALS, globals),
            section(
                layout::SECTION_HASH,
                SectionKind::ReadOnly,
                vec![0xCD; 32],
                vec![],
            ),
        ],
        symbols: parts.symbols,
        imports: vec![Import {
            module: "NETIO.SYS".into(),
            name: "NmrRegisterClient".into(),
        }],
        entry,
        proved: true,
        platform: abi::Platform::Windows,
        content_hash: [9; 32],
    }
}
