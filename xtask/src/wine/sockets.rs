//! Events of sockets: what programs decide about them at each hook, as drivers and in the interpreter.

use super::process::windows_path;
use super::scenario::Run;
use std::path::Path;

/// Sends events and judges the answers.
type Judge = fn(&mut Run<'_>) -> Result<(), String>;

/// Objects with programs at the hooks of sockets, and what must come of events while they run.
pub(super) const PROGRAMS: &[(&str, Judge)] = &[
    ("testkernel/program/programs/ports.o", |run| {
        run.port_is_refused()
    }),
    ("examples/connect_policy.o", |run| run.policy_decides()),
    ("examples/port_quota.o", |run| run.binds_are_counted()),
    ("examples/flow_logger.o", |run| run.flows_are_logged()),
];

/// Operations at whose hooks `ports.o` has programs.
const OPERATIONS: [&str; 8] = [
    "bind4",
    "bind6",
    "listen4",
    "listen6",
    "accept4",
    "accept6",
    "authorize4",
    "authorize6",
];

/// Keys of `connect_policy`: 10.0.0.2 and 2001:db8::2, then the port, the family and TCP.
const DESTINATIONS: [[&str; 2]; 2] = [
    ["0a000002000000000000000000000000", "020006000000"],
    ["20010db8000000000000000000000002", "170006000000"],
];
/// The same addresses with 9 at the end, to which port 80 is sent, at port 8080.
const ELSEWHERE: [&str; 2] = [
    "0a000009000000000000000000000000",
    "20010db8000000000000000000000009",
];

impl Run<'_> {
    /// Every program as a driver that `sc` starts, then as an object of an application that dies.
    pub(super) fn sockets_are_decided(&mut self) -> Result<(), String> {
        for (object, judge) in PROGRAMS {
            let path = self.built.root.join(object);
            let stem = Path::new(object).file_stem().unwrap_or_default();
            let name = stem.to_string_lossy().into_owned();
            self.service(&name)?;
            self.started(&name)?;
            judge(self)?;
            self.stopped(&name)?;
            self.all_is_permitted()?;
            let client = self.hold(&["load", &windows_path(&path), "+", "attach"])?;
            judge(self)?;
            self.dies(client)?;
            self.all_is_permitted()?;
        }
        println!("wine: socket events were decided by drivers and in the interpreter");
        Ok(())
    }

    /// Nobody decides any more.
    fn all_is_permitted(&mut self) -> Result<(), String> {
        let operations = [&OPERATIONS[..], &["connect4", "connect6"]].concat();
        let events: Vec<String> = operations.iter().map(|name| format!("{name}:80")).collect();
        let expected = vec!["permitted"; events.len()];
        self.sockets(&words(&events), &expected)
    }

    fn port_is_refused(&mut self) -> Result<(), String> {
        let at = |port: u16| OPERATIONS.map(|name| format!("{name}:{port}"));
        self.sockets(&words(&at(80)), &["blocked"; OPERATIONS.len()])?;
        self.sockets(&words(&at(81)), &["permitted"; OPERATIONS.len()])
    }

    /// Port 80 is sent elsewhere, 443 is refused, of 22 the policy says nothing.
    fn policy_decides(&mut self) -> Result<(), String> {
        for ([address, rest], elsewhere) in DESTINATIONS.into_iter().zip(ELSEWHERE) {
            let redirected = [
                &format!("{address}0050{rest}"),
                "02000000",
                elsewhere,
                "1f900000",
            ];
            let refused = [
                &format!("{address}01bb{rest}"),
                "01000000",
                &"0".repeat(32),
                "00000000",
            ];
            for [key, action, address, port] in [redirected, refused] {
                let rule = format!("{action}{address}{port}");
                self.steps(&["set", "policy_map", key, &rule])?;
            }
        }
        let events = [
            "connect4:80",
            "connect6:80",
            "connect4:443",
            "connect6:443",
            "connect4:22",
            "connect6:22",
        ];
        let expected = [
            "sent to 10.0.0.9:8080",
            "sent to [2001:db8::9]:8080",
            "blocked",
            "blocked",
            "permitted",
            "permitted",
        ];
        self.sockets(&events, &expected)?;
        self.map_has("decisions_map", &[(0, 2), (1, 2), (2, 2)])
    }

    /// A process may have two ports; what it gives back it may take again.
    fn binds_are_counted(&mut self) -> Result<(), String> {
        let events = [
            "bind4:1000",
            "bind6:1001",
            "bind4:1002",
            "release4:1000",
            "bind4:1003",
            "bind6:1004",
        ];
        let (yes, no) = ("permitted", "blocked");
        self.sockets(&events, &[yes, yes, no, yes, yes, no])?;
        let said = self.steps(&["map", "denied_map"])?;
        self.expect(&said, "d204000000000000 0200000000000000\n");
        Ok(())
    }

    /// Two flows begin at this end and end again: four records, and the sums by operation.
    fn flows_are_logged(&mut self) -> Result<(), String> {
        let events = ["flow4:1", "flow6:2", "end:1", "end:2"];
        self.sockets(&events, &["permitted", "permitted", "ended", "ended"])?;
        self.map_has("totals_map", &[(0, 2), (1, 0), (2, 2), (3, 0)])?;
        let said = self.steps(&["read", "events_map"])?;
        if said
            .lines()
            .filter(|line| line.starts_with("record "))
            .count()
            != 4
        {
            self.fail(&format!("four records of flows are not {said}"));
        }
        Ok(())
    }

    /// Events in turn, and what must become of each.
    fn sockets(&mut self, events: &[&str], expected: &[&str]) -> Result<(), String> {
        let outcome = self.ask(&[&["socket"], events].concat())?;
        if !outcome.output.lines().eq(expected.iter().copied()) {
            self.fail(&format!(
                "{events:?} give {}, not {expected:?}",
                outcome.output
            ));
        }
        Ok(())
    }

    /// A map from numbers of 32 bits to numbers of 64 bits.
    fn map_has(&mut self, name: &str, entries: &[(u32, u64)]) -> Result<(), String> {
        let said = self.steps(&["map", name])?;
        let lines = entries
            .iter()
            .map(|(key, value)| format!("{:08x} {:016x}\n", key.swap_bytes(), value.swap_bytes()));
        let expected: String = lines.collect();
        if said != expected {
            self.fail(&format!("{name} has {said} in place of {expected}"));
        }
        Ok(())
    }
}

fn words(events: &[String]) -> Vec<&str> {
    events.iter().map(String::as_str).collect()
}
