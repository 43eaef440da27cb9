//! Pointers that C hands over.
//!
//! What callers promise is stated here once, as any C library states it: text ends with a zero; memory
//! that a function reads or writes has the size that its documentation says; pointers to objects come
//! from this library and were not given back. NULL is always recognised. Addresses are used before the
//! function returns, except those of callbacks and their contexts.
#![expect(unsafe_code, reason = "reads and writes memory of C programs")]

use crate::error::Fault;
use std::ffi::{CStr, c_char, c_void};

/// Text from C.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Text(*const c_char);

/// Memory that is read.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Input(*const c_void);

/// Memory that is written, and perhaps read before.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Output(*mut c_void);

/// A number of the caller that is only handed back.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Token(pub(crate) *mut c_void);

// SAFETY: the library never follows it; that callbacks may be called from any thread that polls is
// documented.
unsafe impl Send for Token {}

impl Text {
    /// NULL.
    pub(crate) const NONE: Text = Text(std::ptr::null());

    /// Text at an address that C hands over as a number.
    pub(crate) fn at(address: u64) -> Text {
        Text(std::ptr::with_exposed_provenance(address as usize))
    }

    /// Text of this library, for as long as it is borrowed.
    pub(crate) fn of(text: &CStr) -> Text {
        Text(text.as_ptr())
    }

    /// The text; NULL and text that is not UTF-8 are faults.
    pub(crate) fn get<'a>(self) -> Result<&'a str, Fault> {
        self.optional()?.ok_or(Fault::INVALID)
    }

    /// The text, `None` for NULL.
    pub(crate) fn optional<'a>(self) -> Result<Option<&'a str>, Fault> {
        if self.0.is_null() {
            return Ok(None);
        }
        // SAFETY: not NULL; the caller promises text that ends with a zero.
        let text = unsafe { CStr::from_ptr(self.0) };
        text.to_str().map(Some).map_err(|_| Fault::INVALID)
    }
}

impl Input {
    /// Memory at an address that C hands over as a number.
    pub(crate) fn at(address: u64) -> Input {
        Input(std::ptr::with_exposed_provenance(address as usize))
    }

    /// Is it NULL?
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Where it is.
    pub(crate) fn address(self) -> u64 {
        self.0.expose_provenance() as u64
    }

    /// A copy of its bytes; NULL is a fault unless there are none.
    pub(crate) fn bytes(self, length: usize) -> Result<Vec<u8>, Fault> {
        if length == 0 {
            return Ok(Vec::new());
        }
        if self.0.is_null() {
            return Err(Fault::INVALID);
        }
        let mut bytes = vec![0; length];
        // SAFETY: not NULL; the caller promises this many bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(self.0.cast::<u8>(), bytes.as_mut_ptr(), length);
        }
        Ok(bytes)
    }

    /// The first 32-bit number there.
    pub(crate) fn number(self) -> Result<u32, Fault> {
        let bytes = self.bytes(4)?;
        Ok(bytes
            .first_chunk()
            .map_or(0, |word| u32::from_ne_bytes(*word)))
    }
}

impl Output {
    /// NULL.
    pub(crate) const NONE: Output = Output(std::ptr::null_mut());

    /// Memory at an address that C hands over as a number.
    pub(crate) fn at(address: u64) -> Output {
        Output(std::ptr::with_exposed_provenance_mut(address as usize))
    }

    /// What stands there before it is written.
    pub(crate) fn before(self) -> Input {
        Input(self.0)
    }

    /// Is it NULL?
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Stores bytes at an offset; NULL is a fault unless there are none.
    pub(crate) fn write_at(self, offset: usize, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.0.is_null() {
            return Err(Fault::INVALID);
        }
        // SAFETY: not NULL; the caller promises room for as much as is documented.
        unsafe {
            let to = self.0.cast::<u8>().add(offset);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        Ok(())
    }

    /// Stores bytes.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<(), Fault> {
        self.write_at(0, bytes)
    }
}

/// Longest text of `wchar_t` that is read.
const WIDE_UNITS: u64 = 4096;

/// Text of `wchar_t`: UTF-16 on Windows, UTF-32 elsewhere.
pub(crate) fn wide_text(address: u64) -> Result<String, Fault> {
    const UNIT: usize = if cfg!(windows) { 2 } else { 4 };
    let mut units = Vec::new();
    for at in 0..WIDE_UNITS {
        let place = address.checked_add(at * UNIT as u64);
        let unit = Input::at(place.ok_or(Fault::INVALID)?).bytes(UNIT)?;
        let unit = unit
            .iter()
            .rev()
            .fold(0, |all, byte| all << 8 | u32::from(*byte));
        if unit == 0 {
            break;
        }
        units.push(unit);
    }
    let text = match UNIT {
        2 => String::from_utf16(&units.iter().map(|unit| *unit as u16).collect::<Vec<u16>>()).ok(),
        _ => units.into_iter().map(char::from_u32).collect(),
    };
    text.ok_or(Fault::INVALID)
}

/// Text for C, which the caller gives back with `ebpf_free_string`.
pub(crate) fn give_text(text: &str) -> *mut c_char {
    let clean: Vec<u8> = text.bytes().filter(|byte| *byte != 0).collect();
    std::ffi::CString::new(clean).map_or(std::ptr::null_mut(), std::ffi::CString::into_raw)
}

/// Stores an object in a variable of C. What stands there belongs to nobody: C need not have set it.
pub(crate) fn give_box<T>(to: &mut Option<Box<T>>, object: Box<T>) {
    give(to, Some(object));
}

/// The same for NULL too.
pub(crate) fn give<T>(to: &mut Option<Box<T>>, object: Option<Box<T>>) {
    std::mem::forget(std::mem::replace(to, object));
}

/// An array for C, which the caller gives back with its length; NULL for none.
pub(crate) fn give_array<T>(array: Vec<T>) -> *mut T {
    match array.is_empty() {
        true => std::ptr::null_mut(),
        false => Box::into_raw(array.into_boxed_slice()).cast(),
    }
}

/// Takes an array back.
pub(crate) fn take_array<T>(array: *mut T, length: usize) -> Vec<T> {
    if array.is_null() || length == 0 {
        return Vec::new();
    }
    let slice = std::ptr::slice_from_raw_parts_mut(array, length);
    // SAFETY: the caller promises that it comes from `give_array` with this length and is given back once.
    unsafe { Box::from_raw(slice) }.into_vec()
}

/// Takes text back.
pub(crate) fn take_text(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: the caller promises that it comes from `give_text` and is given back once.
        drop(unsafe { std::ffi::CString::from_raw(text) });
    }
}

/// Numbers of descriptors and errno, which belong to the C runtime.
pub(crate) mod runtime {
    use std::ffi::c_int;

    /// Stores errno.
    #[cfg(target_os = "linux")]
    pub(crate) fn set_errno(number: c_int) {
        // SAFETY: the place of this thread's errno.
        unsafe { *libc::__errno_location() = number };
    }

    /// This thread's errno.
    #[cfg(target_os = "linux")]
    pub(crate) fn errno() -> c_int {
        // SAFETY: the place of this thread's errno.
        unsafe { *libc::__errno_location() }
    }

    /// A descriptor of its own, and what tells it from later ones of the same number.
    #[cfg(target_os = "linux")]
    pub(crate) fn reserve() -> Option<(c_int, u64)> {
        // SAFETY: a constant name.
        let fd = unsafe { libc::memfd_create(c"ebpf".as_ptr(), libc::MFD_CLOEXEC) };
        let identity = identity(fd)?;
        Some((fd, identity))
    }

    /// What a descriptor is now.
    #[cfg(target_os = "linux")]
    pub(crate) fn identity(fd: c_int) -> Option<u64> {
        let mut about = std::mem::MaybeUninit::<libc::stat>::zeroed();
        // SAFETY: room for the answer; any number may be asked for.
        let found = unsafe { libc::fstat(fd, about.as_mut_ptr()) };
        // SAFETY: zeroed before, so it has a value in any case.
        let about = unsafe { about.assume_init() };
        (found == 0).then_some(about.st_ino)
    }

    /// Gives a descriptor up.
    #[cfg(target_os = "linux")]
    pub(crate) fn release(fd: c_int) {
        // SAFETY: reserved here and not closed since, as its identity told.
        unsafe { libc::close(fd) };
    }

    #[cfg(windows)]
    unsafe extern "C" {
        fn _errno() -> *mut c_int;
        fn _open(path: *const std::ffi::c_char, flags: c_int, mode: c_int) -> c_int;
        fn _get_osfhandle(fd: c_int) -> isize;
        fn _close(fd: c_int) -> c_int;
    }

    /// Stores errno.
    #[cfg(windows)]
    pub(crate) fn set_errno(number: c_int) {
        // SAFETY: the place of this thread's errno.
        unsafe { *_errno() = number };
    }

    /// This thread's errno.
    #[cfg(windows)]
    pub(crate) fn errno() -> c_int {
        // SAFETY: the place of this thread's errno.
        unsafe { *_errno() }
    }

    /// A descriptor of its own, and what tells it from later ones of the same number.
    #[cfg(windows)]
    pub(crate) fn reserve() -> Option<(c_int, u64)> {
        /// `_O_RDWR | _O_NOINHERIT`
        const FLAGS: c_int = 0x82;
        // SAFETY: a constant name.
        let fd = unsafe { _open(c"NUL".as_ptr(), FLAGS, 0) };
        let identity = identity(fd)?;
        Some((fd, identity))
    }

    /// What a descriptor is now.
    #[cfg(windows)]
    pub(crate) fn identity(fd: c_int) -> Option<u64> {
        if fd < 0 {
            return None;
        }
        // SAFETY: any number that is not negative may be asked for.
        let handle = unsafe { _get_osfhandle(fd) };
        (handle > 0).then_some(handle as u64)
    }

    /// Gives a descriptor up.
    #[cfg(windows)]
    pub(crate) fn release(fd: c_int) {
        // SAFETY: reserved here and not closed since, as its identity told.
        unsafe { _close(fd) };
    }
}
