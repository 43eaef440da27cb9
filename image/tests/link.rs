//! Linking hand-made modules; other people's tools judge the result.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::PathBuf;
use std::process::Command;

/// Runs a tool on a file; `None` (said aloud) when the tool is not installed.
fn judge(tool: &str, arguments: &[&str], file: &[u8], name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, file).unwrap();
    let output = match Command::new(tool).args(arguments).arg(&path).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED: {tool} cannot be run here ({error})");
            return None;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{tool}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(text)
}

#[test]
fn llvm_readobj_sees_what_was_linked() {
    let image = image::link(&common::module()).unwrap();
    let options = [
        "--file-headers",
        "--sections",
        "--coff-imports",
        "--coff-basereloc",
        "--unwind",
        "--coff-debug-directory",
        "--coff-resources",
    ];
    let Some(text) = judge("llvm-readobj-19", &options, image.bytes(), "readobj.sys") else {
        return;
    };
    for expected in [
        "Machine: IMAGE_FILE_MACHINE_AMD64",
        "Subsystem: IMAGE_SUBSYSTEM_NATIVE",
        "SectionAlignment: 4096",
        "IMAGE_DLL_CHARACTERISTICS_FORCE_INTEGRITY",
        "Symbol: NmrRegisterClient (0)",
        "Symbol: NmrDeregisterClient (0)",
        "Symbol: DbgPrint (0)",
        "Address: 0x3000",
        "Address: 0x3010",
        "0x04: ALLOC_SMALL size=40",
        "IMAGE_DLL_CHARACTERISTICS_EX_CET_COMPAT",
        "Type: Repro",
        "Type: VERSIONINFO",
    ] {
        assert!(text.contains(expected), "missing `{expected}` in:\n{text}");
    }
    assert_eq!(
        text.matches("Name: NETIO.SYS").count(),
        1,
        "one descriptor per module"
    );
    assert_eq!(
        text.matches("RuntimeFunction {").count(),
        2,
        "the leaf has none"
    );
}

#[test]
fn equal_modules_give_equal_bytes() {
    let one = image::link(&common::module()).unwrap();
    let two = image::link(&common::module()).unwrap();
    assert_eq!(one.bytes(), two.bytes());
    let mut other = common::module();
    other.content_hash = [8; 32];
    assert_ne!(one.bytes(), image::link(&other).unwrap().bytes());
}

#[test]
fn a_linux_module_is_for_the_host_only() {
    let mut module = common::module();
    module.platform = abi::Platform::Linux;
    assert_eq!(image::link(&module).unwrap_err().code().0, 409);
    assert!(image::link_for_host(&module).is_ok());
}

#[test]
fn an_unproved_module_is_for_the_host_only() {
    let mut module = common::module();
    module.proved = false;
    let error = image::link(&module).unwrap_err();
    assert_eq!(error.code().0, 401);
    let image = image::link_for_host(&module).unwrap();
    assert!(!image.is_proved());
    assert_eq!(image.purpose(), image::Purpose::Host);
}
