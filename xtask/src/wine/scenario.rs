//! What is done under Wine, and what must come of it.

use super::build::Built;
use super::process::{Outcome, Wine, windows_path};
use std::time::Duration;

/// Longest time for one command of the service manager.
const COMMAND: Duration = Duration::from_secs(30);

/// A run, with what went wrong so far.
struct Run<'a> {
    wine: &'a Wine,
    built: &'a Built,
    failures: u32,
}

pub(super) fn run(wine: &Wine, built: &Built, cycles: u32) -> Result<bool, String> {
    let mut run = Run {
        wine,
        built,
        failures: 0,
    };
    wine.server("-p")?;
    run.service("testkernel")?;
    run.service("droppacket")?;
    run.started("testkernel")?;
    for _ in 0..cycles {
        run.started("droppacket")?;
        run.stopped("droppacket")?;
    }
    run.report_is("nothing is left", "")?;
    run.stopped("testkernel")?;
    println!("wine: {} failures", run.failures);
    Ok(run.failures == 0)
}

impl Run<'_> {
    /// Makes a driver a service, in the process that all drivers share.
    fn service(&mut self, name: &str) -> Result<(), String> {
        let path = windows_path(&self.built.folder.join(format!("{name}.sys")));
        // A prefix that was used before has it.
        self.wine.run(&["sc", "delete", name], COMMAND)?;
        let create = [
            "sc", "create", name, "type=", "kernel", "start=", "demand", "group=", "test",
        ];
        let arguments = [&create[..], &["binPath=", &path]].concat();
        let outcome = self.wine.run(&arguments, COMMAND)?;
        self.check(&format!("sc create {name}"), &outcome);
        Ok(())
    }

    fn started(&mut self, name: &str) -> Result<(), String> {
        let outcome = self.wine.run(&["sc", "start", name], COMMAND)?;
        self.check(&format!("sc start {name}"), &outcome);
        Ok(())
    }

    fn stopped(&mut self, name: &str) -> Result<(), String> {
        let outcome = self.wine.run(&["sc", "stop", name], COMMAND)?;
        self.check(&format!("sc stop {name}"), &outcome);
        Ok(())
    }

    /// Asks the stand-ins.
    fn ask(&self, arguments: &[&str]) -> Result<Outcome, String> {
        let program = windows_path(&self.built.folder.join("testkernel.exe"));
        self.wine
            .run(&[&[program.as_str()], arguments].concat(), COMMAND)
    }

    fn report_is(&mut self, what: &str, expected: &str) -> Result<(), String> {
        let report = self.ask(&["report"])?;
        if !report.is_success || report.output != expected {
            self.fail(&format!("{what}: the stand-ins report\n{}", report.output));
        }
        Ok(())
    }

    fn check(&mut self, what: &str, outcome: &Outcome) {
        if !outcome.is_success {
            self.fail(&format!("{what}: {}", outcome.output.trim()));
        }
    }

    fn fail(&mut self, text: &str) {
        self.failures += 1;
        println!("FAILED: {text}");
    }
}
