//! An extension from end to end, over the stand-in of the registrar: it registers, programs of its
//! type are verified and attached to its hook, its events run them, it goes.
#![expect(unsafe_code, reason = "calls the registrar's functions by address")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]
#![cfg(target_arch = "x86_64")]

#[path = "../../core/tests/support/device.rs"]
mod device;
#[path = "../../core/tests/support/fixture.rs"]
mod fixture;
#[path = "../../core/tests/support/mod.rs"]
mod support;

use abi::ioctl::{Handle, Reply, Request};
use abi::native::nmr::Characteristics;
use abi::native::{
    BtfResolvedFunctionData, BtfResolvedFunctionEntry, ProgramEntry, ProgramRuntimeContext,
    module_id_of_hash,
};
use device::*;
use ebpfcore::control::{Arrival, Control, Detached, NoSettings, Shell};
use ebpfcore::extension::{Offer, Outlet};
use ebpfcore::helper::NoExtensions;
use ebpfcore::link::Capacity;
use ebpfcore::native::{Error, ModuleMemory};
use ebpfcore::{Hook, Shared, Status};
use ebpfcore_nmr::{System, Watches, close_hook, open_hook};
use fixture::{ANSWERS, Fixture, Helper, NEW};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use testkernel::Machine;
use testkernel::raw::sample::{
    ATTACH_TYPE, Context, FUNCTION, HELPER, MODULE, PROGRAM_TYPE, Sample, Tables,
};
use testkernel::registry::Registry;

/// The image of the extension: its tables and its functions.
#[derive(Clone, Copy)]
struct Image {
    tables: (u64, usize),
    code: [u64; 2],
}

impl ModuleMemory for Image {
    fn read(&self, address: u64, out: &mut [u8]) -> bool {
        let offset = address.checked_sub(self.tables.0);
        let end = offset.and_then(|offset| offset.checked_add(out.len() as u64));
        if end.is_none_or(|end| end > self.tables.1 as u64) {
            return false;
        }
        // SAFETY: inside the tables, which nobody changes any more.
        unsafe { ebpfcore::read_bytes(address, out) };
        true
    }

    fn is_code(&self, address: u64) -> bool {
        self.code.contains(&address)
    }
}

thread_local! {
    static CONTROL: Cell<Option<&'static Control>> = const { Cell::new(None) };
    static IMAGE: Cell<Option<Image>> = const { Cell::new(None) };
}

/// The registrar of the machine of the thread.
struct Simulated;

fn registrar(name: &str) -> *const () {
    let address = testkernel::raw::address("NETIO.SYS", name).unwrap();
    std::ptr::with_exposed_provenance(address as usize)
}

impl System for Simulated {
    fn control() -> Option<&'static Control> {
        CONTROL.get()
    }

    fn image<T>(_: u64, look: impl FnOnce(&dyn ModuleMemory) -> T) -> Option<T> {
        IMAGE.get().map(|image| look(&image))
    }

    unsafe fn register(client: &Characteristics, context: u64, handle: &mut u64) -> i32 {
        type Register = extern "win64" fn(&Characteristics, u64, &mut u64) -> i32;
        // SAFETY: the type of the function.
        let function: Register = unsafe { std::mem::transmute(registrar("NmrRegisterClient")) };
        function(client, context, handle)
    }

    unsafe fn deregister(handle: u64) {
        for name in ["NmrDeregisterClient", "NmrWaitForClientDeregisterComplete"] {
            // SAFETY: the type of both functions.
            let function: extern "win64" fn(u64) -> i32 =
                unsafe { std::mem::transmute(registrar(name)) };
            function(handle);
        }
    }

    unsafe fn attach(binding: u64, context: u64, dispatch: u64) -> i32 {
        type Attach = extern "win64" fn(u64, u64, u64, &mut u64, &mut u64) -> i32;
        // SAFETY: the type of the function.
        let function: Attach = unsafe { std::mem::transmute(registrar("NmrClientAttachProvider")) };
        function(binding, context, dispatch, &mut 0, &mut 0)
    }
}

impl Shell for Simulated {
    fn open_hook(&self, outlet: &Shared<Outlet>) -> Result<u64, Status> {
        open_hook::<Simulated>(outlet)
    }
    fn close_hook(&self, registration: u64) {
        // SAFETY: from `open_hook`; the runtime gives it once.
        unsafe { close_hook::<Simulated>(registration) };
    }
    fn provider_gone(&self, binding: u64) {
        let name = "NmrClientDetachProviderComplete";
        // SAFETY: the type of the function.
        let function: extern "win64" fn(u64) -> i32 =
            unsafe { std::mem::transmute(registrar(name)) };
        function(binding);
    }
}

/// A machine with the runtime and an extension that is not started.
struct World {
    machine: Arc<Machine>,
    control: &'static Control,
    watches: &'static Watches<Simulated>,
    sample: Box<Sample>,
}

impl World {
    fn new(change: impl FnOnce(&mut Tables)) -> World {
        let (core, _) = support::core();
        let hooks = vec![Hook::new(xdp(), Capacity::Many)];
        let control = Control::new(core, hooks, &NoExtensions).with_shell(&Simulated);
        let mut sample = Sample::new();
        change(sample.tables());
        World {
            machine: Machine::new(Registry::default()),
            control: Box::leak(Box::new(control)),
            watches: Box::leak(Box::default()),
            sample,
        }
    }

    /// Runs on a thread that knows the machine.
    fn enter<T>(&self, action: impl FnOnce() -> T) -> T {
        CONTROL.set(Some(self.control));
        IMAGE.set(Some(self.image()));
        self.machine.enter(action)
    }

    fn image(&self) -> Image {
        Image {
            tables: self.sample.image(),
            code: self.sample.functions(),
        }
    }

    fn watch(&self) {
        // SAFETY: once.
        unsafe { self.watches.start() }.unwrap();
    }

    /// What happens at the hook when the number of the context is 100.
    fn fire(&self) -> Vec<(i32, u32, Vec<u8>)> {
        let mut context = Context {
            number: 100,
            ..Context::default()
        };
        self.sample.fire(&mut context)
    }

    /// Everything is gone and nothing was done wrong.
    fn end(self) {
        self.enter(|| self.watches.stop());
        assert_eq!(self.machine.registrar.registrations(), []);
        assert_eq!(self.machine.reports.violations(), Vec::<String>::new());
        assert_eq!(self.control.object_count(), 0);
        let rows = self.control.take_rows();
        // SAFETY: no program of these types is left.
        unsafe { rows.free() };
    }
}

/// A program that adds 5 to the number by the helper of the extension and returns the sum.
fn adding(world: &World, process: &Process) -> Handle {
    let program = create_program(world.control, process, PROGRAM_TYPE);
    let text = format!("r2 = 5\ncall {HELPER}\nexit");
    load(world.control, process, program, &text).unwrap();
    program
}

fn plug(world: &World, process: &Process, program: Handle, data: &[u8]) -> Result<Handle, Status> {
    let request = Request::LinkProgram {
        program_handle: program,
        attach_type: ATTACH_TYPE,
        data,
    };
    let bytes = ask(world.control, process, &request)?;
    Ok(reply!(bytes, LinkProgram, link_handle))
}

fn whole_life(extension_first: bool) {
    let world = World::new(|_| {});
    world.enter(|| {
        if extension_first {
            world.sample.start().unwrap();
            world.watch();
        } else {
            world.watch();
            world.sample.start().unwrap();
        }
        let process = Process::new();
        let program = adding(&world, &process);
        assert_eq!(world.fire(), []);
        let link = plug(&world, &process, program, b"where").unwrap();
        assert_eq!(world.fire(), [(0, 105, b"where".to_vec())]);
        // A second place for the same program, found again by its parameter.
        plug(&world, &process, program, b"else").unwrap();
        assert_eq!(world.fire().len(), 2);
        let unlink = Request::UnlinkProgram {
            link_handle: Handle::INVALID,
            program_handle: program,
            attach_type: ATTACH_TYPE,
            attach_data_present: true,
            data: b"else",
        };
        ask(world.control, &process, &unlink).unwrap();
        assert_eq!(world.fire().len(), 1);
        close(world.control, &process, link).unwrap();
        assert_eq!(world.fire(), []);
        process.end(world.control);
        world.sample.stop();
    });
    world.end();
}

#[test]
fn an_extension_that_is_there_first() {
    whole_life(true);
}

#[test]
fn an_extension_that_comes_later() {
    whole_life(false);
}

#[test]
fn programs_are_proved_against_the_description() {
    let world = World::new(|_| {});
    world.enter(|| {
        world.watch();
        world.sample.start().unwrap();
        let process = Process::new();
        for (text, is_safe) in [
            ("r0 = *(u64 *)(r1 + 16)\nexit", true),
            ("*(u64 *)(r1 + 16) = r1\nr0 = 0\nexit", false),
            ("r0 = *(u64 *)(r1 + 24)\nexit", false),
            ("r2 = *(u64 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 0)\nexit", false),
            ("r1 = 0\nr2 = 5\ncall 65536\nexit", false),
            ("call 65537\nexit", false),
        ] {
            let program = create_program(world.control, &process, PROGRAM_TYPE);
            let loaded = load(world.control, &process, program, text);
            assert_eq!(loaded.is_ok(), is_safe, "{text}");
        }
        process.end(world.control);
        world.sample.stop();
    });
    world.end();
}

#[test]
fn an_extension_goes_when_its_last_program_has_gone() {
    let world = World::new(|_| {});
    let process = Process::new();
    world.enter(|| {
        world.watch();
        world.sample.start().unwrap();
        let program = adding(&world, &process);
        plug(&world, &process, program, b"").unwrap();
        assert_eq!(world.fire().len(), 1);
    });
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            world.enter(|| world.sample.stop());
            stopped.store(true, Ordering::Release);
        });
        // Its events reach no program any more, and there are no new ones.
        while world.fire().iter().any(|answer| answer.0 == 0) {
            std::thread::yield_now();
        }
        world.enter(|| {
            let request = Request::CreateProgram {
                program_type: PROGRAM_TYPE,
                section_name_offset: 28,
                program_name_offset: 31,
                data: b"xdpprog",
            };
            while ask(world.control, &process, &request).is_ok() {
                std::thread::yield_now();
            }
            let refused = ask(world.control, &process, &request);
            assert_eq!(refused, Err(Status::ExtensionFailedToLoad));
            assert!(!stopped.load(Ordering::Acquire), "a program uses it");
            process.end(world.control);
        });
    });
    assert!(stopped.load(Ordering::Acquire));
    world.end();
}

#[test]
fn without_a_provider_there_is_no_hook() {
    let world = World::new(|_| {});
    world.enter(|| {
        world.watch();
        let process = Process::new();
        let program = create_program(world.control, &process, xdp().program_type.guid);
        load(world.control, &process, program, "r0 = 1\nexit").unwrap();
        let refused = plug(&world, &process, program, b"");
        assert_eq!(refused, Err(Status::ExtensionFailedToLoad));
        // A hook for another type of program is none for this one either.
        world.sample.start().unwrap();
        let refused = plug(&world, &process, program, b"");
        assert_eq!(refused, Err(Status::ExtensionFailedToLoad));
        process.end(world.control);
        world.sample.stop();
    });
    world.end();
}

#[test]
fn the_runtime_keeps_its_own_types() {
    let guid = xdp().program_type.guid;
    let world = World::new(|tables| tables.descriptor.program_type = guid);
    world.enter(|| {
        let image = world.image();
        let offer = Offer {
            binding: 1,
            npi: abi::native::nmr::NPI_PROGRAM_INFORMATION,
            module_id: guid,
            data: image.tables.0,
            memory: &image,
        };
        // SAFETY: an extension of this process.
        let refused = unsafe { world.control.offer(&offer) }.unwrap_err();
        assert_eq!(refused.status(), Status::ObjectAlreadyExists);
    });
    world.end();
}

/// What a change of the tables makes of the offer of program information.
fn refused(change: impl FnOnce(&mut Tables)) -> String {
    let world = World::new(change);
    let image = world.image();
    let offer = Offer {
        binding: 1,
        npi: abi::native::nmr::NPI_PROGRAM_INFORMATION,
        module_id: PROGRAM_TYPE,
        data: image.tables.0,
        memory: &image,
    };
    // SAFETY: an extension of this process; it is not used after the test.
    let answer = unsafe { world.control.offer(&offer) };
    answer.map_or_else(|error| error.to_string(), |()| String::from("accepted"))
}

#[test]
fn tables_that_are_wrong_are_refused() {
    type Change = fn(&mut Tables);
    let cases: &[(Change, &str)] = &[
        (|_| {}, "accepted"),
        (|t| t.program_data.header.size = 65, "accepted"),
        (|t| t.program_data.header.version = 2, "header.version is 2"),
        (|t| t.program_data.header.size = 64, "header.size is 64"),
        (|t| t.program_data.required_irql = 3, "required_irql is 3"),
        (|t| t.program_data.program_info = 0, "program_info is NULL"),
        (
            |t| t.program_data.program_info = 8,
            "does not lie inside the image",
        ),
        (
            |t| t.program_data.program_info = u64::MAX,
            "does not lie inside the image",
        ),
        (
            |t| t.program_data.helper_addresses = 0,
            "helper_addresses is NULL",
        ),
        (|t| t.program_data.global_helper_addresses = 8, "accepted"),
        (|t| t.program_info.header.size = 56, "header.size is 56"),
        (|t| t.program_info.helper_count = 0, "count is zero"),
        (
            |t| t.program_info.helper_count = 2,
            "expected the number of prototypes",
        ),
        (|t| t.program_info.helper_count = 1025, "at most 1024"),
        (|t| t.program_info.helper_count = u32::MAX, "at most"),
        (|t| t.program_info.global_helper_count = 1, "count is zero"),
        (|t| t.descriptor.header.size = 64, "header.size is 64"),
        (|t| t.descriptor.name = 0, "name is NULL"),
        (
            |t| t.descriptor.program_type = ATTACH_TYPE,
            "the id of the provider",
        ),
        (
            |t| t.descriptor.context_descriptor = 0,
            "context_descriptor is NULL",
        ),
        (|t| t.helper.helper_id = 12, "65536 or above"),
        (|t| t.helper.header.total_size = 73, "header.total_size"),
        (|t| t.helper.arguments[0] = 99, "a kind that is known"),
        (|t| t.helper.arguments[0] = 9, "memory and then its size"),
        (
            |t| t.helper.arguments = [1, 0, 1, 0, 0],
            "memory and then its size",
        ),
        (
            |t| t.helper.arguments = [7, 0, 0, 0, 0],
            "a map and then its key",
        ),
        (
            |t| t.helper.arguments = [1, 1, 1, 1, 9],
            "memory and then its size",
        ),
        (|t| t.helper.return_type = 3, "return_type is 3"),
        (|t| t.addresses.count = 2, "the number of prototypes"),
        (|t| t.addresses.addresses = 0, "addresses is NULL"),
        (|t| t.addresses.addresses += 64, "executable code"),
    ];
    for (index, (change, expected)) in cases.iter().enumerate() {
        let text = refused(change);
        assert!(text.contains(expected), "{index}: {text}, not {expected}");
    }
}

#[test]
fn functions_by_name_are_read_too() {
    type Change = fn(&mut Tables);
    let cases: &[(Change, &str)] = &[
        (|_| {}, "accepted"),
        (|t| t.functions.count = 0, "count is zero"),
        (|t| t.functions.addresses = 0, "addresses is NULL"),
        (|t| t.functions.prototypes = 1, "does not lie inside"),
        (|t| t.function.name = 0, "name is NULL"),
        (|t| t.function.arguments[2] = 3, "memory and then its size"),
    ];
    assert!(!FUNCTION.is_empty());
    for (index, (change, expected)) in cases.iter().enumerate() {
        let world = World::new(change);
        let image = world.image();
        let mut sample = world.sample;
        let data = std::ptr::from_mut(&mut sample.tables().functions).expose_provenance() as u64;
        let offer = Offer {
            binding: 1,
            npi: abi::native::nmr::NPI_BTF_FUNCTION,
            module_id: MODULE,
            data,
            memory: &image,
        };
        // SAFETY: an extension of this process; it is not used after the test.
        let answer = unsafe { world.control.offer(&offer) };
        let text = answer.map_or_else(|error| error.to_string(), |()| String::from("accepted"));
        assert!(text.contains(expected), "{index}: {text}, not {expected}");
    }
}

/// A program of a native module that multiplies 6 and 7 by the function of the extension.
unsafe extern "win64" fn multiplying(context: u64, runtime: *const ProgramRuntimeContext) -> u64 {
    // SAFETY: the runtime context is as the native module ABI says.
    unsafe {
        let functions = (*runtime).btf_resolved_function_data as *const BtfResolvedFunctionData;
        assert_eq!((*functions.add(1)).address, 0, "an unused slot");
        let multiply: Helper = std::mem::transmute((*functions).address);
        multiply(6, 7, 0, 0, 0, context)
    }
}

/// A module whose table names a function of the extension, and one unused slot.
fn module() -> Fixture {
    let mut module = Fixture::new(NEW);
    let function = multiplying as *const () as usize;
    module.code.push(function as u64);
    let entry = |name, id| BtfResolvedFunctionEntry {
        header: BtfResolvedFunctionEntry::HEADER,
        name: module.text(name),
        module: id,
    };
    let functions = [entry(FUNCTION, MODULE), entry("", abi::Guid::default())];
    let program = ProgramEntry {
        btf_resolved_functions: module.part(&functions),
        btf_resolved_function_count: 2,
        ..module.program("multiply", function, &[])
    };
    module.answers.programs = (module.programs(&[program], NEW), 1);
    module.answers.initial = (0, 0);
    module
}

fn attach(world: &World, module: &Fixture) -> Result<(), Error> {
    ANSWERS.set(module.answers);
    let arrival = Arrival {
        binding: 77,
        module_id: module_id_of_hash([3; 32]),
        table: module.table,
        memory: module,
        file_hash: None,
        settings: &NoSettings,
    };
    // SAFETY: the getters and the program are functions of this process.
    unsafe { world.control.attach_module(&arrival) }
}

#[test]
fn native_programs_call_functions_of_extensions_by_name() {
    let world = World::new(|_| {});
    let module = module();
    world.enter(|| {
        world.watch();
        let refused = attach(&world, &module).unwrap_err();
        assert_eq!(refused.status(), Status::ExtensionFailedToLoad);
        world.sample.start().unwrap();
        attach(&world, &module).unwrap();
        assert_eq!(invoke(world.control), [42]);
    });
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            world.enter(|| world.sample.stop());
            stopped.store(true, Ordering::Release);
        });
        // The program is not called any more, but it is there, and so is what it may call.
        while !invoke(world.control).is_empty() {
            std::thread::yield_now();
        }
        assert!(!stopped.load(Ordering::Acquire), "a program uses it");
        let detached = world.enter(|| world.control.detach_module(77));
        assert_eq!(detached, Detached::Now);
    });
    assert!(stopped.load(Ordering::Acquire));
    world.end();
}
