//! Programs of the public conformance suite (`bpf_conformance`): bytecode without a proof, over one
//! piece of memory.
//!
//! r1 is the address of the memory, r2 its length; the result is all 64 bits of r0. Helpers have
//! numbers of their own: 0 gathers the low bytes of five numbers, 1 changes memory by XOR with 42,
//! 2 returns 0, 3 is the integer square root, 4 compares strings, 5 returns its argument and ends
//! the program when that is 0. The interpreter checks every access of the program; native code is
//! not checked, so a wrong program may end the process (see the crate's documentation).

use crate::platform::{Environment, HostPlatform};
use crate::raw::conformance::{self as raw, SuiteExtensions};
use crate::raw::fault::Watch;
use crate::raw::memory::{Memory, Reach};
use crate::{Driver, Engine, Error};
use abi::{Context, Guid, Platform, ProgramType};
use ebpfcore::helper::Extensions as _;
use ebpfcore::interpreter::Callee;
use ebpfcore::{CONTEXT_HEADER_BYTES, Core, Program, Shared, native, object::Checking};
use program::{Object, ProgramId, RawProgram};
use testkernel::registry::ModuleIdValue;
use verifier::Verified;

/// Name of the program in messages.
const NAME: &str = "conformance";

/// Type of the suite's programs: no context but the memory, no general helpers.
pub static PROGRAM_TYPE: ProgramType = ProgramType {
    platform: Platform::Windows,
    name: NAME,
    number: 0,
    guid: Guid::from_u128(0),
    privileged: true,
    context: &MEMORY,
    helpers: &[],
    return_range: None,
    packet_writable: true,
    legacy_packet: false,
};

static MEMORY: Context = Context {
    name: "memory",
    size: 0,
    data: -1,
    end: -1,
    meta: -1,
    fields: &[],
};

/// What a program left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// r0.
    pub r0: u64,
    /// The memory afterwards.
    pub memory: Vec<u8>,
}

/// Runs a program, given as little-endian instruction slots.
///
/// # Errors
/// The bytes are not a program, it cannot be compiled, or the interpreter stopped it.
pub fn run(bytecode: &[u8], memory: &[u8], engine: Engine) -> Result<Outcome, Error> {
    let object = program::from_bytecode(RawProgram {
        name: NAME,
        platform: Platform::Windows,
        program_type: &PROGRAM_TYPE,
        bytes: bytecode,
        maps: Vec::new(),
    })
    .map_err(Error::Bytecode)?;
    let assumed = assume(&object)?;
    let core = core()?;
    match engine {
        Engine::Native => native(&core, &assumed, memory),
        Engine::Interpreter => interpreted(&core, &object, assumed, memory),
    }
}

/// A program as machine code in this process, which stays mapped as long as this lives.
pub struct Compiled {
    // Dropped before what it refers to.
    program: Shared<Program>,
    driver: Driver,
}

impl Compiled {
    /// Compiles the first program of an object, which nobody has to have proved.
    ///
    /// # Errors
    /// It cannot be compiled, or this host does not run it.
    pub fn new(object: &Object) -> Result<Compiled, Error> {
        Compiled::over(&core()?, &assume(object)?)
    }

    fn over(core: &Shared<Core>, assumed: &Verified<'_>) -> Result<Compiled, Error> {
        let programs = std::slice::from_ref(assumed);
        let module =
            codegen::compile(programs, &codegen::Options::default()).map_err(Error::Codegen)?;
        let image = image::link_for_host(&module).map_err(Error::Image)?;
        let driver = Driver::start(image.bytes(), NAME, &ModuleIdValue::NoKey)?;
        let program_type = |_: &str| Some(&PROGRAM_TYPE);
        let typing = native::Typing::Name(Platform::Windows, &program_type);
        let module = driver.module(typing)?;
        let loaded = native::instantiate(core, &module, &SuiteExtensions).map_err(Error::Module)?;
        let program = loaded.programs.into_iter().next();
        Ok(Compiled {
            program: program.ok_or(Error::NotAttached)?,
            driver,
        })
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }
}

fn native(core: &Shared<Core>, assumed: &Verified<'_>, bytes: &[u8]) -> Result<Outcome, Error> {
    let compiled = Compiled::over(core, assumed)?;
    let _watch = Watch::new(NAME, compiled.driver.image_range());
    invoke(core, &compiled.program, bytes)
}

/// A helper of the suite by its number.
#[must_use]
pub fn helper(number: i32) -> Option<Callee> {
    SuiteExtensions.by_number(&PROGRAM_TYPE, u32::try_from(number).ok()?)
}

/// The first program of an object as if it were proved.
fn assume(object: &Object) -> Result<Verified<'_>, Error> {
    Verified::assume(object, ProgramId(0)).ok_or_else(|| Error::NoProgram {
        name: NAME.to_owned(),
        known: Vec::new(),
    })
}

fn core() -> Result<Shared<Core>, Error> {
    let core = Core::new(HostPlatform::leaked(Environment::default()));
    core.map_err(|_| Error::Memory(std::io::ErrorKind::OutOfMemory.into()))
}

fn interpreted(
    core: &Shared<Core>,
    object: &Object,
    assumed: Verified<'_>,
    bytes: &[u8],
) -> Result<Outcome, Error> {
    let (programs, all) = ([assumed], Checking::All);
    let loaded = ebpfcore::object::load(core, object, &programs, &SuiteExtensions, all);
    let loaded = loaded.map_err(Error::Object)?;
    let program = loaded.programs.first().ok_or(Error::NotAttached)?;
    // Helper 4 follows addresses without a length.
    let _watch = Watch::new(NAME, (0, 0));
    invoke(core, program, bytes)
}

fn invoke(core: &Core, program: &Program, bytes: &[u8]) -> Result<Outcome, Error> {
    let mut memory = Memory::new(CONTEXT_HEADER_BYTES + bytes.len(), Reach::Any)?;
    memory.write(CONTEXT_HEADER_BYTES, bytes);
    let r0 = raw::invoke(core, program, &mut memory, bytes.len());
    let r0 = r0.map_err(|trap| Error::Trap {
        program: NAME.to_owned(),
        number: 0,
        trap,
    })?;
    Ok(Outcome {
        r0,
        memory: memory.read(CONTEXT_HEADER_BYTES, bytes.len()),
    })
}
