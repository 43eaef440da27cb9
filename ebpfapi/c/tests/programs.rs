//! C programs over the shared library: compiled against the headers, linked, run.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folder of the shared library: an example, which cargo builds before it runs all tests. When it ran
/// this one only, the library may be older than its sources.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let folder = profile.join("examples");
    if is_fresh(&folder).unwrap_or(false) {
        return folder;
    }
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "ebpfapi-c", "--examples"]);
    build.current_dir(root());
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success());
    folder
}

/// Whether no source is newer than the library; cargo lists them beside it.
fn is_fresh(folder: &Path) -> Option<bool> {
    let modified = |path: &Path| path.metadata().ok()?.modified().ok();
    let built = modified(&folder.join("libebpfapi.so"))?;
    let list = std::fs::read_to_string(folder.join("libebpfapi.d")).ok()?;
    let (_, sources) = list.split_once(": ")?;
    let mut sources = sources.split_whitespace();
    Some(sources.all(|source| modified(Path::new(source)).is_some_and(|time| time <= built)))
}

/// Compiles a program, links it with the library, and runs it.
fn run(source: &Path, arguments: &[&Path]) -> String {
    let library = library();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let mut compile = Command::new("cc");
    compile.args(["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]);
    // Memory that the library gives and nobody gives back is an error too.
    compile.arg("-fsanitize=address");
    compile.arg("-I").arg(root().join("include"));
    compile.arg(source).arg("-o").arg(&program);
    compile.arg("-L").arg(&library).arg("-lebpfapi");
    let compiled = compile.output().unwrap();
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{}: {said}", source.display());
    let mut run = Command::new(&program);
    run.env("LD_LIBRARY_PATH", &library).args(arguments);
    run.current_dir(root().join("examples"));
    let ran = run.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}: {said}", source.display());
    String::from_utf8(ran.stdout).unwrap()
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/c")
        .join(name)
}

#[test]
fn maps() {
    assert_eq!(run(&source("maps.c"), &[]), "maps: done\n");
}

#[test]
fn rings() {
    assert_eq!(run(&source("rings.c"), &[]), "rings: done\n");
}

#[test]
fn store() {
    assert_eq!(run(&source("store.c"), &[]), "store: done\n");
}

#[test]
fn syscall() {
    let examples = root().join("examples");
    assert_eq!(run(&source("syscall.c"), &[&examples]), "syscall: done\n");
}

#[test]
fn programs() {
    let folder = tempfile::tempdir().unwrap();
    let driver = folder.path().join("droppacket.sys");
    let options = program::LoadOptions {
        name: "droppacket".to_owned(),
        ..program::LoadOptions::default()
    };
    let examples = root().join("examples");
    let object = std::fs::read(examples.join("droppacket.o")).unwrap();
    let object = program::load(&object, &options).unwrap();
    let id = program::ProgramId(0);
    let verified = verifier::verify(&object, id, &verifier::Options::default()).unwrap();
    let module = codegen::compile(&[verified], &codegen::Options::default()).unwrap();
    std::fs::write(&driver, image::link(&module).unwrap().bytes()).unwrap();
    let said = run(&source("programs.c"), &[&examples, &driver]);
    assert_eq!(said, "programs: done\n");
}

/// The first C program of the book.
#[test]
fn the_program_of_the_book() {
    let book = std::fs::read_to_string(root().join("docs/api.md")).unwrap();
    let (_, rest) = book.split_once("```c\n").unwrap();
    let (program, _) = rest.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("book.c");
    std::fs::write(&file, program).unwrap();
    assert_eq!(run(&file, &[]), "0 dropped\n");
}

/// Every exported function is declared, and nothing is declared that is not exported.
#[test]
fn the_headers_declare_what_is_exported() {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("ebpfapi.def");
    let list = std::fs::read_to_string(list).unwrap();
    let names: Vec<&str> = list.lines().skip(3).map(str::trim).collect();
    assert!(names.len() > 100);
    let mut text = "#include <ebpf_api.h>\n#include <ebpf_store_helper.h>\n#include <stdio.h>\nint main(void) {\n".to_owned();
    text += "    void *all[] = {\n";
    for name in &names {
        text += &format!("        (void *){name},\n");
    }
    text += "    };\n    for (size_t at = 0; at < sizeof(all) / sizeof(*all); at++)\n";
    text += "        if (!all[at]) return 1;\n    puts(\"all\");\n    return 0;\n}\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.c");
    std::fs::write(&file, text).unwrap();
    assert_eq!(run(&file, &[]), "all\n");

    for header in [
        "bpf/bpf.h",
        "bpf/libbpf.h",
        "ebpf_api.h",
        "ebpf_store_helper.h",
    ] {
        let text = std::fs::read_to_string(root().join("include").join(header)).unwrap();
        for declared in text.lines().filter_map(declared) {
            assert!(names.contains(&declared), "{header}: {declared}");
        }
    }
}

/// The function that a line declares.
fn declared(line: &str) -> Option<&str> {
    let is_code = line.starts_with(|first: char| first.is_ascii_alphabetic());
    if !is_code || line.starts_with("typedef") {
        return None;
    }
    let before = line.split_once('(')?.0;
    before.rsplit([' ', '*']).next()
}
