//! The folder in which Wine keeps its Windows, made once, with the stand-ins in it.

use super::forward::{Forward, image};
use super::process::Wine;
use object::read::pe::PeFile64;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use testkernel::raw::{PREFIX, Row, Users, rows};

/// Bytes by which Wine knows its own modules, and where they stand.
const MARKER: &[u8] = b"Wine builtin DLL";
const MARKER_AT: usize = 0x40;
/// What stands there in the copy, so that Wine loads it as any other module.
const UNMARKED: &[u8] = b"Copy of builtin.";
/// The library of the stand-ins.
const STANDINS: &str = "tkernel";
/// The copy of Wine's kernel.
const COPY: &str = "ntosreal";

/// Makes the prefix if there is none, and puts fresh stand-ins into it.
pub(super) fn prepare(wine: &Wine, library: &Path) -> Result<(), String> {
    let system = wine.prefix.join("drive_c/windows/system32");
    let done = wine.prefix.join("made");
    if !done.exists() {
        let made = wine.run(&["wineboot", "-i"], Duration::from_secs(120))?;
        if !made.is_success {
            return Err(format!("wineboot: {}", made.output));
        }
        wine.server("-w")?;
        write(&done, b"")?;
    }
    let _ = wine.server("-k");
    install(&system, library)
}

fn install(system: &Path, library: &Path) -> Result<(), String> {
    let copy = system.join(format!("{COPY}.dll"));
    let kernel = match std::fs::read(&copy) {
        Ok(bytes) => bytes,
        Err(_) => unmark(read(&system.join("ntoskrnl.exe"))?)?,
    };
    write(&copy, &kernel)?;
    let bytes = read(library)?;
    write(&system.join(format!("{STANDINS}.dll")), &bytes)?;
    write(&system.join("ntoskrnl.exe"), &kernel_image(&kernel)?)?;
    for module in ["netio.sys", "fwpkclnt.sys", "ndis.sys"] {
        let forwards = rows().filter(|row| row.module.eq_ignore_ascii_case(module));
        let image = image(module, forwards.map(forward).collect());
        write(&system.join("drivers").join(module), &image)?;
    }
    // Rust's standard library wants it, and Wine 8 has it under another name only.
    let random = Forward {
        name: "ProcessPrng".into(),
        target: "advapi32.SystemFunction036".into(),
    };
    write(
        &system.join("bcryptprimitives.dll"),
        &image("bcryptprimitives.dll", vec![random]),
    )
}

fn forward(row: &Row) -> Forward {
    Forward {
        name: row.name.into(),
        target: format!("{STANDINS}.{PREFIX}{}", row.name),
    }
}

/// Everything Wine's kernel has, and what it lacks.
fn kernel_image(kernel: &[u8]) -> Result<Vec<u8>, String> {
    let fail = |error| format!("Wine's ntoskrnl.exe: {error}");
    let file = PeFile64::parse(kernel).map_err(fail)?;
    let table = file
        .export_table()
        .map_err(fail)?
        .ok_or("Wine's ntoskrnl.exe exports nothing")?;
    let is_ours = |row: &&Row| row.module == "ntoskrnl.exe" && row.users == Users::All;
    let own: Vec<&Row> = rows().filter(is_ours).collect();
    let own_names: BTreeSet<&str> = own.iter().map(|row| row.name).collect();
    let mut forwards: Vec<Forward> = own.into_iter().map(forward).collect();
    for export in table.exports().map_err(fail)? {
        let Some(name) = export.name else { continue };
        let name = String::from_utf8_lossy(name).into_owned();
        if !own_names.contains(name.as_str()) {
            let target = format!("{COPY}.{name}");
            forwards.push(Forward { name, target });
        }
    }
    Ok(image("ntoskrnl.exe", forwards))
}

fn unmark(mut kernel: Vec<u8>) -> Result<Vec<u8>, String> {
    let marker = kernel.get_mut(MARKER_AT..MARKER_AT + MARKER.len());
    match marker {
        Some(bytes) if bytes == MARKER => bytes.copy_from_slice(UNMARKED),
        _ => return Err("the prefix holds no ntoskrnl.exe of Wine's: remove target/wine".into()),
    }
    Ok(kernel)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    // A file that is a link into Wine's own folder must not be written through.
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
