//! Native modules and what their services say about them.

use super::scenario::{COMMAND, Run};

/// Below it lie the keys of services.
const SERVICES: &str = r"HKLM\System\CurrentControlSet\Services";

impl Run<'_> {
    /// Numbers below `Parameters` choose where a module that is started plainly attaches.
    pub(super) fn settings_are_read(&mut self) -> Result<(), String> {
        // The frames come from interface 7.
        for (name, number, is_active) in [
            ("Attach", "0", false),
            ("Interface", "8", false),
            ("Interface", "7", true),
        ] {
            self.set_number("droppacket", (name, number))?;
            self.started("droppacket")?;
            if is_active {
                self.flood_is_dropped()?;
            } else {
                self.everything_passes()?;
            }
            self.stopped("droppacket")?;
            self.unset("droppacket", name)?;
        }
        self.everything_passes()
    }

    fn set_number(&mut self, service: &str, (name, number): (&str, &str)) -> Result<(), String> {
        self.reg(&[
            "add",
            &parameters(service),
            "/v",
            name,
            "/t",
            "REG_DWORD",
            "/d",
            number,
            "/f",
        ])
    }

    fn unset(&mut self, service: &str, name: &str) -> Result<(), String> {
        self.reg(&["delete", &parameters(service), "/v", name, "/f"])
    }

    fn reg(&mut self, arguments: &[&str]) -> Result<(), String> {
        let command = [&["reg"], arguments].concat();
        let outcome = self.wine.run(&command, COMMAND)?;
        self.check(&format!("{command:?}"), &outcome);
        Ok(())
    }
}

fn parameters(service: &str) -> String {
    format!(r"{SERVICES}\{service}\Parameters")
}
