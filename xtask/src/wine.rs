//! Drivers under Wine: the real service manager starts them, and the stand-ins of `testkernel` give
//! Wine's kernel what it lacks.
//!
//! What Wine checks of an image (protections) and what it does not (signatures, the rules of HVCI)
//! is told in `docs`; other tests do the rest. What is left out: running on Windows.

mod build;
mod capi;
mod ctl;
mod demo;
mod device;
mod extension;
mod failures;
mod forward;
mod identity;
mod modules;
mod netsh;
mod prefix;
mod process;
mod scenario;
mod sessions;
mod sockets;

use process::Wine;
use scenario::Run;
use std::path::Path;
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Load and unload so many times under traffic
    #[arg(long, default_value_t = 20)]
    cycles: u32,
    /// Only replay the sessions with netsh (`BLESS=1` writes their files anew)
    #[arg(long, conflicts_with = "demo")]
    sessions: bool,
    /// Only ask the hooks of sockets
    #[arg(long, conflicts_with = "demo")]
    sockets: bool,
    /// Only tell the story of the tutorial, and draw it
    #[arg(long)]
    demo: bool,
    /// The picture of the story; a PNG is written beside it if there is a browser
    #[arg(long, value_name = "FILE.svg", requires = "demo")]
    picture: Option<std::path::PathBuf>,
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
    if args.demo {
        let picture = args.picture.clone();
        let picture = picture.unwrap_or_else(|| folder.join("dnsflood-windows.svg"));
        return demo::run(&wine, &built, &picture);
    }
    if args.sessions {
        return scenario::only(&wine, &built, Run::sessions_go_as_written);
    }
    if args.sockets {
        return scenario::only(&wine, &built, Run::sockets_are_decided);
    }
    let mut ok = scenario::run(&wine, &built, args.cycles)?;
    ok &= identity::run(&wine, &built)?;
    Ok(ok)
}
