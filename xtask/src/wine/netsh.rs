//! `ebpfnetsh.dll` in the stand-in for netsh: what is typed comes to the commands, and their texts back.
//!
//! Wine's netsh loads no helpers, so `testkernel/netsh` takes its place. Texts are those of the library,
//! whose own tests have them in files; here they are compared with what the library says by itself.

use super::build::finish;
use super::process::{Outcome, Wine, windows_path};
use super::scenario::{COMMAND, Run};
use std::process::Command;

/// Where helpers are installed.
const HELPER: &str = r"C:\windows\system32\ebpfnetsh.dll";
/// Commands that only look at files and at a runtime without programs.
const LOOKS: &[&str] = &[
    "show sections droppacket.o",
    "show sections filename=droppacket.o section=xdp",
    "show disassembly droppacket.o xdp",
    "show verification droppacket.o",
    "show hash droppacket.sys",
    "show programs",
    "show maps",
    "show links",
    "show pins",
];
/// Both forms in which Windows reads the table of commands, by the bytes of an entry.
const FORMS: &[&str] = &["40", "48"];
/// A helper that has netsh match arguments.
const MATCHING: &str = "testkernel/netsh/tests/tags.c";
/// What is typed at the prompt.
const TYPED: &str = "ebpf\r\nsh prog\r\n..\r\nebpf show maps\r\nbye\r\n";

impl Run<'_> {
    /// The helper is added, used in one line and at the prompt, and deleted.
    pub(super) fn netsh_is_used(&mut self) -> Result<(), String> {
        self.helper_is_added()?;
        let listed = self.netsh(&["show", "helper"], &[])?;
        self.says(&listed, HELPER);
        for command in LOOKS {
            self.is_the_librarys(command)?;
        }
        self.help_is_there()?;
        self.arguments_are_matched()?;
        self.programs_come_and_go()?;
        self.prompt_has_contexts()?;
        let words = ["ebpf", "show", "verification", "droppacket_unsafe.o", "xdp"];
        let refused = self.netsh(&words, &[])?;
        self.refuses(&refused, "BN0218");
        self.helper_is_deleted()?;
        let gone = self.netsh(&["ebpf", "show", "programs"], &[])?;
        self.refuses(&gone, "was not found");
        Ok(())
    }

    /// Puts the library where Windows has it, and adds it as the tutorial does.
    pub(super) fn helper_is_added(&mut self) -> Result<(), String> {
        let place = self
            .wine
            .prefix
            .join("drive_c/windows/system32/ebpfnetsh.dll");
        let copied = std::fs::copy(self.built.folder.join("ebpfnetsh.dll"), &place);
        copied.map_err(|error| format!("{}: {error}", place.display()))?;
        for name in ["droppacket.o", "droppacket_unsafe.o"] {
            let from = self.built.root.join("examples").join(name);
            let copied = std::fs::copy(&from, self.built.folder.join(name));
            copied.map_err(|error| format!("{}: {error}", from.display()))?;
        }
        let added = self.netsh(&["add", "helper", HELPER], &[])?;
        self.says(&added, "Ok.");
        Ok(())
    }

    pub(super) fn helper_is_deleted(&mut self) -> Result<(), String> {
        let deleted = self.netsh(&["delete", "helper", HELPER], &[])?;
        self.says(&deleted, "Ok.");
        Ok(())
    }

    /// netsh prints what the library says by itself, whichever form its table has.
    fn is_the_librarys(&mut self, command: &str) -> Result<(), String> {
        let words: Vec<&str> = command.split(' ').collect();
        let own = self.ask(&[&["netsh"], &*words].concat())?;
        for form in FORMS {
            let environment = [("NETSH_ENTRY_BYTES", *form)];
            let said = self.netsh(&[&["ebpf"], &*words].concat(), &environment)?;
            if !said.is_success || said.output != own.output {
                let (said, own) = (&said.output, &own.output);
                self.fail(&format!(
                    "netsh ebpf {command}: {said:?} instead of {own:?}"
                ));
            }
        }
        Ok(())
    }

    /// Help comes from the library's resources.
    fn help_is_there(&mut self) -> Result<(), String> {
        let said = self.netsh(&["ebpf", "show"], &[])?;
        self.says(&said, "show programs");
        let said = self.netsh(&["ebpf", "add", "program", "?"], &[])?;
        self.says(&said, "filename");
        Ok(())
    }

    /// A helper in C has its arguments matched; it answers the line of what is wrong.
    fn arguments_are_matched(&mut self) -> Result<(), String> {
        let library = self.built.folder.join("tags.dll");
        let mut compile = Command::new("x86_64-w64-mingw32-gcc");
        compile
            .args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared"])
            .arg(self.built.root.join(MATCHING))
            .arg("-o")
            .arg(&library);
        finish(&mut compile, MATCHING)?;
        let library = windows_path(&library);
        let added = self.netsh(&["add", "helper", &library], &[])?;
        self.says(&added, "Ok.");
        let deleted = self.netsh(&["delete", "helper", &library], &[])?;
        self.says(&deleted, "Ok.");
        Ok(())
    }

    fn programs_come_and_go(&mut self) -> Result<(), String> {
        for file in ["droppacket.o", "droppacket.sys"] {
            let said = self.netsh(&["ebpf", "add", "program", file], &[])?;
            let id = said.output.trim().strip_prefix("Loaded with ID ");
            let Some(id) = id.map(str::to_owned) else {
                self.fail(&format!("{file} is not added: {}", said.output));
                continue;
            };
            let said = self.netsh(&["ebpf", "show", "programs", "level=verbose"], &[])?;
            self.says(&said, &format!("ID             : {id}"));
            let said = self.netsh(&["ebpf", "delete", "program", &id], &[])?;
            self.says(&said, "Unpinned");
        }
        let left = self.ask(&["ebpf", "list"])?;
        if !left.is_success || !left.output.is_empty() {
            self.fail(&format!("netsh leaves {}", left.output));
        }
        Ok(())
    }

    fn prompt_has_contexts(&mut self) -> Result<(), String> {
        let file = self.built.folder.join("typed.txt");
        std::fs::write(&file, TYPED).map_err(|error| format!("{}: {error}", file.display()))?;
        let line = "netsh.exe < typed.txt";
        let said = self.wine.run(&["cmd", "/c", line], COMMAND)?;
        for words in ["netsh ebpf>", "Pins  Links  Mode", "Map Type"] {
            self.says(&said, words);
        }
        Ok(())
    }

    /// Runs the stand-in.
    pub(super) fn netsh(
        &self,
        words: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Outcome, String> {
        let program = windows_path(&self.built.folder.join("netsh.exe"));
        let wine: &Wine = self.wine;
        wine.run_with(&[&[&*program], words].concat(), environment, COMMAND)
    }

    /// A command that has to succeed, with these words.
    pub(super) fn says(&mut self, outcome: &Outcome, words: &str) {
        if !outcome.is_success || !outcome.output.contains(words) {
            self.fail(&format!("no {words:?}: {}", outcome.output));
        }
    }

    /// A command that has to fail, with these words.
    pub(super) fn refuses(&mut self, outcome: &Outcome, words: &str) {
        if outcome.is_success || !outcome.output.contains(words) {
            self.fail(&format!("not refused with {words:?}: {}", outcome.output));
        }
    }
}
