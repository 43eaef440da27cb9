//! `ebpfctl.exe` asks the driver, as an administrator would from a prompt.

use super::process::windows_path;
use super::scenario::{COMMAND, Run};
use serde_json::Value;

/// The interface that frames come from.
const INTERFACE: &str = "7";
/// Where the program is pinned.
const PIN: &str = "guard";

impl Run<'_> {
    /// A program is loaded, watched, changed and taken away again; nothing of it is left.
    pub(super) fn ebpfctl_is_used(&mut self) -> Result<(), String> {
        let object = windows_path(&self.built.root.join("examples/droppacket.o"));
        let load = ["prog", "load", &object, "--pin", PIN];
        let attach = ["--attach", "DropPacket", "--to", INTERFACE];
        self.answers(&[&load[..], &attach].concat(), "DropPacket pinned to guard")?;
        self.flood_is_dropped()?;
        self.runs_are_counted()?;
        self.answers(&["link", "list"], "xdp  prog")?;
        self.answers(&["pin", "list"], "guard\\DropPacket")?;
        self.map_is_changed()?;
        let links = self.json(&["link", "list"])?;
        let link = links["links"][0]["id"].to_string();
        self.answers(&["link", "detach", &link], "detached")?;
        self.everything_passes()?;
        self.answers(&["pin", "remove", "guard\\DropPacket"], "")?;
        let left = self.json(&["prog", "list"])?;
        if left != serde_json::json!({"programs": []}) {
            self.fail(&format!("ebpfctl leaves {left}"));
        }
        Ok(())
    }

    /// The runs are those of all frames, the drops those in the program's own counter.
    fn runs_are_counted(&mut self) -> Result<(), String> {
        let stats = self.json(&["stats"])?;
        let (program, counter) = (&stats["programs"][0], &stats["counters"][0]);
        let (runs, drops) = (program["runs"].as_u64(), counter["total"].as_u64());
        let are_there = runs.zip(drops).is_some_and(|(runs, drops)| {
            // The flood is twenty of twenty-one frames.
            drops > 0 && runs == drops / 20 * 21
        });
        if program["name"] != "DropPacket" || counter["name"] != "dropcnt_map" || !are_there {
            self.fail(&format!("stats: {stats}"));
        }
        let watch = ["stats", "--watch", "--interval", "10", "--count", "2"];
        self.answers(&watch, "DropPacket")
    }

    fn map_is_changed(&mut self) -> Result<(), String> {
        let update = ["map", "update", "name:dropcnt_map", "0", "77"];
        self.answers(&update, "")?;
        let dump = self.json(&["map", "dump", "name:dropcnt_map"])?;
        let lookup = ["map", "lookup", "name:dropcnt_map", "0"];
        self.answers(&lookup, "77")?;
        if dump["entries"].as_array().is_none_or(|all| all.len() != 1) {
            self.fail(&format!("map dump: {dump}"));
        }
        Ok(())
    }

    /// A command that has to succeed, with these words.
    fn answers(&mut self, arguments: &[&str], words: &str) -> Result<(), String> {
        let said = self.ebpfctl(arguments)?;
        if !said.contains(words) {
            self.fail(&format!("ebpfctl {arguments:?}: {said}"));
        }
        Ok(())
    }

    fn json(&mut self, arguments: &[&str]) -> Result<Value, String> {
        let said = self.ebpfctl(&[&["--json"], arguments].concat())?;
        serde_json::from_str(&said)
            .map_err(|error| format!("ebpfctl {arguments:?}: {error}: {said}"))
    }

    fn ebpfctl(&mut self, arguments: &[&str]) -> Result<String, String> {
        let program = windows_path(&self.built.folder.join("ebpfctl.exe"));
        let words = [&[program.as_str()], arguments].concat();
        let outcome = self.wine.run(&words, COMMAND)?;
        self.check(&format!("ebpfctl {arguments:?}"), &outcome);
        Ok(outcome.output)
    }
}
