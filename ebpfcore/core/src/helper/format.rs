//! Text of `bpf_printk`: the few conversions that the platforms allow, into a bounded line.

use core::fmt::Write;

/// Longest line; what is beyond is cut off.
const LINE_BYTES: usize = 512;
/// Lengths of a text with its terminator that Windows accepts.
const TEXT_BYTES: core::ops::RangeInclusive<usize> = 2..=511;

/// A line being built.
pub struct Line {
    bytes: [u8; LINE_BYTES],
    used: usize,
}

impl Default for Line {
    fn default() -> Self {
        Line {
            bytes: [0; LINE_BYTES],
            used: 0,
        }
    }
}

impl Line {
    /// What was written so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.used]
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.used) {
            *slot = byte;
            self.used += 1;
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

/// The text is not one that the platform accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadFormat;

/// Windows: `%d %i %u %x` with `l` or `ll`, exactly as many as there are arguments.
///
/// # Errors
///
/// [`BadFormat`], and nothing useful in the line.
pub fn windows(text: &[u8], args: &[u64], line: &mut Line) -> Result<(), BadFormat> {
    if !TEXT_BYTES.contains(&text.len()) {
        return Err(BadFormat);
    }
    let mut args = args.iter().copied();
    expand(text, line, |long, conversion, line| {
        let allowed = matches!(conversion, b'd' | b'i' | b'u' | b'x');
        let value = args.next().filter(|_| allowed).ok_or(BadFormat)?;
        number(long, conversion, value, line)
    })?;
    if args.next().is_some() {
        return Err(BadFormat);
    }
    Ok(())
}

/// Linux: the same and `%c %p %s %X`; unused arguments are ignored. Strings are not read: their
/// address is printed.
///
/// # Errors
///
/// [`BadFormat`] for other conversions or too few arguments.
pub fn linux(text: &[u8], args: &[u64], line: &mut Line) -> Result<(), BadFormat> {
    let mut args = args.iter().copied();
    expand(text, line, |long, conversion, line| {
        let value = args.next().ok_or(BadFormat)?;
        match conversion {
            b'c' => line.push(value as u8),
            b'p' | b's' => _ = write!(line, "{value:#x}"),
            _ => number(long, conversion, value, line)?,
        }
        Ok(())
    })
}

/// How wide a conversion is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Long {
    No,
    Yes,
}

fn expand(
    text: &[u8],
    line: &mut Line,
    mut convert: impl FnMut(Long, u8, &mut Line) -> Result<(), BadFormat>,
) -> Result<(), BadFormat> {
    let end = text.iter().position(|byte| *byte == 0);
    let mut rest = text[..end.unwrap_or(text.len())].iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            line.push(byte);
            continue;
        }
        let mut conversion = rest.next().ok_or(BadFormat)?;
        if conversion == b'%' {
            line.push(b'%');
            continue;
        }
        let mut long = Long::No;
        for _ in 0..2 {
            if conversion == b'l' {
                long = Long::Yes;
                conversion = rest.next().ok_or(BadFormat)?;
            }
        }
        convert(long, conversion, line)?;
    }
    Ok(())
}

fn number(long: Long, conversion: u8, value: u64, line: &mut Line) -> Result<(), BadFormat> {
    // Writing to a line cannot fail.
    let _ = match (conversion, long) {
        (b'd' | b'i', Long::Yes) => write!(line, "{}", value as i64),
        (b'd' | b'i', Long::No) => write!(line, "{}", value as i32),
        (b'u', Long::Yes) => write!(line, "{value}"),
        (b'u', Long::No) => write!(line, "{}", value as u32),
        (b'x', Long::Yes) => write!(line, "{value:x}"),
        (b'x', Long::No) => write!(line, "{:x}", value as u32),
        (b'X', Long::Yes) => write!(line, "{value:X}"),
        (b'X', Long::No) => write!(line, "{:X}", value as u32),
        _ => return Err(BadFormat),
    };
    Ok(())
}
