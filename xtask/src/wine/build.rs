//! Builds what runs under Wine: the stand-ins, the device, the test program, the drivers.

use crate::windows::{self, Build};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The profile of the programs of the product: they are started a few times only.
const PROFILE: &str = "quick";
/// The linker's arguments for a driver that is made for the GNU environment.
const NATIVE: &[&str] = &[
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-Wl,--entry=DriverEntry",
    "-Clink-arg=-Wl,--subsystem=native",
];

/// The packages of programs and libraries, and what is taken of them into the folder.
const PACKAGES: &[&str] = &[
    "bpf2native",
    "ebpfctl",
    "ebpfapi-c",
    "ebpfnetsh-dll",
    "testkernel-netsh",
    "testkernel-program",
];
const FILES: &[&str] = &[
    "testkernel.exe",
    "netsh.exe",
    "ebpfctl.exe",
    "ebpfapi.dll",
    "ebpfnetsh.dll",
];

/// Files that were built.
pub(super) struct Built {
    /// `tkernel.dll`.
    pub(super) library: PathBuf,
    /// `bpf2native` for this host.
    pub(super) tool: PathBuf,
    /// The folder of the drivers and the test program.
    pub(super) folder: PathBuf,
    /// The repository.
    pub(super) root: PathBuf,
}

pub(super) fn all(root: &Path, folder: &Path) -> Result<Built, String> {
    let out = stand_in(root, "testkernel/shim", &[])?;
    stand_in(root, "testkernel/device", NATIVE)?;
    copy(&out.join("testkernel.dll"), &folder.join("testkernel.sys"))?;
    let programs = programs(root)?;
    for name in FILES {
        copy(&programs.join(name), &folder.join(name))?;
    }
    let tool = tool(root)?;
    driver(root, &tool, folder, "examples/droppacket.o")?;
    driver(
        root,
        &tool,
        folder,
        "testkernel/extension/programs/multiply.o",
    )?;
    for (object, _) in super::sockets::PROGRAMS {
        driver(root, &tool, folder, object)?;
    }
    crate::dist::sample(root, folder)?;
    crate::dist::driver(root, folder)?;
    Ok(Built {
        library: out.join("tkernel.dll"),
        tool,
        folder: folder.to_path_buf(),
        root: root.to_path_buf(),
    })
}

/// Builds a package of the stand-ins.
fn stand_in(root: &Path, package: &str, flags: &[&str]) -> Result<PathBuf, String> {
    let build = Build {
        place: &root.join(package),
        target: windows::PROGRAM,
        profile: "release",
        packages: &[],
        flags,
    };
    build.run(root)
}

/// The programs of the product for Windows, and the test program; returns their folder.
pub(super) fn programs(root: &Path) -> Result<PathBuf, String> {
    let build = Build {
        place: root,
        target: windows::PROGRAM,
        profile: PROFILE,
        packages: PACKAGES,
        flags: &[],
    };
    build.run(root)
}

/// Compiles an object to a driver of the same name.
fn driver(root: &Path, tool: &Path, folder: &Path, object: &str) -> Result<(), String> {
    let object = root.join(object);
    let name = Path::new(object.file_name().unwrap_or_default());
    let mut command = Command::new(tool);
    command
        .arg(&object)
        .arg("-o")
        .arg(folder.join(name.with_extension("sys")));
    finish(&mut command, &object.display().to_string())
}

/// Builds `bpf2native` for this host.
fn tool(root: &Path) -> Result<PathBuf, String> {
    let mut command = Command::new("cargo");
    command
        .args(["build", "--quiet", "--package", "bpf2native"])
        .current_dir(root);
    finish(&mut command, "bpf2native")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    Ok(target.join("debug/bpf2native"))
}

pub(super) fn finish(command: &mut Command, what: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what}: {status}")),
        Err(error) => Err(format!("{what}: {error}")),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let copied = std::fs::copy(from, to);
    copied
        .map(|_| ())
        .map_err(|error| format!("{}: {error}", to.display()))
}
