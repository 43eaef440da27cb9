//! A loaded program: its name, type, and code.

use crate::{
    Core, Machine, Shared, Status,
    native::{Instance, Usage},
    runs::Runs,
};
use abi::ProgramType;
use alloc::string::String;

/// A loaded program.
pub struct Program {
    id: u32,
    name: String,
    program_type: &'static ProgramType,
    code: Code,
    /// The provider of the functions of its type, when that is an extension.
    provider: Option<Shared<Usage>>,
    runs: Runs,
}

/// How a program is executed.
pub enum Code {
    /// Machine code in a driver image.
    Native {
        /// Address of its function.
        entry: u64,
        /// Address of its runtime context, owned by the instance.
        runtime_context: u64,
        /// Keeps the runtime context and the maps alive.
        instance: Shared<Instance>,
    },
    /// Proved bytecode; memory accesses are not checked again.
    Interpreted(Machine),
    /// Bytecode whose every memory access is checked while it runs.
    Checked(Machine),
}

impl Program {
    /// A program over its code.
    ///
    /// # Errors
    ///
    /// [`Status::NoMemory`].
    pub fn new(
        core: &Core,
        name: &str,
        program_type: &'static ProgramType,
        code: Code,
    ) -> Result<Shared<Program>, Status> {
        Program::with_id((core, core.take_id()), name, (program_type, None), code)
    }

    /// A program under an id that was taken before its code was known, and what it holds of the
    /// provider of its type.
    pub(crate) fn with_id(
        (core, id): (&Core, u32),
        name: &str,
        (program_type, provider): (&'static ProgramType, Option<Shared<Usage>>),
        code: Code,
    ) -> Result<Shared<Program>, Status> {
        let mut owned = String::new();
        owned
            .try_reserve_exact(name.len())
            .map_err(|_| Status::NoMemory)?;
        owned.push_str(name);
        Shared::try_new(Program {
            id,
            name: owned,
            program_type,
            code,
            provider,
            runs: Runs::new(core.platform().cpu_count())?,
        })
    }

    /// Its id, unique among the objects of the runtime.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    #[must_use]
    pub fn program_type(&self) -> &'static ProgramType {
        self.program_type
    }

    /// Is it machine code of a driver?
    #[must_use]
    pub fn is_native(&self) -> bool {
        matches!(self.code, Code::Native { .. })
    }

    /// What its machine code works with, when it is machine code.
    #[must_use]
    pub fn instance(&self) -> Option<&Shared<Instance>> {
        match &self.code {
            Code::Native { instance, .. } => Some(instance),
            Code::Interpreted(_) | Code::Checked(_) => None,
        }
    }

    /// Whether it may run code that others hold this usage of: of a module or of an extension.
    #[must_use]
    pub fn uses(&self, usage: &Shared<Usage>) -> bool {
        let is_meant = |own: &Shared<Usage>| own.address() == usage.address();
        let instance = self.instance();
        self.provider.as_ref().is_some_and(is_meant)
            || instance.is_some_and(|instance| instance.usages().any(is_meant))
    }

    /// How often it was run.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs.sum()
    }

    /// Notes that a run begins on a processor.
    #[inline(always)]
    pub(crate) fn count_run(&self, cpu: u32) {
        self.runs.count(cpu);
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> &Code {
        &self.code
    }
}
