//! Names of driver files, as the system tells them and as services write them.
//!
//! The system says `\??\C:\folder\x.sys` or `\SystemRoot\system32\drivers\x.sys`; a service's
//! `ImagePath` may say the same, a path of Win32, or one below the system's folder. Left out: links, short
//! names and case beyond ASCII; a service that uses them is not found and has no settings.

/// Where a name begins.
#[derive(PartialEq, Eq)]
enum Root {
    /// At a drive or device.
    Absolute,
    /// At the folder of the system.
    System,
}

/// Whether two names mean the same file.
#[must_use]
pub fn same_file(left: &[u16], right: &[u16]) -> bool {
    let ((left_root, left), (right_root, right)) = (split(left), split(right));
    let (left, right) = match (left_root, right_root) {
        (Root::System, Root::Absolute) => (left, below_system(right)),
        (Root::Absolute, Root::System) => (below_system(left), right),
        _ => (left, right),
    };
    !left.is_empty()
        && left.len() == right.len()
        && left.iter().zip(right).all(|(a, b)| fold(*a) == fold(*b))
}

/// The root of a name and the rest of it.
fn split(name: &[u16]) -> (Root, &[u16]) {
    for prefix in ["\\SystemRoot\\", "%SystemRoot%\\"] {
        if let Some(rest) = without(name, prefix) {
            return (Root::System, rest);
        }
    }
    let rest = without(name, "\\??\\").unwrap_or(name);
    let is_absolute = match rest {
        [first, ..] if *first == u16::from(b'\\') => true,
        [_, second, ..] => *second == u16::from(b':'),
        _ => false,
    };
    let root = if is_absolute {
        Root::Absolute
    } else {
        Root::System
    };
    (root, rest)
}

/// The part of an absolute name below `X:\Windows`, empty when it lies elsewhere.
fn below_system(name: &[u16]) -> &[u16] {
    let folder = name.get(1..).and_then(|rest| without(rest, ":\\Windows\\"));
    folder.unwrap_or(&[])
}

/// What follows a beginning in ASCII.
fn without<'a>(name: &'a [u16], prefix: &str) -> Option<&'a [u16]> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    let mut fits = prefix.bytes().zip(start);
    fits.all(|(byte, unit)| fold(u16::from(byte)) == fold(*unit))
        .then_some(rest)
}

fn fold(unit: u16) -> u16 {
    match u8::try_from(unit) {
        Ok(byte) => u16::from(byte.to_ascii_uppercase()),
        Err(_) => unit,
    }
}

#[cfg(test)]
mod tests {
    use super::same_file;
    use alloc::vec::Vec;

    fn same(left: &str, right: &str) -> bool {
        let units = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
        let (left, right) = (units(left), units(right));
        assert_eq!(same_file(&left, &right), same_file(&right, &left));
        same_file(&left, &right)
    }

    #[test]
    fn a_file_has_many_names() {
        let system = r"\SystemRoot\system32\drivers\x.sys";
        for name in [
            r"\systemroot\System32\drivers\X.SYS",
            r"%SystemRoot%\system32\drivers\x.sys",
            r"system32\drivers\x.sys",
            r"\??\C:\Windows\system32\drivers\x.sys",
            r"c:\windows\system32\drivers\x.sys",
        ] {
            assert!(same(system, name), "{name}");
        }
        assert!(same(r"\??\Z:\a b\x.sys", r"z:\A B\x.sys"));
        assert!(same(
            r"\Device\HarddiskVolume3\x.sys",
            r"\device\harddiskvolume3\x.sys"
        ));
    }

    #[test]
    fn other_files_have_other_names() {
        let system = r"\SystemRoot\system32\drivers\x.sys";
        for name in [
            "",
            "x.sys",
            r"\??\",
            r"\??\C:\Windows\system32\drivers\y.sys",
            r"\??\C:\Elsewhere\system32\drivers\x.sys",
            r"C:\Windows\system32\drivers\x.sys.bak",
        ] {
            assert!(!same(system, name), "{name}");
        }
        assert!(!same("", ""), "no name is no file");
        assert!(!same("é.sys", "É.sys"), "case is compared in ASCII only");
    }
}
