//! C programs with `ebpfapi.dll`: those that run over the simulator in other tests, compiled against the
//! headers and the import library.

use super::build::finish;
use super::prefix::write;
use super::process::windows_path;
use super::scenario::{COMMAND, Run};
use object::read::pe::PeFile64;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Where the sources are.
const SOURCES: &str = "ebpfapi/c/tests/c";
const PROGRAMS: &[&str] = &["maps", "rings", "programs", "store", "syscall"];
/// A program without a C runtime, for Microsoft's linker or one like it.
const PLAIN: &str = "int bpf_map_create(int, const char *, int, int, int, void *);\n\
    int start(void) { return bpf_map_create(2, \"plain\", 4, 4, 1, 0) < 0; }\n";
const COMPILER: &str = "x86_64-w64-mingw32-gcc";
/// Where users read how to build a program.
const BOOK: &str = "docs/api.md";
/// The names that the library exports.
const EXPORTS: &str = "ebpfapi/c/ebpfapi.def";

impl Run<'_> {
    /// Each program does what it does elsewhere, and leaves nothing.
    pub(super) fn c_programs_run(&mut self) -> Result<(), String> {
        self.exports_are_listed()?;
        let examples = windows_path(&self.built.root.join("examples"));
        let driver = windows_path(&self.built.folder.join("droppacket.sys"));
        for name in PROGRAMS {
            self.compiled(name)?;
            let program = windows_path(&self.built.folder.join(format!("{name}.exe")));
            let outcome = self.wine.run(&[&program, &examples, &driver], COMMAND)?;
            self.check(name, &outcome);
            if !outcome.output.contains(&format!("{name}: done")) {
                self.fail(&format!("{name}.c: {}", outcome.output));
            }
        }
        self.other_linker_works()?;
        self.command_of_the_book_works()?;
        let left = self.ask(&["ebpf", "list"])?;
        if !left.is_success || !left.output.is_empty() {
            self.fail(&format!("C programs leave {}", left.output));
        }
        Ok(())
    }

    /// The library exports what its list says, no more and no less.
    fn exports_are_listed(&mut self) -> Result<(), String> {
        let fail = |error: &dyn std::fmt::Display| format!("ebpfapi.dll: {error}");
        let library = std::fs::read(self.built.folder.join("ebpfapi.dll"));
        let library = library.map_err(|error| fail(&error))?;
        let file = PeFile64::parse(&*library).map_err(|error| fail(&error))?;
        let table = file.export_table().map_err(|error| fail(&error))?;
        let exports = table.map(|table| table.exports()).transpose();
        let exports = exports.map_err(|error| fail(&error))?.unwrap_or_default();
        let exported: BTreeSet<String> = exports
            .iter()
            .filter_map(|export| export.name)
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let list = std::fs::read_to_string(self.built.root.join(EXPORTS));
        let list = list.map_err(|error| fail(&error))?;
        let (_, names) = list.split_once("EXPORTS\n").unwrap_or_default();
        let listed: BTreeSet<String> = names.lines().map(|name| name.trim().to_owned()).collect();
        if exported != listed || listed.is_empty() {
            let differ: Vec<&String> = exported.symmetric_difference(&listed).collect();
            self.fail(&format!("exports of ebpfapi.dll and {EXPORTS}: {differ:?}"));
        }
        Ok(())
    }

    /// A program that a linker like Microsoft's made with the other import library runs too.
    fn other_linker_works(&mut self) -> Result<(), String> {
        let folder = &self.built.folder;
        let [library, _] = crate::dist::import_libraries(&self.built.root, folder)?;
        let (source, object) = (folder.join("plain.c"), folder.join("plain.obj"));
        write(&source, PLAIN.as_bytes())?;
        let mut compile = Command::new("clang-19");
        compile.args(["-target", "x86_64-pc-windows-msvc", "-c", "-o"]);
        let mut link = Command::new("lld-link-19");
        link.args(["/entry:start", "/subsystem:console", "/nodefaultlib"]);
        link.arg(format!("/out:{}", folder.join("plain.exe").display()));
        if Command::new("lld-link-19")
            .arg("--version")
            .output()
            .is_err()
        {
            println!("wine: lld-link-19 is not installed; ebpfapi.lib is not tried");
            return Ok(());
        }
        finish(compile.arg(&object).arg(&source), "plain.c")?;
        finish(link.arg(&object).arg(&library), "plain.obj")?;
        let program = windows_path(&self.built.folder.join("plain.exe"));
        let outcome = self.wine.run(&[&program], COMMAND)?;
        self.check("plain.c", &outcome);
        Ok(())
    }

    /// The first program of the book, built with the very command that the book gives, in a folder
    /// with the headers and the import library.
    fn command_of_the_book_works(&mut self) -> Result<(), String> {
        let (root, built) = (&self.built.root, &self.built.folder);
        let folder = built.join("book");
        let book = std::fs::read_to_string(root.join(BOOK));
        let book = book.map_err(|error| format!("{BOOK}: {error}"))?;
        let program = between(&book, "```c\n", "```")?;
        let arguments = between(&book, &format!("`{COMPILER} "), "`")?;
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        crate::dist::headers(root, &folder)?;
        copy(
            &root.join("examples/droppacket.o"),
            &folder.join("droppacket.o"),
        )?;
        copy(&built.join("ebpfapi.dll"), &folder.join("ebpfapi.dll"))?;
        crate::dist::import_libraries(root, &folder)?;
        write(&folder.join("program.c"), program.as_bytes())?;
        let mut compile = Command::new(COMPILER);
        compile
            .args(arguments.split_whitespace())
            .current_dir(&folder);
        finish(&mut compile, "program.c of the book")?;
        let folder = windows_path(&folder);
        let line = ["cmd", "/c", "cd", "/d", &folder, "&&", "a.exe"];
        let outcome = self.wine.run(&line, COMMAND)?;
        self.check("program.c of the book", &outcome);
        if !outcome.output.contains("0 dropped") {
            self.fail(&format!("program.c of the book: {}", outcome.output));
        }
        Ok(())
    }

    fn compiled(&self, name: &str) -> Result<(), String> {
        let (root, folder) = (&self.built.root, &self.built.folder);
        let [_, library] = crate::dist::import_libraries(root, folder)?;
        let mut compile = Command::new(COMPILER);
        compile
            .args(["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-I"])
            .arg(root.join("include"))
            .arg(root.join(SOURCES).join(format!("{name}.c")))
            .arg(library)
            .arg("-o")
            .arg(folder.join(format!("{name}.exe")));
        finish(&mut compile, name)
    }
}

/// What stands between two texts.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Result<&'a str, String> {
    let rest = text.split_once(from).map(|(_, rest)| rest);
    let inner = rest.and_then(|rest| rest.split_once(to));
    let inner = inner.map(|(inner, _)| inner);
    inner.ok_or_else(|| format!("{BOOK} has nothing between `{from}` and `{to}`"))
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let bytes = std::fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    write(to, &bytes)
}
