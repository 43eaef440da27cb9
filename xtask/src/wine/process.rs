//! Programs under Wine, each with a time limit and with files for its input and output.
//!
//! Services inherit the pipes of whoever starts them, and pipes that a driver holds never close; so
//! nothing here is ever a pipe.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often a running program is looked at.
const TICK: Duration = Duration::from_millis(10);
/// What Wine says when it did not get as far as starting a program, which happens now and then.
const NOT_STARTED: &[&str] = &[
    "ShellExecuteEx failed: Internal error",
    "failed to initialize, aborting",
];
/// How often it is asked to.
const STARTS: usize = 3;

/// Where and how programs run.
pub(super) struct Wine {
    pub(super) prefix: PathBuf,
    /// Output of everything.
    pub(super) log: PathBuf,
    /// Output of the program that ran last.
    last: PathBuf,
    /// Whether the server ends with this value.
    is_owner: bool,
}

/// A program that runs while others do; it ends with this value.
pub(super) struct Running {
    child: Child,
    output: PathBuf,
}

impl Running {
    /// Waits until the program has said something.
    pub(super) fn wait_for(&mut self, line: &str, limit: Duration) -> Result<String, String> {
        let waited = self.wait_until(|output| output.lines().any(|said| said == line), limit);
        waited.map_err(|output| format!("waits for {line:?}: {output}"))
    }

    /// Waits until what the program has said is as wanted; fails with what it said.
    pub(super) fn wait_until(
        &mut self,
        is_wanted: impl Fn(&str) -> bool,
        limit: Duration,
    ) -> Result<String, String> {
        let deadline = Instant::now() + limit;
        loop {
            let output = std::fs::read(&self.output).unwrap_or_default();
            let output = String::from_utf8_lossy(&output).replace('\r', "");
            if is_wanted(&output) {
                return Ok(output);
            }
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || Instant::now() > deadline {
                return Err(output);
            }
            std::thread::sleep(TICK);
        }
    }

    /// Ends the program as a crash would.
    pub(super) fn kill(mut self) -> Result<(), String> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(|_| ()).map_err(|error| error.to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, or ends now; a test that failed does not leave it behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a program ended.
pub(super) struct Outcome {
    pub(super) is_success: bool,
    pub(super) output: String,
}

impl Wine {
    pub(super) fn new(folder: &Path) -> Result<Wine, String> {
        let wine = Wine {
            prefix: folder.join("prefix"),
            log: folder.join("log"),
            last: folder.join("last"),
            is_owner: true,
        };
        File::create(&wine.log).map_err(|error| format!("{}: {error}", wine.log.display()))?;
        Ok(wine)
    }

    /// The same, for a program that runs while others do.
    pub(super) fn beside(&self) -> Wine {
        Wine {
            prefix: self.prefix.clone(),
            log: self.log.clone(),
            last: self.last.with_extension("beside"),
            is_owner: false,
        }
    }

    /// Runs a program of Windows.
    pub(super) fn run(&self, arguments: &[&str], limit: Duration) -> Result<Outcome, String> {
        self.run_with(arguments, &[], limit)
    }

    /// Runs a program of Windows with variables in its environment.
    pub(super) fn run_with(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
        limit: Duration,
    ) -> Result<Outcome, String> {
        for _ in 1..STARTS {
            let outcome = self.run_once(arguments, environment, limit)?;
            let is_told = |words: &&str| outcome.output.contains(words);
            if outcome.is_success || !NOT_STARTED.iter().any(is_told) {
                return Ok(outcome);
            }
            println!("wine: {arguments:?} could not be started, once more");
        }
        self.run_once(arguments, environment, limit)
    }

    fn run_once(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
        limit: Duration,
    ) -> Result<Outcome, String> {
        let mut command = Command::new("wine");
        command.args(arguments).envs(environment.iter().copied());
        self.spawn(&mut command, &format!("{arguments:?}"), limit)
    }

    /// Runs `wineserver`.
    pub(super) fn server(&self, option: &str) -> Result<Outcome, String> {
        let mut command = Command::new("wineserver");
        command.arg(option);
        self.spawn(
            &mut command,
            &format!("wineserver {option}"),
            Duration::from_secs(15),
        )
    }

    /// Starts a program of Windows that goes on while others run.
    pub(super) fn start(&self, arguments: &[&str]) -> Result<Running, String> {
        let output = self.last.with_extension("running");
        let mut command = Command::new("wine");
        let child = self.begin(command.args(arguments), &output);
        let child = child.map_err(|error| format!("{arguments:?}: {error}"))?;
        Ok(Running { child, output })
    }

    /// Starts a program with a file for its output.
    fn begin(&self, command: &mut Command, output: &Path) -> std::io::Result<Child> {
        let output = File::create(output)?;
        let both = output.try_clone()?;
        let overrides =
            "ntoskrnl.exe,netio.sys,ndis.sys,fwpkclnt.sys,bcryptprimitives=n;mscoree,mshtml=";
        // Programs find files of the folder by their names, as a user would have them.
        if let Some(folder) = self.prefix.parent() {
            command.current_dir(folder);
        }
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDLLOVERRIDES", overrides)
            .env("WINEDEBUG", "-all,err+module,err+seh,+debugstr")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(both)
            .spawn()
    }

    fn spawn(&self, command: &mut Command, what: &str, limit: Duration) -> Result<Outcome, String> {
        let fail = |error| format!("{what}: {error}");
        let mut child = self.begin(command, &self.last).map_err(fail)?;
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(fail)? {
                break status;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{what}: no end after {} s", limit.as_secs()));
            }
            std::thread::sleep(TICK);
        };
        let output = std::fs::read(&self.last).map_err(fail)?;
        let output = String::from_utf8_lossy(&output).replace('\r', "");
        self.note(&format!("--- {what}: {status}\n{output}"));
        Ok(Outcome {
            is_success: status.success(),
            output,
        })
    }

    /// Adds to the log.
    pub(super) fn note(&self, text: &str) {
        use std::io::Write as _;
        // The log helps people; a test does not fail for it.
        if let Ok(mut log) = OpenOptions::new().append(true).open(&self.log) {
            let _ = log.write_all(text.as_bytes());
        }
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        if !self.is_owner {
            return;
        }
        let _ = self.server("-k");
        let _ = self.server("-w");
    }
}

/// A path of this system as Windows programs name it.
pub(super) fn windows_path(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}
