//! One loaded module or object: its maps, its programs, and running them.
//!
//! A [`Host`] is made from a finished driver image ([`Host::from_image`]), whose programs then run
//! natively, or from verified bytecode ([`Host::from_object`]), for the interpreter. Both engines
//! over the same maps: [`Host::add_bytecode`]. Invariants: programs of an image are dropped before
//! the image is unloaded, the image is unloaded before it is unmapped; each input has memory of its
//! own, so that no run sees what an earlier one wrote to its packet or context.

use crate::bytecode;
use crate::input::{self, Input, Slot};
use crate::maps::{self, Dump};
use crate::platform::{Environment, HostPlatform, Trace};
use crate::raw::extensions::{HostExtensions, State};
use crate::raw::fault::Watch;
use crate::raw::invoke::{self, Tally};
use crate::raw::memory::Memory;
use crate::{Driver, Error};
use ebpfcore::object::Checking;
use ebpfcore::{Core, Map, Program, Shared, native};
use program::Object;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};
use testkernel::registry::ModuleIdValue;
use verifier::Verified;

/// Memory that inputs are tiled into; larger than the caches of one core, so that a measurement
/// is not one of a few hot cache lines.
const ARENA_BYTES: usize = 32 << 20;

/// What executes a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// Machine code of the mapped image.
    Native,
    /// The runtime's interpreter.
    Interpreter,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Native => "native engine",
            Engine::Interpreter => "interpreter",
        })
    }
}

/// How to load.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the simulated service.
    pub service: String,
    /// What its registry key says about the module id.
    pub module_id: ModuleIdValue,
    /// Clock, processors, identity.
    pub environment: Environment,
    /// Which interpreted programs have every memory access checked.
    pub checking: Checking,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            service: "bpf2native".to_owned(),
            module_id: ModuleIdValue::NoKey,
            environment: Environment::default(),
            checking: Checking::Unproved,
        }
    }
}

/// A program's result, and what it left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invocation {
    /// r0, the low 32 bits: hooks take no more.
    pub result: u32,
    /// The context afterwards; packet pointers as they were given.
    pub context: Vec<u8>,
    /// The packet afterwards.
    pub data: Vec<u8>,
}

/// A timed run over many inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Measurement {
    /// Invocations.
    pub invocations: u64,
    /// Wall time of all of them.
    pub elapsed: Duration,
    /// How often each result came.
    pub results: BTreeMap<u32, u64>,
}

impl Measurement {
    /// Nanoseconds per invocation.
    #[must_use]
    pub fn ns_per_invocation(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.invocations.max(1) as f64
    }
}

/// One loaded module or object.
pub struct Host {
    core: Shared<Core>,
    platform: &'static HostPlatform,
    state: Box<State>,
    maps: Vec<Shared<Map>>,
    native: Vec<Shared<Program>>,
    interpreted: Vec<Shared<Program>>,
    /// Whose programs are in the program arrays.
    installed: Engine,
    options: Options,
    /// Last, so that it is unloaded after everything else is dropped.
    driver: Option<Driver>,
}

impl Host {
    /// Maps a driver image for Windows, starts it, attaches it to the runtime, and makes its maps
    /// and programs.
    ///
    /// # Errors
    /// The image cannot be mapped, its driver does not start or attach, or the runtime refuses the
    /// module; on hosts other than x64 Unix always.
    pub fn from_image(bytes: &[u8], options: &Options) -> Result<Host, Error> {
        Host::start(bytes, native::Typing::Guid(&HostExtensions), options)
    }

    /// The same for an image made of an object, whose platform may be Linux: program types come
    /// from the object.
    ///
    /// # Errors
    /// As [`Host::from_image`].
    pub fn from_image_of(bytes: &[u8], object: &Object, options: &Options) -> Result<Host, Error> {
        let program_type = |name: &str| object.program(name).map(|(_, p)| p.program_type);
        let typing = native::Typing::Name(object.platform, &program_type);
        Host::start(bytes, typing, options)
    }

    /// Loads verified bytecode for the interpreter; no image is involved.
    ///
    /// # Errors
    /// The runtime refuses a map or program.
    pub fn from_object(
        object: &Object,
        programs: &[Verified<'_>],
        options: &Options,
    ) -> Result<Host, Error> {
        let mut host = Host::empty(options, None)?;
        let extensions = &HostExtensions;
        let checking = options.checking;
        let loaded = ebpfcore::object::load(&host.core, object, programs, extensions, checking);
        let loaded = loaded.map_err(Error::Object)?;
        host.maps = loaded.maps;
        host.interpreted = loaded.programs;
        host.installed = Engine::Interpreter;
        Ok(host)
    }

    /// Adds the bytecode that the image of this host was made from: its programs then run on
    /// either engine, over the same maps.
    ///
    /// # Errors
    /// The maps of the object are not those of the image, or the runtime refuses a program.
    pub fn add_bytecode(
        &mut self,
        object: &Object,
        programs: &[Verified<'_>],
    ) -> Result<(), Error> {
        let checking = self.options.checking;
        self.interpreted = bytecode::load(&self.core, &self.maps, (object, programs), checking)?;
        Ok(())
    }

    fn start(bytes: &[u8], typing: native::Typing<'_>, options: &Options) -> Result<Host, Error> {
        let driver = Driver::start(bytes, &options.service, &options.module_id)?;
        let module = driver.module(typing)?;
        let mut host = Host::empty(options, Some(driver))?;
        let loaded = native::instantiate(&host.core, &module, &HostExtensions);
        let loaded = loaded.map_err(Error::Module)?;
        host.maps = loaded.maps;
        host.native = loaded.programs;
        Ok(host)
    }

    fn empty(options: &Options, driver: Option<Driver>) -> Result<Host, Error> {
        let platform = HostPlatform::leaked(options.environment);
        let core = Core::new(platform).map_err(|_| no_memory())?;
        Ok(Host {
            core,
            platform,
            state: Box::default(),
            maps: Vec::new(),
            native: Vec::new(),
            interpreted: Vec::new(),
            installed: Engine::Native,
            options: options.clone(),
            driver,
        })
    }

    /// The runtime that everything was loaded into.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Programs of an engine, in the order of the module.
    #[must_use]
    pub fn programs(&self, engine: Engine) -> &[Shared<Program>] {
        match engine {
            Engine::Native => &self.native,
            Engine::Interpreter => &self.interpreted,
        }
    }

    /// Module id that the driver registered under.
    #[must_use]
    pub fn module_id(&self) -> Option<abi::Guid> {
        self.driver.as_ref()?.module_id()
    }

    /// Maps in the order of the module, those of global variables included.
    #[must_use]
    pub fn maps(&self) -> &[Shared<Map>] {
        &self.maps
    }

    /// What is in a map. Reading records takes them out.
    ///
    /// # Errors
    /// There is no such map, or it cannot be read.
    pub fn dump(&self, map: &str) -> Result<Dump, Error> {
        let name = |id: u32| {
            let programs = self.native.iter().chain(&self.interpreted);
            let mut programs = programs.map(|program| (program.id(), program.name()));
            let mut maps = self.maps.iter().map(|map| (map.id(), map.name()));
            let program = programs.find(|(other, _)| *other == id);
            let found = program.or_else(|| maps.find(|(other, _)| *other == id));
            found.map(|(_, name)| name.to_owned())
        };
        maps::dump(self.map(map)?, &name)
    }

    /// Sets an entry of a map. A per-CPU value may be given once for all processors.
    ///
    /// # Errors
    /// There is no such map, sizes are wrong, or the map is full.
    pub fn set(&self, map: &str, key: &[u8], value: &[u8]) -> Result<(), Error> {
        maps::set(self.map(map)?, key, value)
    }

    fn map(&self, name: &str) -> Result<&Map, Error> {
        let found = self.maps.iter().find(|map| map.name() == name);
        found.map(|map| &**map).ok_or_else(|| Error::NoMap {
            name: name.to_owned(),
            known: self.maps.iter().map(|map| map.name().to_owned()).collect(),
        })
    }

    /// Takes the lines that programs printed.
    #[must_use]
    pub fn take_trace(&self) -> Trace {
        self.platform.take_trace()
    }

    /// Takes the redirect contexts that programs set, in order.
    #[must_use]
    pub fn take_redirect_contexts(&self) -> Vec<Vec<u8>> {
        take(&self.state.redirects)
    }

    /// Takes the events that programs pushed to user mode, in order.
    #[must_use]
    pub fn take_events(&self) -> Vec<Vec<u8>> {
        take(&self.state.events)
    }

    /// Runs a program once on each input, in order.
    ///
    /// # Errors
    /// There is no such program, an input does not fit it, or the interpreter stopped it.
    pub fn run(
        &mut self,
        program: &str,
        engine: Engine,
        inputs: &[Input],
    ) -> Result<Vec<Invocation>, Error> {
        let program = self.prepare(program, engine)?;
        let mut invocations = Vec::with_capacity(inputs.len());
        let slots = slots(&program, inputs)?;
        let mut rest = slots.as_slice();
        while !rest.is_empty() {
            let mut arena = self.arena(&program, rest, rest.len() as u64)?;
            let (now, later) = rest.split_at(arena.offsets.len());
            let done = invocations.len();
            let mut results = Vec::with_capacity(now.len());
            arena
                .run(self, &program, |result| results.push(result))
                .map_err(|(at, trap)| trapped(&program, done + at, trap))?;
            for ((slot, offset), result) in now.iter().zip(&arena.offsets).zip(results) {
                let (context, data) = slot.after(&arena.memory, *offset as usize);
                invocations.push(Invocation {
                    result,
                    context,
                    data,
                });
            }
            rest = later;
        }
        Ok(invocations)
    }

    /// Runs a program `invocations` times over the inputs, again and again in order, and takes the
    /// time. Inputs lie one behind the other in memory; only running is timed, not laying them out.
    ///
    /// # Errors
    /// As [`Host::run`]; no inputs.
    pub fn measure(
        &mut self,
        program: &str,
        engine: Engine,
        (inputs, invocations): (&[Input], u64),
    ) -> Result<Measurement, Error> {
        let program = self.prepare(program, engine)?;
        let slots = slots(&program, inputs)?;
        if slots.is_empty() {
            let problem = "no inputs to measure with".to_owned();
            return Err(Error::Input { number: 0, problem });
        }
        let mut tally = Tally::default();
        let mut elapsed = Duration::ZERO;
        let mut arena = self.arena(&program, &slots, invocations)?;
        let mut rest = invocations;
        while rest != 0 {
            let now = usize::try_from(rest)
                .map_or(arena.offsets.len(), |rest| rest.min(arena.offsets.len()));
            arena.reset();
            elapsed += arena
                .time(self, &program, (now, &mut tally))
                .map_err(|(at, trap)| trapped(&program, at % slots.len(), trap))?;
            rest -= now as u64;
        }
        Ok(Measurement {
            invocations,
            elapsed,
            results: tally.into_counts(),
        })
    }

    /// Unloads the driver and says what went wrong; dropping a host does the same silently.
    ///
    /// # Errors
    /// The driver has no unload routine, or does not deregister there.
    pub fn unload(mut self) -> Result<(), Error> {
        self.clear();
        match &mut self.driver {
            Some(driver) => driver.stop(),
            None => Ok(()),
        }
    }

    /// Finds a program and puts its engine's programs into the program arrays.
    fn prepare(&mut self, name: &str, engine: Engine) -> Result<Shared<Program>, Error> {
        let find = |list: &[Shared<Program>]| {
            let found = list.iter().find(|program| program.name() == name);
            found.cloned()
        };
        let Some(program) = find(self.programs(engine)) else {
            let all = self.native.iter().chain(&self.interpreted);
            let mut known: Vec<String> = all.map(|program| program.name().to_owned()).collect();
            known.dedup();
            return Err(match known.iter().any(|other| other == name) {
                true => Error::NoEngine {
                    name: name.to_owned(),
                    engine,
                },
                false => Error::NoProgram {
                    name: name.to_owned(),
                    known,
                },
            });
        };
        if self.installed != engine {
            let (from, to) = (self.programs(self.installed), self.programs(engine));
            maps::exchange_programs(&self.maps, &|id| {
                let old = from.iter().find(|program| program.id() == id)?;
                let new = to.iter().find(|program| program.name() == old.name())?;
                Some(Shared::clone(new))
            })?;
            self.installed = engine;
        }
        Ok(program)
    }

    /// Lays slots out in memory, repeated until there are `wanted` or the arena is full.
    fn arena(&self, program: &Program, slots: &[Slot], wanted: u64) -> Result<Arena, Error> {
        let mut offsets = Vec::new();
        let mut len = 0usize;
        for slot in slots.iter().cycle() {
            let end = len.saturating_add(slot.len_bytes());
            // A single slot always fits: its data is bounded.
            if offsets.len() as u64 >= wanted || (end > ARENA_BYTES && !offsets.is_empty()) {
                break;
            }
            offsets.push(len as u32);
            len = end;
        }
        let memory = Memory::new(len, input::reach(program.program_type()))?;
        let host = (&raw const *self.state).expose_provenance() as u64;
        let mut pristine = Vec::with_capacity(len);
        for (slot, offset) in slots.iter().cycle().zip(&offsets) {
            pristine.extend(slot.image(memory.address(*offset as usize), host));
        }
        let mut arena = Arena {
            memory,
            offsets,
            pristine,
        };
        arena.reset();
        Ok(arena)
    }

    fn image_range(&self) -> (u64, u64) {
        self.driver.as_ref().map_or((0, 0), Driver::image_range)
    }

    /// Drops everything that refers to the image or to other maps.
    fn clear(&mut self) {
        for map in &self.maps {
            map.release_references();
        }
        self.native.clear();
        self.interpreted.clear();
        self.maps.clear();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |list: &[Shared<Program>]| -> Vec<String> {
            list.iter()
                .map(|program| program.name().to_owned())
                .collect()
        };
        let maps: Vec<_> = self.maps.iter().map(|map| map.name()).collect();
        f.debug_struct("Host")
            .field("native", &names(&self.native))
            .field("interpreted", &names(&self.interpreted))
            .field("maps", &maps)
            .finish_non_exhaustive()
    }
}

/// Slots in memory.
struct Arena {
    memory: Memory,
    offsets: Vec<u32>,
    /// What they held before any program ran.
    pristine: Vec<u8>,
}

type Trapped = (usize, ebpfcore::interpreter::Trap);

impl Arena {
    fn reset(&mut self) {
        self.memory.write(0, &self.pristine);
    }

    fn run(
        &mut self,
        host: &Host,
        program: &Program,
        result: impl FnMut(u32),
    ) -> Result<(), Trapped> {
        let _watch = Watch::new(program.name(), host.image_range());
        let slots = (&mut self.memory, self.offsets.as_slice());
        invoke::on_slots(&host.core, program, slots, result)
    }

    fn time(
        &mut self,
        host: &Host,
        program: &Program,
        (count, tally): (usize, &mut Tally),
    ) -> Result<Duration, Trapped> {
        let _watch = Watch::new(program.name(), host.image_range());
        let slots = (&mut self.memory, &self.offsets[..count]);
        let start = Instant::now();
        invoke::tally(&host.core, program, slots, tally)?;
        Ok(start.elapsed())
    }
}

fn slots(program: &Program, inputs: &[Input]) -> Result<Vec<Slot>, Error> {
    let slot = |(number, input)| Slot::new(input, number, program.program_type());
    inputs.iter().enumerate().map(slot).collect()
}

fn trapped(program: &Program, number: usize, trap: ebpfcore::interpreter::Trap) -> Error {
    Error::Trap {
        program: program.name().to_owned(),
        number,
        trap,
    }
}

fn take(list: &std::sync::Mutex<Vec<Vec<u8>>>) -> Vec<Vec<u8>> {
    list.lock()
        .map(|mut list| std::mem::take(&mut *list))
        .unwrap_or_default()
}

fn no_memory() -> Error {
    Error::Memory(std::io::ErrorKind::OutOfMemory.into())
}
