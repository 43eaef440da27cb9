//! Commands that must succeed, and children that end with what owns them.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Runs a command to its end; returns what it printed.
pub(crate) fn run(words: &[&str]) -> Result<String, String> {
    let line = words.join(" ");
    let [program, arguments @ ..] = words else {
        return Err("no command".to_owned());
    };
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{line}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{line}: {}", text(&output.stderr)))
}

/// Whether there is such a program.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path);
    folders.any(|folder| folder.join(program).is_file())
}

/// A process in a network namespace; it is killed when this is dropped.
pub(crate) struct Running {
    name: String,
    child: Child,
    output: Option<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start<S: AsRef<OsStr>>(
        namespace: &str,
        program: S,
        arguments: &[&str],
    ) -> Result<Running, String> {
        let name = program.as_ref().to_string_lossy().into_owned();
        let mut child = Command::new("ip")
            .args(["netns", "exec", namespace])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let output = child.stdout.take().map(BufReader::new);
        Ok(Running {
            name,
            child,
            output,
        })
    }

    /// Its number; `ip netns exec` becomes the program that it starts.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its next line; an error when it ended.
    pub(crate) fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let read = match &mut self.output {
            Some(output) => output.read_line(&mut line),
            None => Ok(0),
        };
        match read {
            Ok(0) => Err(format!("{}: ended", self.name)),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }

    /// Gives it a line; returns its answer.
    pub(crate) fn ask(&mut self, line: &str) -> Result<String, String> {
        let input = self.child.stdin.as_mut();
        let written = input.map_or(Ok(()), |input| writeln!(input, "{line}"));
        written.map_err(|error| format!("{}: {error}", self.name))?;
        let answer = self.line()?;
        match answer.strip_prefix("error: ") {
            Some(error) => Err(format!("{}: {error}", self.name)),
            None => Ok(answer),
        }
    }

    /// Its output, to be read by another thread.
    pub(crate) fn take_output(&mut self) -> Option<BufReader<ChildStdout>> {
        self.output.take()
    }

    /// An error when it ended.
    pub(crate) fn must_live(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("{}: {status}", self.name)),
            Err(error) => Err(format!("{}: {error}", self.name)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
