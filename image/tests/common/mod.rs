//! Hand-made modules for the tests.

#[allow(dead_code, reason = "not every test uses it")]
pub(crate) mod native;

use codegen::{
    FunctionRange, Import, Module, Reloc, RelocKind, Section, SectionId, SectionKind, Symbol,
    SymbolId, Target,
};

/// `sub rsp, 0x28`, and its UNWIND_INFO: version 1, prolog 4, one code, ALLOC_SMALL 0x28.
const UNWIND: [u8; 8] = [1, 4, 1, 0, 4, 0x42, 0, 0];

fn reloc(offset: u32, kind: RelocKind, target: Target, addend: i64) -> Reloc {
    Reloc {
        offset,
        kind,
        target,
        addend,
    }
}

pub(crate) fn section(name: &str, kind: SectionKind, data: Vec<u8>, relocs: Vec<Reloc>) -> Section {
    Section {
        name: name.to_owned(),
        kind,
        data,
        relocs,
        functions: Vec::new(),
    }
}

#[allow(dead_code, reason = "not every test uses it")]
/// Two functions (one returns a value from `.data` through a pointer, one calls an import), a
/// leaf, a pointer that needs a base relocation, an INIT section with the entry point.
pub(crate) fn module() -> Module {
    let symbol = |name: &str, section, offset| Symbol {
        name: name.to_owned(),
        section: SectionId(section),
        offset,
    };
    // work: sub rsp,28h; call [rip+NmrRegisterClient]; mov rax,[rip+pointer]; mov rax,[rax];
    // add rsp,28h; ret        at 0..25
    let mut text = vec![0x48, 0x83, 0xEC, 0x28, 0xFF, 0x15, 0, 0, 0, 0];
    text.extend([
        0x48, 0x8B, 0x05, 0, 0, 0, 0, 0x48, 0x8B, 0x00, 0x48, 0x83, 0xC4, 0x28, 0xC3,
    ]);
    text.resize(32, 0xCC);
    // leaf: mov eax, 7; ret   at 32..38
    text.extend([0xB8, 7, 0, 0, 0, 0xC3]);
    let mut code = section(
        ".text",
        SectionKind::Code,
        text,
        vec![
            reloc(6, RelocKind::Rel32, Target::ImportSlot(0), 0),
            reloc(13, RelocKind::Rel32, Target::Symbol(SymbolId(2)), 0),
        ],
    );
    code.functions = vec![
        FunctionRange {
            symbol: SymbolId(0),
            start: 0,
            end: 25,
            unwind: Some(UNWIND.to_vec()),
        },
        FunctionRange {
            symbol: SymbolId(1),
            start: 32,
            end: 38,
            unwind: None,
        },
    ];
    // entry: sub rsp,28h; call work; call [rip+DbgPrint]; add rsp,28h; ret
    let mut init = section(
        "INIT",
        SectionKind::Init,
        vec![
            0x48, 0x83, 0xEC, 0x28, 0xE8, 0, 0, 0, 0, 0xFF, 0x15, 0, 0, 0, 0, 0x48, 0x83, 0xC4,
            0x28, 0xC3,
        ],
        vec![
            reloc(5, RelocKind::Rel32, Target::Symbol(SymbolId(0)), 0),
            reloc(11, RelocKind::Rel32, Target::ImportSlot(1), 0),
        ],
    );
    init.functions = vec![FunctionRange {
        symbol: SymbolId(4),
        start: 0,
        end: 20,
        unwind: Some(UNWIND.to_vec()),
    }];
    let pointer = reloc(0, RelocKind::Abs64, Target::Symbol(SymbolId(3)), 0);
    let slot = reloc(16, RelocKind::Abs64, Target::Symbol(SymbolId(1)), 0);
    Module {
        name: "sample".to_owned(),
        sections: vec![
            code,
            section(
                ".rdata",
                SectionKind::ReadOnly,
                b"a string constant\0".to_vec(),
                vec![],
            ),
            section(
                ".data",
                SectionKind::Data,
                [0u64, 0x1122_3344_5566_7788, 0]
                    .map(u64::to_le_bytes)
                    .concat(),
                vec![pointer, slot],
            ),
            init,
        ],
        symbols: vec![
            symbol("work", 0, 0),
            symbol("leaf", 0, 32),
            symbol("pointer", 2, 0),
            symbol("value", 2, 8),
            symbol("DriverEntry", 3, 0),
        ],
        imports: vec![
            Import {
                module: "NETIO.SYS".to_owned(),
                name: "NmrRegisterClient".to_owned(),
            },
            Import {
                module: "ntoskrnl.exe".to_owned(),
                name: "DbgPrint".to_owned(),
            },
            Import {
                module: "NETIO.SYS".to_owned(),
                name: "NmrDeregisterClient".to_owned(),
            },
        ],
        entry: SymbolId(4),
        proved: true,
        platform: abi::Platform::Windows,
        content_hash: [7; 32],
    }
}
