//! A sample extension: one program type that no table knows, one helper, one hook, one function by
//! name.
//!
//! It is what an extension written for eBPF for Windows is: tables that lie in its image, three
//! providers, callbacks. Programs get a context with a packet and a number; the helper adds its
//! argument to the number, the function multiplies. [`Sample::fire`] is the event that the hook
//! waits for. Invariant: a program that was detached is not running any more.

use super::netio;
use crate::report::lock;
use crate::status;
use abi::Guid;
use abi::native::extension::{
    AttachProviderData, BtfFunctionPrototype, BtfFunctionProviderData, ContextDescriptor,
    ContextHeader, ExtensionData, HelperAddresses, HelperPrototype, InvokeDispatch, ProgramData,
    ProgramInfo, ProgramTypeDescriptor,
};
use abi::native::nmr::{
    Characteristics, ModuleId, NPI_BTF_FUNCTION, NPI_HOOK, NPI_PROGRAM_INFORMATION,
    RegistrationInstance,
};
use std::collections::BTreeMap;
use std::sync::{Mutex, RwLock};

/// The program type.
pub const PROGRAM_TYPE: Guid = Guid::from_u128(0x51a3_7f10_3c11_4f0e_9d53_7be0_64a1_0001);
/// The hook.
pub const ATTACH_TYPE: Guid = Guid::from_u128(0x51a3_7f10_3c11_4f0e_9d53_7be0_64a1_0002);
/// The module of the function by name.
pub const MODULE: Guid = Guid::from_u128(0x51a3_7f10_3c11_4f0e_9d53_7be0_64a1_0003);
/// The helper that adds to the number of the context.
pub const HELPER: u32 = 65_536;
/// The function that multiplies.
pub const FUNCTION: &str = "sample_multiply";
/// `bpf_prog_type` and `bpf_attach_type`.
const NUMBER: u32 = 1998;

/// The context of programs, with what lies in front of it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Context {
    /// Words of the runtime.
    pub header: ContextHeader,
    /// Start of the packet.
    pub data: u64,
    /// End of the packet.
    pub data_end: u64,
    /// The number.
    pub number: u64,
}

/// Bytes of the context without the header.
const CONTEXT_BYTES: i32 = 24;

/// The data of the extension's image.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Tables {
    /// Program information.
    pub program_data: ProgramData,
    /// What it leads to.
    pub program_info: ProgramInfo,
    /// What that leads to.
    pub descriptor: ProgramTypeDescriptor,
    context: ContextDescriptor,
    /// The helper.
    pub helper: HelperPrototype,
    /// Its address.
    pub addresses: HelperAddresses,
    helper_address: u64,
    /// The hook.
    pub hook: AttachProviderData,
    /// Functions by name.
    pub functions: BtfFunctionProviderData,
    /// The function.
    pub function: BtfFunctionPrototype,
    function_address: u64,
    type_name: [u8; 16],
    helper_name: [u8; 16],
    function_name: [u8; 16],
    ids: [ModuleId; 3],
    npis: [Guid; 3],
    providers: [Characteristics; 3],
}

/// A program at the hook.
#[derive(Clone, Debug)]
struct Attached {
    context: u64,
    invoke: u64,
    parameter: Vec<u8>,
}

/// The extension.
#[derive(Debug, Default)]
pub struct Sample {
    tables: Box<Tables>,
    handles: Mutex<Vec<u64>>,
    /// Held for reading while programs run.
    attached: RwLock<BTreeMap<u64, Attached>>,
    next: Mutex<u64>,
}

fn at<T>(value: &T) -> u64 {
    std::ptr::from_ref(value).expose_provenance() as u64
}

fn name(text: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

impl Tables {
    fn fill(&mut self) {
        self.type_name = name("sample_number");
        self.helper_name = name("sample_add");
        self.function_name = name(FUNCTION);
        self.context = ContextDescriptor {
            size: CONTEXT_BYTES,
            data: 0,
            end: 8,
            meta: -1,
        };
        self.fill_program();
        self.fill_others();
        let data = [at(&self.program_data), at(&self.hook), at(&self.functions)];
        self.npis = [NPI_PROGRAM_INFORMATION, NPI_HOOK, NPI_BTF_FUNCTION];
        self.ids = [PROGRAM_TYPE, ATTACH_TYPE, MODULE].map(ModuleId::new);
        for (index, data) in data.into_iter().enumerate() {
            self.providers[index] = self.provider(index, data);
        }
    }

    fn fill_program(&mut self) {
        self.descriptor = ProgramTypeDescriptor {
            header: ProgramTypeDescriptor::HEADER,
            name: at(&self.type_name),
            context_descriptor: at(&self.context),
            program_type: PROGRAM_TYPE,
            bpf_prog_type: NUMBER,
            ..ProgramTypeDescriptor::default()
        };
        self.helper = HelperPrototype {
            header: HelperPrototype::HEADER,
            helper_id: HELPER,
            name: at(&self.helper_name),
            // The context, anything.
            arguments: [4, 1, 0, 0, 0],
            ..HelperPrototype::default()
        };
        self.helper_address = (add as *const ()).expose_provenance() as u64;
        self.addresses = HelperAddresses {
            header: HelperAddresses::HEADER,
            count: 1,
            addresses: at(&self.helper_address),
            ..HelperAddresses::default()
        };
        self.program_info = ProgramInfo {
            header: ProgramInfo::HEADER,
            type_descriptor: at(&self.descriptor),
            helper_count: 1,
            helpers: at(&self.helper),
            ..ProgramInfo::default()
        };
        self.program_data = ProgramData {
            header: ProgramData::HEADER,
            program_info: at(&self.program_info),
            helper_addresses: at(&self.addresses),
            required_irql: 2,
            ..ProgramData::default()
        };
    }

    fn fill_others(&mut self) {
        self.hook = AttachProviderData {
            header: AttachProviderData::HEADER,
            supported_program_type: PROGRAM_TYPE,
            bpf_attach_type: NUMBER,
            link_type: 1,
        };
        self.function = BtfFunctionPrototype {
            header: BtfFunctionPrototype::HEADER,
            name: at(&self.function_name),
            // Two numbers.
            arguments: [1, 1, 0, 0, 0],
            ..BtfFunctionPrototype::default()
        };
        self.function_address = (multiply as *const ()).expose_provenance() as u64;
        self.functions = BtfFunctionProviderData {
            header: BtfFunctionProviderData::HEADER,
            count: 1,
            prototypes: at(&self.function),
            addresses: at(&self.function_address),
            ..BtfFunctionProviderData::default()
        };
    }

    fn provider(&self, index: usize, data: u64) -> Characteristics {
        let is_hook = self.npis[index] == NPI_HOOK;
        let (attach, detach) = match is_hook {
            true => (hook_attach as *const (), hook_detach as *const ()),
            false => (accept as *const (), forget as *const ()),
        };
        Characteristics {
            length: size_of::<Characteristics>() as u16,
            attach: attach.expose_provenance() as u64,
            detach: detach.expose_provenance() as u64,
            instance: RegistrationInstance {
                size: size_of::<RegistrationInstance>() as u16,
                npi_id: at(&self.npis[index]),
                module_id: at(&self.ids[index]),
                npi_specific_characteristics: data,
                ..RegistrationInstance::default()
            },
            ..Characteristics::default()
        }
    }
}

impl Sample {
    /// An extension that is not started; the tables may still be changed.
    #[must_use]
    pub fn new() -> Box<Sample> {
        let mut sample = Box::<Sample>::default();
        sample.tables.fill();
        sample
    }

    /// Its tables.
    pub fn tables(&mut self) -> &mut Tables {
        &mut self.tables
    }

    /// Where the tables lie, and how long they are.
    #[must_use]
    pub fn image(&self) -> (u64, usize) {
        (at(&*self.tables), size_of::<Tables>())
    }

    /// Addresses of its functions that others call.
    #[must_use]
    pub fn functions(&self) -> [u64; 2] {
        [self.tables.helper_address, self.tables.function_address]
    }

    /// Registers the providers.
    ///
    /// # Errors
    /// What the registrar answers.
    pub fn start(&self) -> Result<(), u32> {
        for provider in &self.tables.providers {
            let mut handle = 0u64;
            let variable = (&raw mut handle).expose_provenance() as u64;
            let answer = netio::NmrRegisterProvider(at(provider), at(self), variable);
            if status::is_error(answer) {
                return Err(answer);
            }
            lock(&self.handles).push(handle);
        }
        Ok(())
    }

    /// Takes the providers back and waits until nobody is attached.
    pub fn stop(&self) {
        let handles = std::mem::take(&mut *lock(&self.handles));
        for handle in &handles {
            netio::NmrDeregisterProvider(*handle);
        }
        for handle in handles {
            netio::NmrWaitForProviderDeregisterComplete(handle);
        }
    }

    /// Something happens: all programs run; gives what the runtime answered and their results, and
    /// the parameter that each was attached with.
    pub fn fire(&self, context: &mut Context) -> Vec<(i32, u32, Vec<u8>)> {
        type Invoke = unsafe extern "win64" fn(u64, u64, *mut u32) -> i32;
        let attached = self.attached.read();
        let attached = attached.unwrap_or_else(std::sync::PoisonError::into_inner);
        let place = std::ptr::from_mut(context).expose_provenance() as u64;
        let program = place + size_of::<ContextHeader>() as u64;
        let mut answers = Vec::new();
        for one in attached.values() {
            let function = std::ptr::with_exposed_provenance::<()>(one.invoke as usize);
            let mut result = 0;
            // SAFETY: a function of the runtime, for a client that is attached; a context of the
            // program type with its header.
            let answer = unsafe {
                let invoke: Invoke = std::mem::transmute(function);
                invoke(one.context, program, &raw mut result)
            };
            answers.push((answer, result, one.parameter.clone()));
        }
        answers
    }

    fn writing(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<u64, Attached>> {
        let attached = self.attached.write();
        attached.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The helper: adds to the number of the context and gives the sum.
extern "win64" fn add(context: u64, more: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    let number = std::ptr::with_exposed_provenance_mut::<u64>(context as usize + 16);
    // SAFETY: the verifier proved that it is the context of a program of this type.
    unsafe {
        *number = (*number).wrapping_add(more);
        *number
    }
}

/// The function by name.
extern "win64" fn multiply(a: u64, b: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    a.wrapping_mul(b)
}

/// `ProviderAttachClient` of what is data alone.
extern "win64" fn accept(
    _binding: u64,
    _context: u64,
    _client: u64,
    _client_context: u64,
    _dispatch: u64,
    own: &mut u64,
    own_dispatch: &mut u64,
) -> u32 {
    (*own, *own_dispatch) = (0, 0);
    status::SUCCESS
}

/// `ProviderDetachClient` of what is data alone.
extern "win64" fn forget(_: u64) -> u32 {
    status::SUCCESS
}

/// What a client of the hook says.
///
/// # Safety
/// 1. Addresses as the registrar passes them.
unsafe fn client(instance: u64, dispatch: u64) -> Result<(u64, Vec<u8>), u32> {
    // SAFETY: the caller's obligation; the data of a client of a hook.
    unsafe {
        let instance: RegistrationInstance = super::get(instance)?;
        let data: ExtensionData = super::get(instance.npi_specific_characteristics)?;
        let functions: InvokeDispatch = super::get(dispatch)?;
        if functions.version != 1 || functions.count != 4 || data.header != ExtensionData::HEADER {
            return Err(status::INVALID_PARAMETER);
        }
        let byte = |index: u64| super::get(data.data + index);
        let parameter = (0..data.data_size).map(byte).collect::<Result<_, _>>()?;
        Ok((functions.invoke, parameter))
    }
}

/// `ProviderAttachClient` of the hook. The context of the binding is the place of a pair: the
/// extension and the number of the program.
extern "win64" fn hook_attach(
    _binding: u64,
    context: u64,
    instance: u64,
    client_context: u64,
    dispatch: u64,
    own: &mut u64,
    own_dispatch: &mut u64,
) -> u32 {
    // SAFETY: the context that `start` gave; the registrar's addresses.
    let (sample, said) = unsafe {
        let sample = std::ptr::with_exposed_provenance::<Sample>(context as usize);
        (&*sample, client(instance, dispatch))
    };
    let (invoke, parameter) = match said {
        Ok(said) => said,
        Err(status) => return status,
    };
    let number = {
        let mut next = lock(&sample.next);
        *next += 1;
        *next
    };
    let program = Attached {
        context: client_context,
        invoke,
        parameter,
    };
    sample.writing().insert(number, program);
    let pair = Box::into_raw(Box::new((context, number)));
    (*own, *own_dispatch) = (pair.expose_provenance() as u64, 0);
    status::SUCCESS
}

/// `ProviderDetachClient` of the hook.
extern "win64" fn hook_detach(own: u64) -> u32 {
    let pair = std::ptr::with_exposed_provenance_mut::<(u64, u64)>(own as usize);
    // SAFETY: from `hook_attach`, given back once.
    let (context, number) = *unsafe { Box::from_raw(pair) };
    // SAFETY: the context that `start` gave.
    let sample = unsafe { &*std::ptr::with_exposed_provenance::<Sample>(context as usize) };
    // Waits for programs that run.
    sample.writing().remove(&number);
    status::SUCCESS
}
