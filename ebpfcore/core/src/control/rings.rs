//! Operations on ring buffers and perf event arrays: waiting for records, seeing them in place,
//! writing records.

use super::{Control, Pages, Section, Session, objects::Object};
use crate::{
    Map, Shared, Status,
    map::ring::{Part, Ring},
    pin::ObjectKind,
};
use abi::ioctl::{Handle, Reply};

/// Bytes of the answer to a query.
const QUERY_BYTES: usize = 32;
/// Low half of the flags of a record for a perf event array: the processor that asks.
const CURRENT_CPU: u32 = u32::MAX;

impl Control {
    /// Gives up a request that was pended: true when it was waiting, and the shell completes it
    /// now; false when it was or is being completed. IRQL: PASSIVE.
    #[must_use]
    pub fn cancel(&self, ticket: u64) -> bool {
        let mut after = 0;
        while let Ok(id) = self.next_id(after, ObjectKind::Map) {
            after = id;
            let map = match self.lock().get(id).map(|entry| &entry.object) {
                Ok(Object::Map(map)) => map.clone(),
                _ => continue,
            };
            if map.rings().iter().any(|ring| ring.waiters.take(ticket)) {
                return true;
            }
        }
        false
    }
}

impl Session<'_> {
    /// Takes what the consumer has read, and answers once there is more.
    pub(super) fn query_ring(
        self,
        handle: Handle,
        index: u32,
        consumed: u64,
    ) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let ring = map.ring(u64::from(index))?;
        let platform = self.control.core.platform();
        self.check_room(QUERY_BYTES)?;
        ring.consume_to(platform, consumed)?;
        if ring.is_ready() {
            return self.reply(&ring.positions().reply());
        }
        let ticket = self.client.pend().ok_or(Status::OperationNotSupported)?;
        if let Err(status) = ring.waiters.add(ticket) {
            platform.complete(ticket, Err(status));
            return Err(Status::Pending);
        }
        // What happened before it was registered told nobody.
        if self.client.is_cancelled() && ring.waiters.take(ticket) {
            platform.complete(ticket, Err(Status::Canceled));
        }
        // An event that is told is not given up meanwhile.
        let _pinned = self.control.core.pin();
        ring.wake(platform);
        Err(Status::Pending)
    }

    /// Sets an event whenever there are records; an invalid handle takes it away.
    pub(super) fn set_wait_handle(
        self,
        handle: Handle,
        event: Handle,
        (index, flags): (u64, u64),
    ) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let ring = map.ring(index)?;
        if flags != 0 {
            return Err(Status::InvalidArgument);
        }
        let core = &self.control.core;
        let event = match event {
            Handle::INVALID => 0,
            event => self.control.shell.event(event)?,
        };
        ring.waiters.set_event(core, event);
        let pinned = core.pin();
        ring.wake(core.platform());
        drop(pinned);
        self.done()
    }

    /// Writes a record from user mode.
    pub(super) fn write_record(
        self,
        handle: Handle,
        flags: u64,
        data: &[u8],
    ) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let core = &self.control.core;
        let platform = core.platform();
        let is_array = map.rings().len() > 1 || map.definition().kind == PERF;
        let index = match flags {
            0 if !is_array => 0,
            flags if is_array && flags >> 32 == 0 => match flags as u32 {
                CURRENT_CPU => platform.current_cpu(),
                cpu => cpu,
            },
            _ => return Err(Status::InvalidArgument),
        };
        map.put_record(u64::from(index), data)?;
        self.done()
    }

    /// Shows the records of a ring to the caller, to read them in place.
    pub(super) fn query_buffer(self, handle: Handle, index: u32) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let index = u64::from(index);
        let (buffer_address, _) = self.show(handle, (&map, index), Section::Data)?;
        let consumer_offset = map.ring(index)?.positions().consumer;
        self.reply(&Reply::MapQueryBuffer {
            buffer_address,
            consumer_offset,
        })
    }

    /// Shows a part of a ring to the caller.
    pub(super) fn map_buffer(
        self,
        handle: Handle,
        index: u64,
        section: u32,
    ) -> Result<usize, Status> {
        let map = self.map(handle)?;
        let section = match section {
            0 => Section::Consumer,
            1 => Section::Producer,
            2 => Section::Data,
            _ => return Err(Status::InvalidArgument),
        };
        let (section_handle, view_size) = self.show(handle, (&map, index), section)?;
        self.reply(&Reply::RingBufferMapMapBuffer {
            section_handle,
            view_size,
        })
    }

    pub(super) fn unmap_buffer(self, handle: Handle, index: u64) -> Result<usize, Status> {
        self.map(handle)?.ring(index)?;
        self.client.hide(handle, index)?;
        self.done()
    }

    /// The caller's address of a part of a ring, and its bytes.
    fn show(
        &self,
        handle: Handle,
        (map, index): (&Shared<Map>, u64),
        section: Section,
    ) -> Result<(u64, u64), Status> {
        let ring: &Ring = map.ring(index)?;
        let (address, bytes) = ring.part(match section {
            Section::Consumer => Part::Consumer,
            Section::Producer => Part::Producer,
            Section::Data => Part::Records,
        });
        let pages = Pages {
            index,
            section,
            address,
            bytes,
        };
        Ok((self.client.show(handle, pages)?, bytes))
    }
}

/// Maps with a ring for each processor.
const PERF: abi::MapKind = abi::MapKind::PerfEventArray;
