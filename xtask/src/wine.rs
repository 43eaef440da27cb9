//! Drivers under Wine: the real service manager starts them, and the stand-ins of `testkernel` give
//! Wine's kernel what it lacks.
//!
//! What Wine checks of an image (protections) and what it does not (signatures, the rules of HVCI)
//! is told in `docs`; other tests do the rest. What is left out: running on Windows.

mod build;
mod ctl;
mod device;
mod failures;
mod forward;
mod identity;
mod modules;
mod prefix;
mod process;
mod scenario;

use process::Wine;
use std::path::Path;
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Load and unload so many times under traffic
    #[arg(long, default_value_t = 20)]
    cycles: u32,
}

pub(crate) fn run(root: &Path, args: &Args) -> Result<bool, String> {
    for program in ["wine", "wineserver", "x86_64-w64-mingw32-gcc"] {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output();
        if !found.is_ok_and(|output| output.status.success()) {
            println!("NOT RUN: {program} is not installed");
            return Ok(true);
        }
    }
    let folder = root.join("target/wine");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let built = build::all(root, &folder)?;
    let wine = Wine::new(&folder)?;
    prefix::prepare(&wine, &built.library)?;
    let mut ok = scenario::run(&wine, &built, args.cycles)?;
    ok &= identity::run(&wine, &built)?;
    Ok(ok)
}
