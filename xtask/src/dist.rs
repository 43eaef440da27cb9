//! What is installed on Windows, put into `dist/`: `ebpfcore.sys`, built, checked and signed, and
//! the programs and the library for C, with its import library and headers.
//!
//! The signer is the per-user test certificate that `bpf2native` uses, and the checker is the one
//! that it runs on its own output. Every rule must pass; the one warning that is expected is named
//! here with its reason. What is left out: certificates that are not for tests.

use crate::windows::{self, Build};
use etcetera::{BaseStrategy as _, choose_base_strategy};
use image::check::{Report, Verdict};
use implib::{Flavor, ImportLibrary, MachineType};
use signing::Signer;
use std::io::Cursor;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Only the driver
    #[arg(long)]
    driver: bool,
    /// Only the sample extension that tests use
    #[arg(long, conflicts_with = "driver")]
    sample: bool,
}

/// A package and the file that it makes.
type Made = (&'static str, &'static str);

/// Packages whose programs and libraries are installed.
pub(crate) const PROGRAMS: &[Made] = &[
    ("bpf2native", "bpf2native.exe"),
    ("ebpfctl", "ebpfctl.exe"),
    ("ebpfapi-c", "ebpfapi.dll"),
    ("ebpfnetsh-dll", "ebpfnetsh.dll"),
];
/// The exports of the library for C.
const EXPORTS: &str = "ebpfapi/c/ebpfapi.def";
/// Folders of headers.
const HEADERS: &[&str] = &["include", "include/bpf", "include/net"];

/// Rules that may warn, and why.
const EXPECTED: &[(&str, &str)] = &[(
    "imports-nx",
    "Windows without ExAllocatePool2 is asked for NonPagedPoolNx; rings are mapped with MdlMappingNoExecute",
)];

pub(crate) fn run(root: &Path, args: &Args) -> Result<bool, String> {
    let folder = args.folder.clone().unwrap_or_else(|| root.join("dist"));
    if args.sample {
        println!("{}", sample(root, &folder)?.display());
        return Ok(true);
    }
    let programs = if args.driver { &[] } else { PROGRAMS };
    for file in all(root, &folder, programs)? {
        println!("{}", file.display());
    }
    if !args.driver {
        for file in import_libraries(root, &folder)? {
            println!("{}", file.display());
        }
        headers(root, &folder)?;
    }
    Ok(true)
}

/// Builds the driver and programs; returns the paths.
pub(crate) fn all(root: &Path, folder: &Path, programs: &[Made]) -> Result<Vec<PathBuf>, String> {
    let mut files = vec![driver(root, folder)?];
    for made in programs {
        files.push(program(root, folder, *made)?);
    }
    Ok(files)
}

/// Builds a program into a folder; returns its path.
fn program(root: &Path, folder: &Path, (name, file): Made) -> Result<PathBuf, String> {
    let build = Build {
        place: root,
        target: windows::PROGRAM,
        profile: "release",
        packages: &[name],
        flags: &[windows::STRIP],
    };
    let bytes = read(&build.run(root)?.join(file))?;
    let path = folder.join(file);
    write(&path, &bytes)?;
    Ok(path)
}

/// Import libraries of the library for C: for Microsoft's linker, and for that of mingw-w64.
const LIBRARIES: [(&str, Flavor); 2] = [
    ("ebpfapi.lib", Flavor::Msvc),
    ("libebpfapi.dll.a", Flavor::Gnu),
];

/// Makes what C programs are linked with; returns the paths.
pub(crate) fn import_libraries(root: &Path, folder: &Path) -> Result<[PathBuf; 2], String> {
    let list = read(&root.join(EXPORTS))?;
    let list = String::from_utf8_lossy(&list);
    for (name, flavor) in LIBRARIES {
        let mut bytes = Cursor::new(Vec::new());
        ImportLibrary::new(&list, MachineType::AMD64, flavor)
            .and_then(|library| library.write_to(&mut bytes))
            .map_err(|error| format!("{EXPORTS}: {error}"))?;
        write(&folder.join(name), bytes.get_ref())?;
    }
    Ok(LIBRARIES.map(|(name, _)| folder.join(name)))
}

/// Copies the headers for programs and applications.
pub(crate) fn headers(root: &Path, folder: &Path) -> Result<(), String> {
    for headers in HEADERS {
        let (from, to) = (root.join(headers), folder.join(headers));
        let fail = |error: std::io::Error| format!("{}: {error}", to.display());
        std::fs::create_dir_all(&to).map_err(fail)?;
        for entry in from.read_dir().map_err(fail)? {
            let header = entry.map_err(fail)?.path();
            if let Some(name) = header.file_name().filter(|_| header.is_file()) {
                write(&to.join(name), &read(&header)?)?;
            }
        }
    }
    Ok(())
}

/// Builds the driver into a folder; returns its path.
pub(crate) fn driver(root: &Path, folder: &Path) -> Result<PathBuf, String> {
    let file = unsigned(root, ("ebpfcore/driver", "ebpfcore-sys.exe"))?;
    let signer = signer()?;
    let signed =
        signing::sign_runtime(&file, &signer).map_err(|error| format!("ebpfcore.sys: {error}"))?;
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    write(
        &folder.join("bpf2native-test.cer"),
        &signer.certificate_der(),
    )?;
    let path = folder.join("ebpfcore.sys");
    write(&path, &signed)?;
    Ok(path)
}

/// Builds the sample extension of the tests into a folder; returns its path.
pub(crate) fn sample(root: &Path, folder: &Path) -> Result<PathBuf, String> {
    let file = unsigned(root, ("testkernel/extension", "sample-sys.exe"))?;
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = folder.join("sample.sys");
    write(&path, &file)?;
    Ok(path)
}

/// Builds the driver of a package and checks it.
pub(crate) fn unsigned(root: &Path, (place, file): (&str, &str)) -> Result<Vec<u8>, String> {
    let build = Build {
        place: &root.join(place),
        target: windows::DRIVER,
        profile: "release",
        packages: &[],
        flags: &[],
    };
    let bytes = read(&build.run(root)?.join(file))?;
    let report = image::check(&bytes).map_err(|error| format!("{place}: {error}"))?;
    accept(place, &report)?;
    Ok(bytes)
}

/// Every rule passes, or warns as expected.
fn accept(place: &str, report: &Report) -> Result<(), String> {
    let is_expected = |id: &str| EXPECTED.iter().any(|(expected, _)| *expected == id);
    let bad: Vec<String> = report
        .rows
        .iter()
        .filter(|row| match row.verdict {
            Verdict::Pass | Verdict::NotApplicable => false,
            Verdict::Warn => !is_expected(row.rule.id),
            Verdict::Fail => true,
        })
        .map(|row| format!("\n  {}: {}: {}", row.rule.id, row.verdict, row.detail))
        .collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the driver of {place} is not as it must be:{}",
        bad.concat()
    ))
}

fn signer() -> Result<Signer, String> {
    let strategy = choose_base_strategy().map_err(|error| error.to_string())?;
    let folder = strategy.cache_dir().join("bpf2native").join("test-signing");
    Signer::test(&folder).map_err(|error| error.to_string())
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
