//! Test runs: a program runs on a context from a message, often, and says how long it takes.

use super::Session;
use crate::{Status, raw::trial::Trial};
use abi::ioctl::{Handle, Reply};

/// Runs without a look at whether the request was cancelled, when the message does not say.
const BATCH: u64 = 1024;
/// Flag: run on the processor that the message names.
const ON_CPU: u32 = 1;
/// Bytes of a reply in front of data and context.
const REPLY_BYTES: usize = 32;

/// How a program is run.
pub(super) struct Plan {
    pub(super) repeat: u64,
    pub(super) flags: u32,
    pub(super) cpu: u32,
    pub(super) batch: u64,
}

impl Session<'_> {
    /// Runs a program on the data in front of `context_at` and the context behind it.
    pub(super) fn test_run(
        self,
        program: Handle,
        plan: &Plan,
        (data, context_at): (&[u8], u16),
    ) -> Result<usize, Status> {
        if plan.flags & !ON_CPU != 0 {
            return Err(Status::InvalidArgument);
        }
        let program = self.program(program)?;
        let split = data.split_at_checked(usize::from(context_at));
        let (data, context) = split.ok_or(Status::InvalidArgument)?;
        let trial = Trial::new(&program, context, data)?;
        let size = usize::from(program.program_type().context.size);
        self.check_room(REPLY_BYTES + data.len() + size)?;
        let shell = self.control.shell;
        let pinned = plan.flags & ON_CPU != 0;
        if pinned {
            shell.stay_on(Some(plan.cpu))?;
        }
        let ran = self.repeat(&trial, &program, plan);
        if pinned {
            // Letting go cannot fail.
            let _ = shell.stay_on(None);
        }
        // Its last handle may have been closed meanwhile.
        drop(program);
        self.control.finish(None);
        let (duration, return_value) = ran?;
        let outcome = trial.outcome()?;
        self.reply(&Reply::ProgramTestRun {
            duration,
            return_value,
            context_offset: trial.data_bytes() as u64,
            data: &outcome,
        })
    }

    /// Mean nanoseconds of a run, and the last result.
    fn repeat(
        &self,
        trial: &Trial,
        program: &crate::Program,
        plan: &Plan,
    ) -> Result<(u64, u64), Status> {
        let core = &self.control.core;
        let batch = match plan.batch {
            0 => BATCH,
            batch => batch.min(BATCH),
        };
        let repeat = plan.repeat.max(1);
        let mut left = repeat;
        let (mut taken_ns, mut last) = (0u64, 0);
        while left > 0 {
            if self.client.is_cancelled() {
                return Err(Status::Canceled);
            }
            let start = core.platform().ktime_ns();
            let ran = trial.batch(core, program, left.min(batch));
            let (done, result) = ran.map_err(|_| Status::Failed)?;
            let end = core.platform().ktime_ns();
            taken_ns = taken_ns.saturating_add(end.saturating_sub(start));
            left = left.saturating_sub(done);
            // Hooks take the low 32 bits.
            last = u64::from(result as u32);
        }
        Ok((taken_ns.checked_div(repeat).unwrap_or(0), last))
    }
}
