//! Builds what runs under Wine: the stand-ins, the device, the test program, the drivers.

use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = crate::windows::PROGRAM;

/// Files that were built.
pub(super) struct Built {
    /// `tkernel.dll`.
    pub(super) library: PathBuf,
    /// The folder of the drivers and the test program.
    pub(super) folder: PathBuf,
    /// The repository.
    pub(super) root: PathBuf,
}

pub(super) fn all(root: &Path, folder: &Path) -> Result<Built, String> {
    let target = root.join("target/windows");
    let out = target.join(TARGET).join("release");
    windows(root, "testkernel/shim", &target, "")?;
    let native = "-Clink-arg=-nostartfiles -Clink-arg=-Wl,--entry=DriverEntry \
                  -Clink-arg=-Wl,--subsystem=native";
    windows(root, "testkernel/device", &target, native)?;
    windows(root, "testkernel/program", &target, "")?;
    copy(&out.join("testkernel.dll"), &folder.join("testkernel.sys"))?;
    copy(&out.join("testkernel.exe"), &folder.join("testkernel.exe"))?;
    driver(root, folder, "droppacket")?;
    crate::dist::driver(root, folder)?;
    Ok(Built {
        library: out.join("tkernel.dll"),
        folder: folder.to_path_buf(),
        root: root.to_path_buf(),
    })
}

fn windows(root: &Path, package: &str, target: &Path, flags: &str) -> Result<(), String> {
    let mut command = Command::new("cargo");
    command
        .args([
            "build",
            "--quiet",
            "--release",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(target)
        .env("RUSTFLAGS", flags)
        .current_dir(root.join(package));
    finish(&mut command, package)
}

/// Compiles an example to a driver.
fn driver(root: &Path, folder: &Path, name: &str) -> Result<(), String> {
    let mut command = Command::new("cargo");
    command
        .args(["run", "--quiet", "--package", "bpf2native", "--"])
        .arg(root.join(format!("examples/{name}.o")))
        .arg("-o")
        .arg(folder.join(format!("{name}.sys")))
        .current_dir(root);
    finish(&mut command, name)
}

/// `bpf2native` for this host.
pub(super) fn tool(root: &Path) -> Result<PathBuf, String> {
    let mut command = Command::new("cargo");
    command
        .args(["build", "--quiet", "--package", "bpf2native"])
        .current_dir(root);
    finish(&mut command, "bpf2native")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    Ok(target.join("debug/bpf2native"))
}

/// `bpf2native.exe`.
pub(super) fn windows_tool(root: &Path, profile: &str) -> Result<PathBuf, String> {
    let target = root.join("target/windows");
    let mut command = Command::new("cargo");
    command
        .args([
            "build",
            "--quiet",
            "--package",
            "bpf2native",
            "--target",
            TARGET,
        ])
        .args(["--profile", profile, "--target-dir"])
        .arg(&target)
        .current_dir(root);
    finish(&mut command, "bpf2native.exe")?;
    Ok(target.join(TARGET).join(profile).join("bpf2native.exe"))
}

fn finish(command: &mut Command, what: &str) -> Result<(), String> {
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
