//! A device of the kernel, opened by name.

use std::fs::{File, OpenOptions};

/// Longest reply.
const REPLY_BYTES: usize = 1 << 20;

/// An open device.
pub(crate) struct Device(File);

impl Device {
    pub(crate) fn open(name: &str) -> Result<Device, String> {
        let file = OpenOptions::new().read(true).write(true).open(name);
        file.map(Device).map_err(|error| format!("{name}: {error}"))
    }

    /// Sends a message and waits for its reply.
    #[cfg(windows)]
    #[allow(unsafe_code, reason = "a system call that the standard library lacks")]
    pub(crate) fn control(&self, code: u32, input: &[u8]) -> Result<Vec<u8>, String> {
        use std::os::windows::io::AsRawHandle as _;
        unsafe extern "system" {
            fn DeviceIoControl(
                device: *mut core::ffi::c_void,
                code: u32,
                input: *const u8,
                input_bytes: u32,
                output: *mut u8,
                output_bytes: u32,
                returned: *mut u32,
                overlapped: usize,
            ) -> i32;
        }
        let mut output = vec![0; REPLY_BYTES];
        let mut returned = 0;
        let (source, target) = (input.as_ptr(), output.as_mut_ptr());
        let (from, to) = (input.len() as u32, output.len() as u32);
        // SAFETY: an open handle and live buffers of these sizes.
        let done = unsafe {
            let device = self.0.as_raw_handle();
            DeviceIoControl(device, code, source, from, target, to, &raw mut returned, 0)
        };
        if done == 0 {
            return Err(std::io::Error::last_os_error().to_string());
        }
        output.truncate(returned as usize);
        Ok(output)
    }

    /// There are no such devices elsewhere.
    #[cfg(not(windows))]
    pub(crate) fn control(&self, _code: u32, _input: &[u8]) -> Result<Vec<u8>, String> {
        let _ = (&self.0, REPLY_BYTES);
        Err("no device of this kind on this system".to_owned())
    }
}
