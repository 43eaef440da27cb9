//! Paths of pins: the one form that they are compared in.
//!
//! Prefix `BPF:`, backslashes, no empty or `.` components, `..` resolved, the leading `\ebpf\global\`
//! left out: the form of eBPF for Windows, so that its user-mode parts find the same objects.
//! Invariant: a canonical path is its own canonical form.

/// Longest canonical path (`EBPF_MAX_PIN_PATH_LENGTH` less its terminator).
pub const PATH_BYTES: usize = 255;

/// What every canonical path starts with.
const PREFIX: &[u8] = b"BPF:";
/// The folder that is the same as none.
const GLOBAL: &[u8] = br"\ebpf\global";

/// A canonical path.
#[derive(Clone, Copy, Debug)]
pub struct PinPath {
    bytes: [u8; PATH_BYTES],
    length: usize,
}

impl PinPath {
    /// The canonical form of a path. `None` for an empty or too long path, one that holds a colon or a
    /// NUL, or one that leads above the root.
    #[must_use]
    pub fn canonical(path: &[u8]) -> Option<PinPath> {
        let rest = match path.split_at_checked(PREFIX.len()) {
            Some((start, rest)) if start.eq_ignore_ascii_case(PREFIX) => rest,
            _ => path,
        };
        if rest.iter().any(|byte| matches!(byte, b':' | 0)) {
            return None;
        }
        let mut parts = Parts::default();
        for part in rest.split(|byte| matches!(byte, b'/' | b'\\')) {
            match part {
                b"" | b"." => {}
                b".." => parts.pop()?,
                part => parts.push(part)?,
            }
        }
        let found = without_global(parts.as_bytes());
        let mut path = PinPath {
            bytes: [0; PATH_BYTES],
            length: 0,
        };
        path.add(PREFIX)?;
        path.add(found)?;
        (!found.is_empty()).then_some(path)
    }

    /// Its bytes, UTF-8 as far as the caller gave UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn add(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length.checked_add(bytes.len())?;
        self.bytes.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }
}

/// Components, each behind a backslash. The leading folder that goes away again has room too.
struct Parts {
    bytes: [u8; PATH_BYTES + GLOBAL.len()],
    length: usize,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts {
            bytes: [0; PATH_BYTES + GLOBAL.len()],
            length: 0,
        }
    }
}

impl Parts {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, part: &[u8]) -> Option<()> {
        let start = self.length.checked_add(1)?;
        let end = start.checked_add(part.len())?;
        self.bytes.get_mut(start..end)?.copy_from_slice(part);
        self.bytes[self.length] = b'\\';
        self.length = end;
        Some(())
    }

    fn pop(&mut self) -> Option<()> {
        self.length = self.as_bytes().iter().rposition(|byte| *byte == b'\\')?;
        Some(())
    }
}

/// Components without the leading folder, which alone names itself.
fn without_global(parts: &[u8]) -> &[u8] {
    match parts.split_at_checked(GLOBAL.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(GLOBAL) && rest.starts_with(b"\\") => {
            rest
        }
        _ => parts,
    }
}
