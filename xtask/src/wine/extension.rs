//! An extension as a driver: programs at its hook, a module that calls its function, and the three
//! services stopped in different orders. When this begins and when it ends only the runtime runs.
//!
//! Left out: stopping the extension while a module uses it, which waits until the module stops. Wine has
//! one thread for all requests to its drivers' services, so the second would wait for the first; the
//! simulator does it (`ebpfcore/sim/tests/runtime_extensions.rs`).

use super::scenario::Run;

const CORE: &str = "ebpfcore";
const SAMPLE: &str = "sample";
const MODULE: &str = "multiply";

impl Run<'_> {
    pub(super) fn extension_comes_and_goes(&mut self) -> Result<(), String> {
        self.hook_runs_a_program()?;
        for order in [
            [CORE, SAMPLE, MODULE],
            [CORE, MODULE, SAMPLE],
            [MODULE, CORE, SAMPLE],
            [MODULE, SAMPLE, CORE],
        ] {
            self.stops_in(order)?;
        }
        Ok(())
    }

    /// A process of user mode has a program at the hook; it ends, and the extension has none.
    fn hook_runs_a_program(&mut self) -> Result<(), String> {
        self.started(SAMPLE)?;
        let said = self.steps(&["fire", "100", "+", "plug", "+", "fire", "100"])?;
        self.expect(&said, "number 100\nplugged\nnumber 105, 0 105\n");
        let client = self.hold(&["plug"])?;
        let said = self.steps(&["plug", "+", "fire", "1"])?;
        self.expect(&said, "number 11, 0 6, 0 11\n");
        self.dies(client)?;
        let said = self.steps(&["fire", "100"])?;
        self.expect(&said, "number 100\n");
        self.stopped(SAMPLE)
    }

    /// Starts what is not running, sees the module work, and stops all of it; the flood passes from
    /// the first stop on.
    fn stops_in(&mut self, order: [&str; 3]) -> Result<(), String> {
        self.started(SAMPLE)?;
        self.started(MODULE)?;
        self.empty_frames_are_dropped()?;
        for name in order {
            self.stopped(name)?;
            self.everything_passes()?;
        }
        self.report_is(&format!("after {order:?} nothing is left"), "")?;
        self.started(CORE)
    }

    /// The module has no map, so nothing counts.
    fn empty_frames_are_dropped(&mut self) -> Result<(), String> {
        let (flood, others) = self.traffic(self.wine, "1")?;
        if flood.passed + others.dropped != 0 || flood.dropped == 0 {
            self.fail(&format!("the module does not work: {flood:?} {others:?}"));
        }
        Ok(())
    }
}
