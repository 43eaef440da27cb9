//! What can go wrong for a user: each failure says what to do, and leaves nothing behind.
//!
//! One row each in [`REFUSED`] for what an application hears, and one in [`MANAGER`] for what `sc`
//! refuses. After each row the runtime has no object and the registry no service that was not there
//! before. What is left out: Wine checks no signatures, so the stand-ins refuse the driver in its place.

use super::process::windows_path;
use super::scenario::{COMMAND, Run};
use std::path::Path;

/// Below it lie the keys of services.
const SERVICES: &str = r"HKLM\System\CurrentControlSet\Services";

/// Something that an application tries, and what it hears.
struct Refusal {
    what: &'static str,
    /// How the machine is then, and how it becomes as before: words for the stand-ins.
    machine: Option<(&'static str, &'static str)>,
    /// A step; `@NAME` is a file of this run.
    step: &'static [&'static str],
    words: &'static [&'static str],
}

/// Files of this run: what is done to the driver.
const UNSIGNED: &str = "@unsigned.sys";
const CHANGED: &str = "@changed.sys";

#[rustfmt::skip] // One row per failure.
const REFUSED: &[Refusal] = &[
    Refusal { what: "no such file", machine: None, step: &["load", "@nosuch.sys"],
        words: &["cannot open", "nosuch.sys"] },
    Refusal { what: "not elevated, object", machine: Some(("restrict", "unrestrict")), step: &["load", "@droppacket.o"],
        words: &["EBPF_ACCESS_DENIED", "administrator's prompt"] },
    Refusal { what: "not elevated, driver", machine: Some(("restrict", "unrestrict")), step: &["load", "@droppacket.sys"],
        words: &["EBPF_ACCESS_DENIED", "administrator's prompt"] },
    Refusal { what: "unsigned driver", machine: Some(("distrust", "trust")), step: &["load", UNSIGNED],
        words: &["did not become a module", "the file is not signed", "bpf2native inspect"] },
    Refusal { what: "signer not trusted", machine: Some(("distrust", "trust")), step: &["load", "@droppacket.sys"],
        words: &["did not become a module", "may not trust who signed it", "testsigning on"] },
    Refusal { what: "changed driver", machine: None, step: &["load", CHANGED],
        words: &["changed after it was signed; copy or compile it again"] },
    Refusal { what: "text", machine: None, step: &["load", "@notes.txt"],
        words: &["neither an eBPF object file nor a driver", "clang -target bpf"] },
    Refusal { what: "another driver", machine: None, step: &["load", "@testkernel.sys"],
        words: &["no native eBPF module", "made by bpf2native"] },
    Refusal { what: "unsafe program", machine: None, step: &["load", "@droppacket_unsafe.o"],
        words: &["BN0218", "compare r1 + 38 with data_end"] },
];

/// What `sc` refuses. Wine's prints no numbers, so only that it fails is looked at.
#[rustfmt::skip] // One row per failure.
const MANAGER: &[(&str, &[&str])] = &[
    ("start what is not there", &["start", "nosuchservice"]),
    ("start what runs", &["start", "ebpfcore"]),
    ("make what is there", &["create", "ebpfcore", "type=", "kernel", "binPath=", r"C:\x.sys"]),
    ("stop what does not run", &["stop", "droppacket"]),
];

impl Run<'_> {
    /// Before the runtime runs: whoever needs it hears how to start it.
    pub(super) fn runtime_is_missed(&mut self) -> Result<(), String> {
        let words = ["the runtime is not running", "sc start EbpfCore"];
        self.must_be_refused("no runtime", &["list"], &words)
    }

    /// Everything else that goes wrong.
    pub(super) fn failures_leave_nothing(&mut self) -> Result<(), String> {
        self.spoil_files()?;
        for row in REFUSED {
            let before = self.service_keys()?;
            if let Some((begin, _)) = row.machine {
                self.ask(&[begin])?;
            }
            let step: Vec<String> = row.step.iter().map(|word| self.file(word)).collect();
            let step: Vec<&str> = step.iter().map(String::as_str).collect();
            self.must_be_refused(row.what, &step, row.words)?;
            if let Some((_, end)) = row.machine {
                self.ask(&[end])?;
            }
            self.nothing_is_left()?;
            self.keys_are(row.what, &before)?;
        }
        for (what, words) in MANAGER {
            let before = self.service_keys()?;
            let outcome = self.wine.run(&[&["sc"], *words].concat(), COMMAND)?;
            if outcome.is_success {
                self.fail(&format!("{what}: sc calls it done: {}", outcome.output));
            }
            self.keys_are(what, &before)?;
        }
        self.what_a_crash_left_goes()?;
        println!(
            "wine: {} failures say what to do and leave nothing",
            REFUSED.len() + MANAGER.len() + 2
        );
        Ok(())
    }

    /// The service of a process that died goes when the next driver is loaded.
    fn what_a_crash_left_goes(&mut self) -> Result<(), String> {
        let before = self.service_keys()?;
        let driver = self.file("@droppacket.sys");
        self.ask(&["ebpf", "abandon", &driver])?;
        if self.service_keys()? == before {
            self.fail("a process that died left no service, so nothing is tested");
        }
        let outcome = self.ask(&["ebpf", "load", &driver])?;
        self.check("load after a crash", &outcome);
        self.nothing_is_left()?;
        self.keys_are("after a crash", &before)
    }

    /// Files that are no good.
    fn spoil_files(&mut self) -> Result<(), String> {
        let folder = &self.built.folder;
        let fail = |error: std::io::Error| error.to_string();
        let mut driver = std::fs::read(folder.join("droppacket.sys")).map_err(fail)?;
        let code = driver.len() / 2;
        driver[code] ^= 1;
        write(&folder.join(&CHANGED[1..]), &driver)?;
        write(&folder.join("notes.txt"), b"notes")?;
        let unsigned = folder.join(&UNSIGNED[1..]);
        let made = std::process::Command::new(&self.built.tool)
            .arg(self.built.root.join("examples/droppacket.o"))
            .args(["--unsigned", "-o"])
            .arg(&unsigned)
            .status();
        match made.map_err(fail)?.success() {
            true => Ok(()),
            false => Err(format!("{} was not made", unsigned.display())),
        }
    }

    /// A word of a row as it is typed.
    fn file(&self, word: &str) -> String {
        let Some(name) = word.strip_prefix('@') else {
            return word.to_owned();
        };
        let folder = match name.ends_with(".o") {
            true => self.built.root.join("examples"),
            false => self.built.folder.clone(),
        };
        windows_path(&folder.join(name))
    }

    fn must_be_refused(&mut self, what: &str, step: &[&str], words: &[&str]) -> Result<(), String> {
        let outcome = self.ask(&[&["ebpf"], step].concat())?;
        let missing = words.iter().find(|word| !outcome.output.contains(**word));
        if outcome.is_success || missing.is_some() {
            let output = outcome.output.trim();
            self.fail(&format!("{what}: without {missing:?}: {output}"));
        }
        Ok(())
    }

    /// Names of all services that have a key.
    fn service_keys(&self) -> Result<Vec<String>, String> {
        let outcome = self.wine.run(&["reg", "query", SERVICES], COMMAND)?;
        let mut keys: Vec<String> = outcome.output.lines().map(str::to_owned).collect();
        keys.sort();
        match keys
            .iter()
            .any(|key| key.to_lowercase().ends_with("ebpfcore"))
        {
            true => Ok(keys),
            false => Err(format!("the list of services lacks ours: {keys:?}")),
        }
    }

    fn keys_are(&mut self, what: &str, before: &[String]) -> Result<(), String> {
        let now = self.service_keys()?;
        if now != before {
            self.fail(&format!("{what}: the services {before:?} are now {now:?}"));
        }
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
