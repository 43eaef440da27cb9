//! Modules that cannot become images: each is refused with the place and the reason.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use codegen::{FunctionRange, Import, Module, Reloc, RelocKind, SectionKind, SymbolId, Target};
use image::read::Pe;
use image::{Error, RelocationProblem};

fn refused(change: impl FnOnce(&mut Module)) -> Error {
    let mut module = common::module();
    change(&mut module);
    image::link(&module).unwrap_err()
}

fn abs64(offset: u32) -> Reloc {
    let target = Target::Symbol(SymbolId(3));
    Reloc {
        offset,
        kind: RelocKind::Abs64,
        target,
        addend: 0,
    }
}

#[test]
fn relocations() {
    use RelocationProblem::{
        AbsoluteInCode, OutsideSection, Overflow, Overlaps, StraddlesPage, UnknownTarget,
    };
    let problem = |change: fn(&mut Module)| match refused(change) {
        Error::Relocation { problem, .. } => problem,
        other => panic!("{other}"),
    };
    assert_eq!(
        problem(|m| m.sections[0].relocs = vec![abs64(0)]),
        AbsoluteInCode
    );
    assert_eq!(
        problem(|m| m.sections[3].relocs = vec![abs64(0)]),
        AbsoluteInCode
    );
    assert_eq!(
        problem(|m| m.sections[2].relocs = vec![abs64(17)]),
        OutsideSection
    );
    assert_eq!(
        problem(|m| m.sections[2].relocs[1].offset = u32::MAX),
        OutsideSection
    );
    // Tables that the linker appends to .rdata are not the module's to patch.
    assert_eq!(
        problem(|m| m.sections[1].relocs.push(abs64(32))),
        OutsideSection
    );
    assert_eq!(
        problem(|m| m.sections[2].relocs[0].target = Target::Symbol(SymbolId(99))),
        UnknownTarget
    );
    assert_eq!(
        problem(|m| m.sections[2].relocs[0].target = Target::ImportSlot(3)),
        UnknownTarget
    );
    assert_eq!(problem(|m| m.symbols[3].offset = 25), UnknownTarget);
    assert_eq!(
        problem(|m| m.sections[0].relocs[0].addend = i64::MAX),
        Overflow
    );
    assert_eq!(
        problem(|m| m.sections[0].relocs[0].addend = 1 << 32),
        Overflow
    );
    assert_eq!(
        problem(|m| m.sections[2].relocs[0].addend = i64::MIN),
        Overflow
    );
    assert_eq!(problem(|m| m.sections[2].relocs[1].offset = 4), Overlaps);
    assert_eq!(problem(|m| m.sections[0].relocs.swap(0, 1)), Overlaps);
    let straddle = |m: &mut Module| {
        m.sections[2].data.resize(0x2000, 0);
        m.sections[2].relocs.push(abs64(0xFFC));
    };
    assert_eq!(problem(straddle), StraddlesPage);
}

#[test]
fn a_relocation_error_names_place_and_target() {
    let error = refused(|m| m.sections[0].relocs[0].addend = 1 << 40);
    let text = error.to_string();
    assert!(
        text.contains(".text+0x6") && text.contains("NETIO.SYS!NmrRegisterClient"),
        "{text}"
    );
    assert_eq!(error.code().0, 404);
}

#[test]
fn names() {
    for name in ["", "longer-than-8", "ta\tb", "größe"] {
        let error = refused(|m| m.sections[2].name = name.to_owned());
        assert!(matches!(error, Error::SectionName { .. }), "{error}");
        assert_eq!(error.code().0, 402);
    }
    let error = refused(|m| m.sections[0].name = "PAGEcode".to_owned());
    assert!(error.to_string().contains("pageable"), "{error}");
    let error = refused(|m| m.name = "x".repeat(256));
    assert!(
        matches!(
            error,
            Error::ModuleName {
                len: 256,
                limit: 255
            }
        ),
        "{error}"
    );
    for (module, name) in [
        ("", "f"),
        ("a.sys", ""),
        ("a b.sys", "f"),
        ("a.sys", "f\0g"),
    ] {
        let import = Import {
            module: module.to_owned(),
            name: name.to_owned(),
        };
        let error = refused(|m| m.imports.push(import));
        assert!(matches!(error, Error::Import { .. }), "{error}");
    }
}

#[test]
fn functions_and_entry() {
    let unwind = |bytes: &[u8]| Some(bytes.to_vec());
    let range = |start, end, unwind| FunctionRange {
        symbol: SymbolId(0),
        start,
        end,
        unwind,
    };
    for (section, function) in [
        (0, range(0, 0, None)),
        (0, range(0, 1000, None)),
        (0, range(20, 38, None)),
        (0, range(32, 38, unwind(&[1, 0, 0]))),
        (0, range(32, 38, unwind(&[]))),
        (0, range(32, 38, unwind(&[9, 0, 0, 0, 0, 0, 0, 0]))),
        (2, range(0, 4, None)),
    ] {
        let error = refused(|m| {
            m.sections[section].functions.truncate(1);
            m.sections[section].functions.push(function.clone());
        });
        assert!(
            matches!(error, Error::Function { .. }),
            "{function:?}: {error}"
        );
    }
    for entry in [2, 99] {
        assert_eq!(refused(|m| m.entry = SymbolId(entry)), Error::Entry);
    }
    assert_eq!(refused(|m| m.symbols[4].offset = 20), Error::Entry);
}

#[test]
fn wrong_unwind_data_and_unknown_imports_fail_the_self_check() {
    let error =
        refused(|m| m.sections[0].functions[0].unwind = Some(vec![1, 4, 1, 0, 9, 0x42, 0, 0]));
    let Error::Refused { rows } = &error else {
        panic!("{error}")
    };
    assert_eq!(rows[0].0, "unwind-info");
    assert_eq!(error.code().0, 408);
    let error = refused(|m| m.imports[1].name = "NoSuchFunction".to_owned());
    assert!(
        error.to_string().contains("ntoskrnl.exe!NoSuchFunction"),
        "{error}"
    );
}

#[test]
fn sizes() {
    let error = refused(|m| m.sections[2].data.resize(65 << 20, 0));
    assert!(
        matches!(
            error,
            Error::TooLarge {
                what: "image bytes",
                ..
            }
        ),
        "{error}"
    );
    let error = refused(|m| {
        let section = m.sections[2].clone();
        m.sections.resize(91, section);
    });
    assert!(
        matches!(
            error,
            Error::TooLarge {
                what: "sections",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn the_smallest_module_links() {
    let mut module = common::module();
    module.imports.clear();
    module.sections.truncate(1);
    module.symbols.truncate(2);
    module.sections[0].relocs.clear();
    module.sections[0].functions.clear();
    module.entry = SymbolId(1);
    let image = image::link(&module).unwrap();
    let pe = Pe::parse(image.bytes()).unwrap();
    let names: Vec<_> = pe.sections.iter().map(image::read::Section::name).collect();
    assert_eq!(names, [".text", ".rdata", ".rsrc"]);
    assert_eq!(pe.headers.entry_point, 0x1020);
}

#[test]
fn sections_keep_their_order_and_discardable_ones_go_last() {
    let mut module = common::module();
    module.sections.swap(0, 3);
    for symbol in &mut module.symbols {
        symbol.section.0 = [3, 1, 2, 0][usize::from(symbol.section.0)];
    }
    // An empty section is left out.
    module
        .sections
        .push(common::section("empty", SectionKind::Data, vec![], vec![]));
    let image = image::link(&module).unwrap();
    let pe = Pe::parse(image.bytes()).unwrap();
    let names: Vec<_> = pe.sections.iter().map(image::read::Section::name).collect();
    assert_eq!(
        names,
        [
            ".rdata", ".data", ".text", ".pdata", "INIT", ".rsrc", ".reloc"
        ]
    );
}

/// The number of sections decides the size of the headers, with and without `.reloc`.
#[test]
fn any_number_of_sections_links() {
    for count in 0..60 {
        for absolute in [false, true] {
            let mut module = common::module();
            if !absolute {
                module.sections[2].relocs.clear();
            }
            for index in 0..count {
                let name = format!("s{index}");
                module.sections.push(common::section(
                    &name,
                    SectionKind::Data,
                    vec![1; 600],
                    vec![],
                ));
            }
            let image = image::link(&module).unwrap();
            let sections = Pe::parse(image.bytes()).unwrap().sections.len();
            assert_eq!(sections, 6 + count + usize::from(absolute));
        }
    }
}
