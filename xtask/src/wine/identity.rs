//! The tool as a program for Windows: its output under Wine is that of this host, byte for byte.
//!
//! All examples unsigned, and one signed with the same key. What is left out: running programs,
//! which native code needs a Unix host for.

use super::build::Built;
use super::prefix::read;
use super::process::{Wine, windows_path};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longest time for one run: the program is built without optimisation.
const LIMIT: Duration = Duration::from_secs(120);
/// The key that signs on both sides, and where its password stands.
const KEY: &str = "signing/tests/fixtures/test-only.pfx";
const PASSWORD: (&str, &str) = ("IDENTITY_PASSWORD", "test-only");

/// Compares all outputs; says which differ.
pub(super) fn run(wine: &Wine, built: &Built) -> Result<bool, String> {
    let root = &built.root;
    let sides = Sides {
        wine,
        host: &built.tool,
        windows: super::build::programs(root)?.join("bpf2native.exe"),
        folder: built.folder.join("identity"),
    };
    std::fs::create_dir_all(&sides.folder)
        .map_err(|error| format!("{}: {error}", sides.folder.display()))?;
    let examples = examples(root)?;
    let mut ok = true;
    for object in &examples {
        ok &= sides.agree(object, &["--unsigned"])?;
    }
    let key = root.join(KEY);
    let key = key.to_str().ok_or("the path of the key is no text")?;
    let signed = ["--password-env", PASSWORD.0, "--pfx", key];
    ok &= sides.agree(&root.join("examples/droppacket.o"), &signed)?;
    let count = examples.len() + 1;
    println!("wine: bpf2native.exe wrote {count} drivers, compared with those of this host");
    Ok(ok)
}

/// The same program twice.
struct Sides<'a> {
    wine: &'a Wine,
    host: &'a Path,
    windows: PathBuf,
    folder: PathBuf,
}

impl Sides<'_> {
    fn agree(&self, object: &Path, options: &[&str]) -> Result<bool, String> {
        let here = self.folder.join("host.sys");
        let there = self.folder.join("windows.sys");
        for stale in [&here, &there] {
            let _ = std::fs::remove_file(stale);
        }
        let output = Command::new(self.host)
            .arg(object)
            .args(options)
            .arg("-o")
            .arg(&here)
            .env(PASSWORD.0, PASSWORD.1)
            .output()
            .map_err(|error| format!("{}: {error}", self.host.display()))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        self.translate(object, options, &there)?;
        let same = read(&here)? == read(&there)?;
        if !same {
            println!("FAILED: {}: the outputs differ", object.display());
        }
        Ok(same)
    }

    fn translate(&self, object: &Path, options: &[&str], output: &Path) -> Result<(), String> {
        let mut arguments = vec![windows_path(&self.windows), windows_path(object)];
        for option in options {
            let path = Path::new(option);
            arguments.push(if path.is_absolute() {
                windows_path(path)
            } else {
                (*option).to_owned()
            });
        }
        arguments.extend(["-o".to_owned(), windows_path(output)]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let outcome = self.wine.run_with(&arguments, &[PASSWORD], LIMIT)?;
        match outcome.is_success {
            true => Ok(()),
            false => Err(format!("bpf2native.exe: {}", outcome.output)),
        }
    }
}

/// All examples that become drivers.
fn examples(root: &Path) -> Result<Vec<PathBuf>, String> {
    let folder = root.join("examples");
    let fail = |error| format!("{}: {error}", folder.display());
    let mut objects = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|ending| ending == "o") && !name.ends_with("_unsafe") {
            objects.push(path);
        }
    }
    objects.sort();
    Ok(objects)
}
