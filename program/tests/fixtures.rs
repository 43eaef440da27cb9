//! Small objects and what they load to.
//!
//! Each `tests/data/*.o` (its `.c` beside it, `tests/data/build` makes it) is loaded and printed;
//! `tests/data/*.expected` holds the print or the error. `BLESS=1` rewrites the expectations.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use abi::Platform;
use isa::{CallTarget, Imm64, Insn};
use program::{Function, LoadError, LoadOptions, MapDef, Object, Program};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn platform(file: &str) -> Platform {
    let linux = [
        "contracts.o",
        "kconfig.linux.o",
        "kconfig_values.o",
        "legacy_linux.o",
        "legacy_iproute2.o",
        "map_in_map.linux.o",
        "maps_btf.o",
    ];
    match linux.contains(&file) {
        true => Platform::Linux,
        false => Platform::Windows,
    }
}

fn load(file: &str) -> Result<Object, LoadError> {
    let options = LoadOptions {
        platform: platform(file),
        name: file.trim_end_matches(".o").into(),
        ..LoadOptions::default()
    };
    program::load(&fs::read(data().join(file)).unwrap(), &options)
}

/// The whole object as text.
fn print(object: &Object) -> String {
    let mut text = String::new();
    let out = &mut text;
    writeln!(
        out,
        "license {:?} version {:?}",
        object.license, object.version
    )
    .unwrap();
    for note in &object.notes {
        writeln!(out, "note: {note}").unwrap();
    }
    for (index, map) in object.maps.iter().enumerate() {
        print_map(out, index, map);
    }
    for global in &object.globals {
        writeln!(
            out,
            "global {} in {}: {:02x?}",
            global.section, global.map, global.data
        )
        .unwrap();
    }
    for function in &object.btf_functions {
        writeln!(
            out,
            "platform function {} of {}",
            function.name, function.module
        )
        .unwrap();
    }
    object
        .programs
        .iter()
        .for_each(|program| print_program(out, program));
    text
}

fn print_map(out: &mut String, index: usize, map: &MapDef) {
    let MapDef {
        name,
        kind,
        key_size,
        value_size,
        max_entries,
        flags,
        ..
    } = map;
    writeln!(out, "map m{index} {name}: {kind:?} ({}) key {key_size} value {value_size} entries {max_entries} flags {flags:#x}", map.type_number).unwrap();
    writeln!(
        out,
        "    pinned {} id {} inner {:?} frozen {} lock {:?} timer {:?} reserved {:?}",
        map.pin_by_name, map.id, map.inner, map.frozen, map.spin_lock, map.timer, map.reserved
    )
    .unwrap();
    for slot in &map.initial {
        writeln!(out, "    [{}] = {}", slot.index, slot.name).unwrap();
    }
}

/// Long programs are cut: enough to see that a line table is complete.
const SHOWN: usize = 60;

fn print_function(out: &mut String, function: &Function) {
    let kind = if function.global { "global" } else { "static" };
    writeln!(
        out,
        "  {kind} {} {}..{}",
        function.name, function.start, function.end
    )
    .unwrap();
    if let Some(contract) = &function.contract {
        let parameters = &contract.parameters;
        writeln!(out, "    takes {parameters:?} returns {}", contract.returns).unwrap();
    }
}

fn print_program(out: &mut String, program: &Program) {
    let Program { name, section, .. } = program;
    let attach = program.attach_type.map_or("-", |attach| attach.prefix);
    writeln!(
        out,
        "program {name} in {section}: {} attach {attach}",
        program.program_type.name
    )
    .unwrap();
    writeln!(
        out,
        "    {} slots, {} lines",
        program.insns.len(),
        program.lines.len()
    )
    .unwrap();
    for (index, insn) in (0u32..).zip(&program.insns).take(SHOWN) {
        let at = isa::InsnIdx(index);
        if let Some(function) = program
            .functions
            .iter()
            .find(|function| function.start == at)
        {
            print_function(out, function);
        }
        for line in program.lines.iter().filter(|line| line.start == at) {
            writeln!(
                out,
                "    ; {}:{}:{} {}",
                line.file,
                line.line,
                line.column,
                line.text.trim()
            )
            .unwrap();
        }
        writeln!(out, "    {at} {}", insn_text(insn)).unwrap();
    }
    let functions = program.functions.iter();
    for function in functions.filter(|function| function.start.index() >= SHOWN) {
        print_function(out, function);
    }
}

fn insn_text(insn: &Insn) -> String {
    match insn {
        Insn::LoadImm64 { dst, imm } if !matches!(imm, Imm64::Const(_)) => {
            format!("{dst} = {imm:?}")
        }
        Insn::Call(target) if !matches!(target, CallTarget::Helper(_)) => {
            format!("call {target:?}")
        }
        other => other.to_string(),
    }
}

#[test]
fn objects_load_as_expected() {
    let mut names: Vec<String> = fs::read_dir(data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".o"))
        .collect();
    names.sort();
    assert!(names.len() >= 23, "{names:?}");
    let mut wrong = Vec::new();
    for name in names {
        let found = match load(&name) {
            Ok(object) => print(&object),
            Err(error) => format!("{} {error}\nhelp: {}\n", error.code(), error.help()),
        };
        let path = data().join(name.replace(".o", ".expected"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &found).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != found {
            wrong.push(format!("{name}: got\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
