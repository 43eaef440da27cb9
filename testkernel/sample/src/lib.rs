//! A sample extension: one program type that no table knows, one helper, one hook, one function by
//! name.
//!
//! It is what an extension written for eBPF for Windows is: tables that lie in its image, three
//! providers, functions. Programs get a context with a packet and a number; the helper adds its
//! argument to the number, the function multiplies. Whoever has the tables also has the callbacks:
//! tests in their own process, or a driver. What is left out: an event of its own.
#![no_std]
#![cfg(target_arch = "x86_64")]
#![expect(unsafe_code, reason = "functions that programs call, with addresses")]

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
/// The device of the driver, its name for programs, and the code of the request that is the event.
pub const DEVICE: &str = r"\Device\SampleExtension";
/// As [`DEVICE`], for programs.
pub const LINK: &str = r"\DosDevices\SampleExtension";
/// Unknown device type, buffered, any access, function 0x801.
pub const CONTROL_CODE: u32 = 0x22_2004;
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
    /// What is registered.
    pub providers: [Characteristics; 3],
}

/// Addresses of callbacks of a provider: attaching and detaching a client.
#[derive(Clone, Copy, Debug)]
pub struct Callbacks {
    /// `ProviderAttachClient`.
    pub attach: u64,
    /// `ProviderDetachClient`.
    pub detach: u64,
}

fn at<T>(value: &T) -> u64 {
    core::ptr::from_ref(value).expose_provenance() as u64
}

fn name(text: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

impl Tables {
    /// Fills tables that stay where they are: with the callbacks of what is data alone, and of the
    /// hook.
    pub fn fill(&mut self, data_callbacks: Callbacks, hook_callbacks: Callbacks) {
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
            let is_hook = self.npis[index] == NPI_HOOK;
            let callbacks = if is_hook {
                hook_callbacks
            } else {
                data_callbacks
            };
            self.providers[index] = self.provider(index, data, callbacks);
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

    fn provider(&self, index: usize, data: u64, callbacks: Callbacks) -> Characteristics {
        Characteristics {
            length: size_of::<Characteristics>() as u16,
            attach: callbacks.attach,
            detach: callbacks.detach,
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

    /// Addresses of the functions that others call: the helper, the function by name.
    #[must_use]
    pub fn functions(&self) -> [u64; 2] {
        [self.helper_address, self.function_address]
    }
}

/// A client of the hook.
#[derive(Clone, Copy, Debug)]
pub struct HookClient {
    /// What runs its program.
    pub invoke: u64,
    /// Address and bytes of its parameter.
    pub parameter: (u64, u64),
}

/// What a client of the hook says; none when it is not one.
///
/// # Safety
/// 1. Addresses as the registrar passes them to the attach callback.
#[must_use]
pub unsafe fn hook_client(instance: u64, dispatch: u64) -> Option<HookClient> {
    // SAFETY: obligation 1; the data of a client of a hook.
    let (data, functions) = unsafe {
        let instance: RegistrationInstance = get(instance)?;
        let data: ExtensionData = get(instance.npi_specific_characteristics)?;
        (data, get::<InvokeDispatch>(dispatch)?)
    };
    let is_known = functions.version == 1 && functions.count == 4;
    (is_known && data.header == ExtensionData::HEADER).then_some(HookClient {
        invoke: functions.invoke,
        parameter: (data.data, data.data_size),
    })
}

/// Runs the program of a client; gives what the runtime answers and the result of the program.
///
/// # Safety
/// 1. `invoke` is from [`hook_client`], `client` the context of the client, which is attached.
pub unsafe fn run(invoke: u64, client: u64, context: &mut Context) -> (i32, u32) {
    type Invoke = unsafe extern "win64" fn(u64, u64, *mut u32) -> i32;
    let function = core::ptr::with_exposed_provenance::<()>(invoke as usize);
    let place = core::ptr::from_mut(context).expose_provenance() as u64;
    let program = place + size_of::<ContextHeader>() as u64;
    let mut result = 0;
    // SAFETY: obligation 1; a context of the program type with its header.
    let answer = unsafe {
        let invoke: Invoke = core::mem::transmute(function);
        invoke(client, program, &raw mut result)
    };
    (answer, result)
}

/// # Safety
/// 1. The address is null or that of a `T`.
unsafe fn get<T: Copy>(address: u64) -> Option<T> {
    let place = core::ptr::with_exposed_provenance::<T>(address as usize);
    // SAFETY: obligation 1.
    unsafe { place.as_ref() }.copied()
}

/// The helper: adds to the number of the context and gives the sum.
extern "win64" fn add(context: u64, more: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    let number = core::ptr::with_exposed_provenance_mut::<u64>(context as usize + 16);
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
