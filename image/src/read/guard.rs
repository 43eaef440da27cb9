//! The load configuration, as far as control flow guard and the stack cookie need it.

use super::{Malformed, Pe, directory};

/// GuardFlags: a table of valid call targets is present.
const FUNCTION_TABLE_PRESENT: u32 = 0x400;
/// Most call targets read.
const TARGETS: u64 = 1 << 20;

/// Selected fields; pointers as stored in the file (preferred base).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LoadConfig {
    /// Size that the structure itself claims.
    pub size: u32,
    /// Address of the stack cookie.
    pub security_cookie: u64,
    /// Address of the table of valid call targets.
    pub guard_table: u64,
    /// Number of entries.
    pub guard_count: u64,
    /// GuardFlags.
    pub guard_flags: u32,
}

impl Pe<'_> {
    /// The load configuration, if there is one.
    ///
    /// # Errors
    /// It does not lie in the file.
    pub fn load_config(&self) -> Result<Option<LoadConfig>, Malformed> {
        let at = self.directory(directory::LOAD_CONFIG);
        if !at.is_present() {
            return Ok(None);
        }
        let problem = "it does not lie in the file";
        let malformed = Malformed {
            what: "load configuration",
            at: at.rva,
            problem,
        };
        let size = self.u32(at.rva).ok_or(malformed)?;
        // Older structures are shorter: fields past the end count as zero.
        let u64_at = |offset: u32| match offset + 8 <= size {
            true => self.u64(at.rva.saturating_add(offset)).ok_or(malformed),
            false => Ok(0),
        };
        Ok(Some(LoadConfig {
            size,
            security_cookie: u64_at(0x58)?,
            guard_table: u64_at(0x80)?,
            guard_count: u64_at(0x88)?,
            guard_flags: u64_at(0x90)? as u32,
        }))
    }

    /// RVAs of the valid call targets in the order of the table.
    ///
    /// # Errors
    /// The table is announced but does not lie in the file.
    pub fn guard_targets(&self, config: &LoadConfig) -> Result<Vec<u32>, Malformed> {
        if config.guard_flags & FUNCTION_TABLE_PRESENT == 0 {
            return Ok(Vec::new());
        }
        let at = self.rva_of_address(config.guard_table).unwrap_or(0);
        let malformed = |problem| Malformed {
            what: "guard function table",
            at,
            problem,
        };
        let stride = 4 + (config.guard_flags >> 28);
        if config.guard_count > TARGETS {
            return Err(malformed("it is too long"));
        }
        let len = config.guard_count as u32 * stride;
        let bytes = self
            .slice(at, len)
            .ok_or(malformed("it does not lie in the file"))?;
        let target = |entry: &[u8]| u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        Ok(bytes.chunks_exact(stride as usize).map(target).collect())
    }
}
