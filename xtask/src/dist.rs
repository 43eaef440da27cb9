//! What is installed on Windows, put into `dist/`: `ebpfcore.sys`, built, checked and signed, and
//! the programs.
//!
//! The signer is the per-user test certificate that `bpf2native` uses, and the checker is the one
//! that it runs on its own output. Every rule must pass; the one warning that is expected is named
//! here with its reason. What is left out: certificates that are not for tests.

use crate::windows::{self, Build};
use etcetera::{BaseStrategy as _, choose_base_strategy};
use image::check::{Report, Verdict};
use signing::Signer;
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

/// Packages whose programs are installed.
pub(crate) const PROGRAMS: &[&str] = &["bpf2native", "ebpfctl"];

/// Rules that may warn, and why.
const EXPECTED: &[(&str, &str)] = &[(
    "imports-nx",
    "Windows without ExAllocatePool2 is asked for NonPagedPoolNx; rings are shown to processes with \
     MdlMappingNoExecute",
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
    Ok(true)
}

/// Builds the driver and programs; returns the paths.
pub(crate) fn all(root: &Path, folder: &Path, programs: &[&str]) -> Result<Vec<PathBuf>, String> {
    let mut files = vec![driver(root, folder)?];
    for name in programs {
        files.push(program(root, folder, name)?);
    }
    Ok(files)
}

/// Builds a program into a folder; returns its path.
fn program(root: &Path, folder: &Path, name: &str) -> Result<PathBuf, String> {
    let build = Build {
        place: root,
        target: windows::PROGRAM,
        profile: "release",
        packages: &[name],
        flags: &[windows::STRIP],
    };
    let file = format!("{name}.exe");
    let bytes = read(&build.run(root)?.join(&file))?;
    let path = folder.join(&file);
    write(&path, &bytes)?;
    Ok(path)
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
