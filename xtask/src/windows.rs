//! Compiling for Windows, on any host.
//!
//! Rust's own linker makes drivers: they need nothing of Windows but the names of functions, which
//! Rust knows. Programs for user mode are made for the GNU environment with the linker of mingw-w64.
//! Libraries come from rustup, or else from the sources that a system package brings. What is left
//! out: Microsoft's tools, which nothing here needs.

pub(crate) mod compiler;

use std::path::{Path, PathBuf};
use std::process::Command;

/// What drivers are made for.
pub(crate) const DRIVER: &str = "x86_64-pc-windows-msvc";
/// What programs are made for.
pub(crate) const PROGRAM: &str = "x86_64-pc-windows-gnu";

/// The linker's arguments for drivers: as the driver kit has them, page-aligned, reproducible. Debug
/// information has folders in it, and the headers would have its hash.
const LINK: &[&str] = &[
    "/DRIVER",
    "/SUBSYSTEM:NATIVE,10.00",
    "/ENTRY:DriverEntry",
    "/NODEFAULTLIB",
    "/RELEASE",
    "/Brepro",
    "/DEBUG:NONE",
    "/VERSION:10.0",
    "/INTEGRITYCHECK",
    "/CETCOMPAT",
    "/MERGE:.00cfg=.rdata",
];

/// What is installed carries no symbols.
pub(crate) const STRIP: &str = "-Cstrip=symbols";

/// Where Windows builds go, apart from those for the host.
pub(crate) fn folder(root: &Path) -> PathBuf {
    root.join("target/windows")
}

/// What to build.
pub(crate) struct Build<'a> {
    /// The folder of the package or the workspace.
    pub(crate) place: &'a Path,
    /// [`DRIVER`] or [`PROGRAM`].
    pub(crate) target: &'a str,
    /// The profile, which is also the folder of the results.
    pub(crate) profile: &'a str,
    /// Packages of a workspace; the one of the folder where there are none.
    pub(crate) packages: &'a [&'a str],
    /// Flags of the compiler beyond those of the target.
    pub(crate) flags: &'a [&'a str],
}

impl Build<'_> {
    /// Builds; returns the folder of the results.
    pub(crate) fn run(&self, root: &Path) -> Result<PathBuf, String> {
        let folder = folder(root);
        let mut flags = flags(root, self.target);
        flags.extend(self.flags.iter().map(|flag| (*flag).to_owned()));
        let mut command = cargo(self.target);
        command
            .args(["build", "--quiet", "--target", self.target])
            .args(["--profile", self.profile, "--target-dir"])
            .arg(&folder)
            .args(self.packages.iter().flat_map(|name| ["--package", name]))
            .current_dir(self.place)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        if self.place != root {
            compiler::stand_in_front(&mut command, root)?;
        }
        let fail = |why: &dyn std::fmt::Display| {
            format!("{} for {}: {why}", self.place.display(), self.target)
        };
        match command.status() {
            Ok(status) if status.success() => Ok(folder.join(self.target).join(self.profile)),
            Ok(status) => Err(fail(&status)),
            Err(error) => Err(fail(&error)),
        }
    }
}

/// Flags of the compiler. Folders of this machine do not appear in what is built.
fn flags(root: &Path, target: &str) -> Vec<String> {
    let mut flags = vec![format!("--remap-path-prefix={}=.", root.display())];
    if let Some(home) = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(home_cargo)
    {
        flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
    }
    if target == DRIVER {
        let linker = ["-Clinker=rust-lld", "-Clinker-flavor=lld-link", STRIP];
        flags.extend(linker.map(str::to_owned));
        flags.extend(LINK.iter().map(|argument| format!("-Clink-arg={argument}")));
    } else {
        flags.push("-Clink-arg=-Wl,--no-insert-timestamp".to_owned());
    }
    flags
}

fn home_cargo() -> Option<PathBuf> {
    std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"))
}

/// The cargo that has the libraries of a target.
fn cargo(target: &str) -> Command {
    if has_target(target) || add_target(target) {
        return Command::new("cargo");
    }
    // A compiler of the system with the sources of its libraries builds them with the program.
    let mut command = Command::new("/usr/bin/cargo");
    command
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("CARGO_UNSTABLE_BUILD_STD", libraries(target));
    command
}

fn libraries(target: &str) -> &'static str {
    if target == DRIVER {
        "core,alloc,compiler_builtins"
    } else {
        "std,panic_unwind"
    }
}

fn has_target(target: &str) -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .output();
    let Ok(output) = output else { return false };
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success() && Path::new(&folder).join("").read_dir().is_ok()
}

fn add_target(target: &str) -> bool {
    let status = Command::new("rustup")
        .args(["target", "add", target])
        .output();
    status.is_ok_and(|output| output.status.success())
}
