//! Sessions with netsh: what is typed, and what comes back, as files.
//!
//! Each file of `testkernel/netsh/sessions/` is one session on a runtime that was just started. A line
//! that begins with `> ` is typed behind `netsh ebpf`, each in a process of its own; a file that begins
//! with `# prompt` is typed into one process. What is printed stands below, behind `|`, and `= failed`
//! where the command fails. `BLESS=1` writes the files anew. Process ids are told as `PID`, and folders
//! of this machine as `$BUILT`.

use super::capi::copy;
use super::prefix::write;
use super::process::windows_path;
use super::scenario::{COMMAND, Run};
use std::path::{Path, PathBuf};

/// Where the files are.
const SESSIONS: &str = "testkernel/netsh/sessions";
/// The first line of a session at the prompt.
const AT_PROMPT: &str = "# prompt";

impl Run<'_> {
    /// All of them; the runtime is started for each and goes on running.
    pub(super) fn sessions_go_as_written(&mut self) -> Result<(), String> {
        let folder = self.built.root.join(SESSIONS);
        let fail = |error: std::io::Error| format!("{SESSIONS}: {error}");
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(fail)? {
            files.push(entry.map_err(fail)?.path());
        }
        files.sort();
        if files.is_empty() {
            self.fail(&format!("{SESSIONS}: no sessions"));
        }
        self.helper_is_added()?;
        let object = self.built.root.join("examples/droppacket.o");
        copy(&object, &self.built.folder.join("compiled.o"))?;
        write(&self.built.folder.join("text.o"), b"text")?;
        // What a session before made.
        let _ = std::fs::remove_file(self.built.folder.join("compiled.sys"));
        for file in files {
            self.stopped("ebpfcore")?;
            self.started("ebpfcore")?;
            self.goes_as_written(&file)?;
        }
        self.helper_is_deleted()?;
        let left = self.ask(&["ebpf", "list"])?;
        if !left.is_success || !left.output.is_empty() {
            self.fail(&format!("the sessions leave {}", left.output));
        }
        Ok(())
    }

    fn goes_as_written(&mut self, file: &Path) -> Result<(), String> {
        let written = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let now = match written.starts_with(AT_PROMPT) {
            true => self.at_the_prompt(&written)?,
            false => self.line_by_line(&written)?,
        };
        if std::env::var_os("BLESS").is_some() {
            return std::fs::write(file, now).map_err(|error| error.to_string());
        }
        let mut lines = (1..).zip(written.lines().zip(now.lines()));
        if written != now {
            let differs = lines.find(|(_, (old, new))| old != new);
            let name = file.display();
            self.fail(&format!(
                "{name}: {differs:?} (BLESS=1 writes it anew)\n{now}"
            ));
        }
        Ok(())
    }

    /// Each line in a process of its own.
    fn line_by_line(&mut self, written: &str) -> Result<String, String> {
        let mut out = String::new();
        for line in written.lines() {
            if line.starts_with('#') {
                out += &format!("{line}\n");
            }
            let Some(typed) = line.strip_prefix("> ") else {
                continue;
            };
            let words: Vec<&str> = typed.split_whitespace().collect();
            let said = self.netsh(&[&["ebpf"], &*words].concat(), &[])?;
            out += &format!("> {typed}\n{}", self.marked(&said.output));
            if !said.is_success {
                out += "= failed\n";
            }
        }
        Ok(out)
    }

    /// All lines in one process.
    fn at_the_prompt(&mut self, written: &str) -> Result<String, String> {
        let kept = |line: &&str| line.starts_with('#') || line.starts_with("> ");
        let kept: Vec<&str> = written.lines().filter(kept).collect();
        let typed = kept.iter().filter_map(|line| line.strip_prefix("> "));
        let typed: String = typed.map(|line| format!("{line}\r\n")).collect();
        let file = self.built.folder.join("typed.txt");
        std::fs::write(&file, typed).map_err(|error| format!("{}: {error}", file.display()))?;
        let line = "netsh.exe < typed.txt";
        let said = self.wine.run(&["cmd", "/c", line], COMMAND)?;
        let head: String = kept.iter().map(|line| format!("{line}\n")).collect();
        Ok(format!("{head}{}", self.marked(&said.output)))
    }

    /// Lines behind a mark, without what differs from one machine to the next.
    fn marked(&self, output: &str) -> String {
        let folder: PathBuf = self.built.folder.clone();
        let here = windows_path(&folder);
        let output = output.replace(&here, "$BUILT");
        let output = output.replace(&folder.display().to_string(), "$BUILT");
        output
            .lines()
            .map(|line| format!("|{}\n", without_pid(line)))
            .collect()
    }
}

/// A row of `show processes` without the number.
fn without_pid(line: &str) -> String {
    match line.trim_start().split_once("  ") {
        Some((id, name)) if name.ends_with(".exe") && id.parse::<u32>().is_ok() => {
            format!("  PID  {name}")
        }
        _ => line.to_owned(),
    }
}
