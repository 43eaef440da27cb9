//! The runtime's own device: an application loads programs through it, dies, asks and is refused.

use super::process::{Running, windows_path};
use super::scenario::{COMMAND, Run};

/// A capture with frames that droppacket drops and frames that it does not.
const MIXED: &str = "examples/inputs/droppacket.pcap";
/// The interface that frames come from.
const INTERFACE: &str = "7";
/// How often is asked whether what a process had is gone.
const TRIES: u32 = 20;

impl Run<'_> {
    /// Everything that an application does through the device.
    pub(super) fn device_is_used(&mut self) -> Result<(), String> {
        self.interpreter_agrees()?;
        self.unsafe_is_refused()?;
        self.users_are_refused()?;
        self.requests_wait()?;
        self.rings_are_seen()?;
        self.module_is_loaded()?;
        self.nothing_is_left()
    }

    /// The object and the driver say the same of each frame, and through the hook too; a client that
    /// dies has its links, programs and maps taken back.
    fn interpreter_agrees(&mut self) -> Result<(), String> {
        let capture = windows_path(&self.built.root.join(MIXED));
        let verdicts = ["verdicts", "DropPacket", &capture];
        let object = self.example("droppacket.o");
        let steps = [&["load", &object, "+"][..], &verdicts].concat();
        let interpreted = self.steps(&steps)?;
        self.started("droppacket")?;
        let native = self.steps(&verdicts)?;
        self.stopped("droppacket")?;
        let (_, said) = interpreted.split_once('\n').unwrap_or_default();
        if said != native || !(native.contains(" 1") && native.contains(" 2")) {
            self.fail(&format!("{interpreted} differs from\n{native}"));
        }
        let mut client = self.hold(&["load", &object, "+", "attach", INTERFACE])?;
        client.wait_for("loaded DropPacket Interpreted", COMMAND)?;
        self.flood_is_dropped()?;
        let listed = self.steps(&["list"])?;
        if !listed.contains("program DropPacket Interpreted") || !listed.contains("link Some(7)") {
            self.fail(&format!("the list lacks something: {listed}"));
        }
        self.dies(client)?;
        self.everything_passes()?;
        // A pin keeps what a client made.
        self.steps(&["load", &object, "+", "pin", "dropcnt_map", "kept"])?;
        self.lists("map dropcnt_map\npin BPF:\\kept\n")?;
        self.steps(&["unpin", "kept"])?;
        self.nothing_is_left()
    }

    /// The runtime's own verifier refuses a program, and says why.
    fn unsafe_is_refused(&mut self) -> Result<(), String> {
        let object = self.example("droppacket_unsafe.o");
        self.is_refused(&["load", &object, "runtime"], "BN0218: bytes 36 to 37")?;
        self.nothing_is_left()
    }

    /// Who is no administrator loads no code.
    fn users_are_refused(&mut self) -> Result<(), String> {
        self.ask(&["restrict"])?;
        let object = self.example("droppacket.o");
        self.is_refused(&["load", &object], "EBPF_ACCESS_DENIED")?;
        self.ask(&["unrestrict"])?;
        self.nothing_is_left()
    }

    /// A request that waits ends by a record, by being cancelled, and with its process.
    fn requests_wait(&mut self) -> Result<(), String> {
        let object = self.example("flow_logger.o");
        let asked = ["load", &object, "+", "ask", "events_map", "+"];
        let recorded = ["record", "events_map", "0102", "+", "answer"];
        let said = self.steps(&[&asked[..], &recorded].concat())?;
        self.expect(&said, "waits: true\nrecords up to 16\n");
        let said = self.steps(&[&asked[..], &["cancel", "+", "answer"]].concat())?;
        self.expect(&said, "EBPF_CANCELED");
        let client = self.hold(&asked[..asked.len() - 1])?;
        self.dies(client)
    }

    /// Records are read where the driver wrote them, in memory that it shows to the application; the
    /// system takes that away from one that dies. When memory is short the application is told.
    fn rings_are_seen(&mut self) -> Result<(), String> {
        let object = self.example("flow_logger.o");
        let written = [
            "load",
            &object,
            "+",
            "record",
            "events_map",
            "0102",
            "+",
            "record",
            "events_map",
            "03",
        ];
        let read = ["+", "read", "events_map"];
        let steps = [&written[..], &read, &read].concat();
        let said = self.steps(&steps)?;
        self.expect(&said, "record 0102\nrecord 03\n");
        let short = [&written[..], &["+", "short", "events_map"], &read].concat();
        let said = self.steps(&short)?;
        self.expect(&said, "refused true\nrecord 0102\nrecord 03\n");
        let client = self.hold(&[&written[..], &read].concat())?;
        self.dies(client)
    }

    /// A driver is loaded by a message, and goes with the last user of its programs.
    fn module_is_loaded(&mut self) -> Result<(), String> {
        let driver = windows_path(&self.built.folder.join("droppacket.sys"));
        let steps = ["load", &driver, "+", "attach", INTERFACE];
        let mut client = self.hold(&steps)?;
        client.wait_for("loaded DropPacket Native", COMMAND)?;
        self.flood_is_dropped()?;
        self.dies(client)?;
        self.everything_passes()?;
        // The file is free again for a service of its own.
        self.started("droppacket")?;
        self.flood_is_dropped()?;
        self.stopped("droppacket")
    }

    fn example(&self, name: &str) -> String {
        windows_path(&self.built.root.join("examples").join(name))
    }

    /// Starts an application that holds what the steps made.
    pub(super) fn hold(&self, steps: &[&str]) -> Result<Running, String> {
        let program = windows_path(&self.built.folder.join("testkernel.exe"));
        let words = [&[&*program, "ebpf"], steps, &["+", "hold"]].concat();
        let mut running = self.wine.start(&words)?;
        running.wait_for("holding", COMMAND)?;
        Ok(running)
    }

    /// Ends an application as a crash would; the system takes back what it had.
    pub(super) fn dies(&mut self, client: Running) -> Result<(), String> {
        client.kill()?;
        let mut left = String::new();
        // The system does it soon, not at once.
        for _ in 0..TRIES {
            left = self.steps(&["list"])?;
            if left.is_empty() {
                return Ok(());
            }
        }
        self.fail(&format!("a process that died leaves\n{left}"));
        Ok(())
    }

    /// Does steps that have to succeed; gives what was said.
    pub(super) fn steps(&mut self, steps: &[&str]) -> Result<String, String> {
        let outcome = self.ask(&[&["ebpf"], steps].concat())?;
        self.check(&format!("{steps:?}"), &outcome);
        Ok(outcome.output)
    }

    /// Does steps that have to fail, with these words.
    fn is_refused(&mut self, steps: &[&str], words: &str) -> Result<(), String> {
        let outcome = self.ask(&[&["ebpf"], steps].concat())?;
        if outcome.is_success || !outcome.output.contains(words) {
            self.fail(&format!("{steps:?} without {words}: {}", outcome.output));
        }
        Ok(())
    }

    pub(super) fn expect(&mut self, said: &str, words: &str) {
        if !said.contains(words) {
            self.fail(&format!("{said:?} has no {words:?}"));
        }
    }

    fn lists(&mut self, expected: &str) -> Result<(), String> {
        let listed = self.steps(&["list"])?;
        if listed != expected {
            self.fail(&format!("listed\n{listed}instead of\n{expected}"));
        }
        Ok(())
    }

    pub(super) fn nothing_is_left(&mut self) -> Result<(), String> {
        self.lists("")
    }
}
