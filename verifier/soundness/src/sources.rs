//! Where programs come from.

use crate::cases;
use abi::Platform;
use program::{LoadError, LoadOptions, Object, ProgramId, TextFunctions, Unlinkable};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A program and where it comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Kind, file and title.
    pub name: String,
    /// The object; programs of one file share it.
    pub object: Arc<Object>,
    /// Which program of it.
    pub id: ProgramId,
}

/// The small cases of the verifier's tests.
#[must_use]
pub fn cases() -> Vec<Source> {
    let named = cases::all();
    let mut sources: Vec<Source> = named
        .iter()
        .map(|(file, case)| source(format!("case/{file}/{}", case.name), case))
        .collect();
    for file in ["safe", "unsafe"] {
        let listed = cases::programs(&format!("{file}.bpf"));
        let listed = listed.iter();
        sources.extend(listed.map(|case| source(format!("program/{file}/{}", case.name), case)));
    }
    sources
}

fn source(name: String, case: &cases::Case) -> Source {
    Source {
        name,
        object: Arc::new(case.object()),
        id: ProgramId(0),
    }
}

/// The programs of the examples of this repository.
///
/// # Errors
/// A folder or file that cannot be read.
pub fn examples() -> Result<Vec<Source>, String> {
    let folder = root().join("examples");
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| extension == "o") {
            paths.push(path);
        }
    }
    // The order of a folder is not defined.
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        let bytes = std::fs::read(&path).map_err(fail)?;
        let Ok(object) = program::load(&bytes, &LoadOptions::default()) else {
            continue;
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        sources.extend(all(&format!("example/{name}"), object));
    }
    Ok(sources)
}

/// The programs that the corpus lists; none where there is no corpus.
#[must_use]
pub fn corpus() -> Vec<Source> {
    let Some(folder) = corpus::folder() else {
        return Vec::new();
    };
    let mut objects: BTreeMap<String, Option<Arc<Object>>> = BTreeMap::new();
    let mut sources = Vec::new();
    for row in corpus::rows(&folder) {
        let object = objects.entry(row.file.clone()).or_insert_with(|| {
            let loaded = corpus::load(&folder, &row.file, Unlinkable::LeaveOut);
            loaded.ok().map(Arc::new)
        });
        let Some(object) = object else { continue };
        let Some(id) = corpus::find(object, &row) else {
            continue;
        };
        sources.push(Source {
            name: format!("corpus/{}/{}/{}", row.file, row.section, row.function),
            object: Arc::clone(object),
            id,
        });
    }
    sources
}

/// The programs of one file: an object for Linux, or assembler text in the form of the cases.
///
/// # Errors
/// A file that cannot be read or loaded.
pub fn file(path: &Path) -> Result<Vec<Source>, String> {
    let name = path.display();
    if path.extension().is_some_and(|extension| extension == "bpf") {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
        let listed = cases::parse(&text);
        let listed = listed.iter();
        return Ok(listed
            .map(|case| source(format!("{name}/{}", case.name), case))
            .collect());
    }
    let bytes = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
    let object = load_linux(&bytes, path).map_err(|error| format!("{name}: {error}"))?;
    Ok(all(&name.to_string(), object))
}

fn load_linux(bytes: &[u8], path: &Path) -> Result<Object, LoadError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut options = LoadOptions {
        platform: Platform::Linux,
        name: stem.into_owned(),
        text: TextFunctions::Programs,
        unlinkable: Unlinkable::LeaveOut,
        ..LoadOptions::default()
    };
    match program::load(bytes, &options) {
        Err(error) if error.code() == abi::diagnostic::SECTION_TYPE_UNKNOWN => {
            options.program_type = corpus::fallback(&path.to_string_lossy());
            program::load(bytes, &options)
        }
        decided => decided,
    }
}

fn all(name: &str, object: Object) -> Vec<Source> {
    let object = Arc::new(object);
    let programs = (0..).zip(&object.programs);
    programs
        .map(|(index, program)| Source {
            name: format!("{name}/{}/{}", program.section, program.name),
            object: Arc::clone(&object),
            id: ProgramId(index),
        })
        .collect()
}

/// The folder of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}
