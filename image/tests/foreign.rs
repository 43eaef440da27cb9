//! Drivers by another tool chain (clang and lld-link), and other people's readers on our drivers.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use abi::Guid;
use image::check;
use image::check::Verdict;
use image::native;
use image::read::{DebugEntry, Pe};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a tool; `None` (said aloud) when it is not installed.
fn run(tool: &str, arguments: &[&str], folder: &Path) -> Option<String> {
    let output = match Command::new(tool)
        .args(arguments)
        .current_dir(folder)
        .output()
    {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED: {tool} cannot be run here ({error})");
            return None;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{tool} {arguments:?}: {text}{talk}"
    );
    Some(text)
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Compiles and links tests/foreign/module.c with the flags of the driver kit.
fn foreign(name: &str, compile: &[&str], link: &[&str]) -> Option<Vec<u8>> {
    let folder = folder(name);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/module.c");
    let options = [
        "--target=x86_64-pc-windows-msvc",
        "-O1",
        "-fms-extensions",
        "-c",
        source,
        "-o",
        "m.obj",
    ];
    run("clang-19", &[&options[..], compile].concat(), &folder)?;
    std::fs::write(
        folder.join("netio.def"),
        "LIBRARY NETIO.SYS\nEXPORTS\nNmrRegisterClient\n",
    )
    .unwrap();
    run(
        "llvm-dlltool-19",
        &["-m", "i386:x86-64", "-d", "netio.def", "-l", "netio.lib"],
        &folder,
    )?;
    let options = [
        "/driver",
        "/subsystem:native,10.0",
        "/entry:DriverEntry",
        "/nodefaultlib",
        "/release",
        "/osversion:10.0",
        "/integritycheck",
        "/brepro",
        "/cetcompat",
        "/out:m.sys",
        "m.obj",
        "netio.lib",
    ];
    run("lld-link-19", &[&options[..], link].concat(), &folder)?;
    Some(std::fs::read(folder.join("m.sys")).unwrap())
}

#[test]
fn a_module_of_another_tool_chain_is_read() {
    let Some(bytes) = foreign("foreign", &[], &[]) else {
        return;
    };
    let pe = Pe::parse(&bytes).unwrap();
    let module = native::read(&pe).unwrap().unwrap();
    let [program] = module.programs.as_slice() else {
        panic!("{module:?}")
    };
    assert_eq!(
        (program.name.as_str(), program.section.as_str()),
        ("count", "bind/0")
    );
    assert_eq!((program.instruction_count, program.entry_bytes), (17, 160));
    assert_eq!(
        program.program_type,
        Guid::from_u128(0x608c517c_6c52_4a26_b677_bb01c34425ad)
    );
    assert_eq!(program.maps, [1, 0]);
    let ids: Vec<_> = program.helpers.iter().map(|helper| helper.id).collect();
    assert_eq!(ids, [1, 0], "with the sentinel");
    assert_eq!(program.functions[0].name, "bpf_extra");
    assert!(program.code_bytes.is_some_and(|len| len < 64));
    let names: Vec<_> = module.maps.iter().map(|map| map.name.as_str()).collect();
    assert_eq!(names, ["process_map", "limits_map"]);
    let report = check(&bytes).unwrap();
    assert!(
        report.passes(),
        "{:?}",
        report.with(Verdict::Fail).collect::<Vec<_>>()
    );
    for rule in [
        "native-strings",
        "native-guids",
        "native-program-count",
        "native-order",
        "unwind-info",
        "cet-compat",
    ] {
        let row = report.row(rule).unwrap();
        assert_eq!(row.verdict, Verdict::Pass, "{rule}: {}", row.detail);
    }
}

#[test]
fn bad_linker_options_are_found() {
    for (name, options, rule, verdict) in [
        (
            "merged",
            &["/merge:.rdata=.text"][..],
            "iat-not-executable",
            Verdict::Fail,
        ),
        (
            "writable",
            &["/section:.text,RWE"],
            "section-wx",
            Verdict::Fail,
        ),
        (
            "unaligned",
            &["/align:512"],
            "section-alignment",
            Verdict::Fail,
        ),
        (
            "discarded",
            &["/section:.rdata,RD"],
            "unwind-info",
            Verdict::Fail,
        ),
        (
            "no-dynamic-base",
            &["/dynamicbase:no"],
            "dynamic-base",
            Verdict::Warn,
        ),
        ("no-nx", &["/nxcompat:no"], "nx-compat", Verdict::Fail),
        ("guard", &["/guard:cf"], "cfg-table", Verdict::Fail),
    ] {
        let Some(bytes) = foreign(name, &[], options) else {
            return;
        };
        let report = check(&bytes).unwrap();
        let row = report.row(rule).unwrap();
        assert_eq!(row.verdict, verdict, "{name}: {}", row.detail);
    }
}

#[test]
fn debug_entries_of_another_tool_chain_are_read() {
    let Some(bytes) = foreign("debug", &[], &[]) else {
        return;
    };
    let pe = Pe::parse(&bytes).unwrap();
    let kinds: Vec<_> = pe.debug().unwrap().iter().map(|entry| entry.kind).collect();
    assert!(kinds.contains(&DebugEntry::REPRO), "{kinds:?}");
    assert_eq!(
        check(&bytes).unwrap().row("reproducible").unwrap().verdict,
        Verdict::Pass
    );
}

/// The resource compiler of LLVM makes the same bytes of the template.
#[test]
fn the_version_resource_is_what_a_resource_compiler_makes() {
    let template = include_str!("../../templates/driver/version.rc");
    let release = env!("CARGO_PKG_VERSION");
    let numbers = format!("{},0", release.replace('.', ","));
    let text = template
        .replace("{name}", "sample")
        .replace("{version}", &numbers)
        .replace("{release}", release);
    let folder = folder("resource");
    std::fs::write(folder.join("v.rc"), text).unwrap();
    if run(
        "llvm-rc-19",
        &["/no-preprocess", "/fo", "v.res", "v.rc"],
        &folder,
    )
    .is_none()
    {
        return;
    }
    let compiled = std::fs::read(folder.join("v.res")).unwrap();
    let image = image::link(&common::module()).unwrap();
    let rsrc = Pe::parse(image.bytes()).unwrap();
    let section = *rsrc.section(".rsrc").unwrap();
    let own = &rsrc.contents(&section)[0x58..];
    assert!(
        compiled.windows(own.len()).any(|window| window == own),
        "our version block differs"
    );
}

#[test]
fn the_version_is_read_back() {
    let image = image::link(&common::module()).unwrap();
    let version = Pe::parse(image.bytes())
        .unwrap()
        .version()
        .unwrap()
        .unwrap();
    assert_eq!(version.string("OriginalFilename"), Some("sample.sys"));
    assert_eq!(
        version.string("FileVersion"),
        Some(env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(version.file, version.product);
    assert_eq!(version.strings.len(), 6);
}

/// pefile and LIEF, where Python has them.
#[test]
fn python_readers_agree() {
    let script = "
import sys
try:
    import pefile, lief
except ImportError as error:
    print('SKIPPED:', error); sys.exit(0)
pe = pefile.PE(sys.argv[1])
# A small file is mostly padding, which pefile remarks on.
assert not [w for w in pe.get_warnings() if 'Byte 0x00' not in w], pe.get_warnings()
assert pe.verify_checksum()
names = sorted(i.name.decode() for d in pe.DIRECTORY_ENTRY_IMPORT for i in d.imports)
assert names == ['DbgPrint', 'NmrDeregisterClient', 'NmrRegisterClient'], names
strings = {k.decode(): v.decode() for f in pe.FileInfo[0] if f.Key == b'StringFileInfo' for t in f.StringTable for k, v in t.entries.items()}
assert strings['InternalName'] == 'sample', strings
binary = lief.parse(sys.argv[1])
assert sum(len(b.entries) for b in binary.relocations) == 2
assert binary.is_reproducible_build
print('agreed')
";
    let folder = folder("python");
    std::fs::write(
        folder.join("sample.sys"),
        image::link(&common::module()).unwrap().bytes(),
    )
    .unwrap();
    std::fs::write(folder.join("judge.py"), script).unwrap();
    if let Some(text) = run("python3", &["judge.py", "sample.sys"], &folder) {
        eprintln!("{text}");
    }
}

#[test]
fn a_complete_guard_table_passes() {
    let compile = ["-DGUARD", "-Xclang", "-cfguard"];
    let Some(bytes) = foreign("guarded", &compile, &["/guard:cf"]) else {
        return;
    };
    let pe = Pe::parse(&bytes).unwrap();
    let config = pe.load_config().unwrap().unwrap();
    let targets = pe.guard_targets(&config).unwrap();
    let programs = native::read(&pe).unwrap().unwrap().programs;
    assert!(targets.contains(&programs[0].function), "{targets:x?}");
    let report = check(&bytes).unwrap();
    let row = report.row("cfg-table").unwrap();
    assert_eq!(row.verdict, Verdict::Pass, "{}", row.detail);
    // The first target becomes another function's: now one is missing.
    let table = pe.rva_of_address(config.guard_table).unwrap();
    let section = pe.section_at(table).unwrap();
    let at = (table - section.rva + section.raw_offset) as usize;
    let mut broken = bytes.clone();
    broken[at..at + 4].copy_from_slice(&(targets[0] + 1).to_le_bytes());
    let report = check(&broken).unwrap();
    assert_eq!(report.row("cfg-table").unwrap().verdict, Verdict::Fail);
}
