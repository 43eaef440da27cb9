//! Maps: single elements, batches, keys, rings.

use crate::encode::answer;
use crate::handle::OwnedHandle;
use crate::{Cause, Client, Error, MapInfo, Program, info};
use abi::ioctl::{Handle, MESSAGE_BYTES, MapDefinition, Request};
use abi::result::EbpfResult;
use std::sync::Arc;

/// Bytes of a batch message in front of the elements, at most.
const BATCH_HEADER: usize = 20;

/// A map of the runtime. Clones share its handle.
#[derive(Clone, Debug)]
pub struct Map {
    pub(crate) handle: Arc<OwnedHandle>,
    info: Arc<MapInfo>,
}

/// A map to make.
#[derive(Clone, Copy, Debug)]
pub struct MapSpec<'a> {
    /// Its name.
    pub name: &'a str,
    /// Number of its type; `abi::map` has the table.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most elements; bytes of a ring.
    pub max_entries: u32,
    /// Template of the maps inside.
    pub inner: Option<&'a Map>,
}

/// What an update does about keys that are there, or are not. The discriminants are libbpf's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u32)]
pub enum Update {
    /// Puts the value in any case.
    #[default]
    Any = 0,
    /// Only adds keys.
    NoExist = 1,
    /// Only replaces values; a queue or stack drops its oldest element when it is full.
    Exist = 2,
}

/// Keys and values, in no order.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Whether what is found stays in the map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Taking {
    Copy,
    Remove,
}

impl Client {
    /// Makes a map.
    ///
    /// # Errors
    /// The definition does not fit the type, or memory is exhausted.
    pub fn create_map(&self, spec: &MapSpec<'_>) -> Result<Map, Error> {
        let inner = spec.inner;
        let request = Request::CreateMap {
            definition: MapDefinition {
                map_type: spec.map_type,
                key_size: spec.key_size,
                value_size: spec.value_size,
                max_entries: spec.max_entries,
                inner_map_id: inner.map_or(0, Map::id),
                pinning: 0,
            },
            inner_map_handle: inner.map_or(Handle::INVALID, Map::handle),
            data: spec.name.as_bytes(),
        };
        let handle = self.ask(
            &request,
            |reply| answer!(reply, CreateMap { handle } => handle),
        );
        Map::of_handle(self.own(handle, || format!("create map {}", spec.name))?)
    }
}

impl Map {
    pub(crate) fn of_handle(handle: OwnedHandle) -> Result<Map, Error> {
        let info = info::map(&handle)?;
        Ok(Map {
            handle: Arc::new(handle),
            info: Arc::new(info),
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.info.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// Its definition, as it was when this value was made; [`Map::info`] asks again.
    #[must_use]
    pub fn definition(&self) -> &MapInfo {
        &self.info
    }

    /// What the runtime says about it now.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub fn info(&self) -> Result<MapInfo, Error> {
        info::map(&self.handle)
    }

    /// Bytes of a value as this process sees it: per-CPU maps have one for each processor, each padded
    /// to 8 bytes.
    #[must_use]
    pub fn value_size(&self) -> usize {
        self.info.user_value_size(self.client().cpu_count())
    }

    /// Bytes of a key.
    #[must_use]
    pub fn key_size(&self) -> usize {
        self.info.key_size as usize
    }

    /// The value of a key. Maps of maps and of programs give ids.
    ///
    /// # Errors
    /// [`EbpfResult::KeyNotFound`] or [`EbpfResult::ObjectNotFound`] when there is none.
    pub fn lookup(&self, key: &[u8]) -> Result<Vec<u8>, Error> {
        self.find(key, Taking::Copy)
    }

    /// The value of a key, `None` when there is none.
    ///
    /// # Errors
    /// Anything else.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.lookup(key) {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a value out. Queues and stacks have empty keys.
    ///
    /// # Errors
    /// As [`Map::lookup`].
    pub fn take(&self, key: &[u8]) -> Result<Vec<u8>, Error> {
        self.find(key, Taking::Remove)
    }

    fn find(&self, key: &[u8], taking: Taking) -> Result<Vec<u8>, Error> {
        self.check_key(key, "look up")?;
        let request = Request::MapFindElement {
            handle: self.handle(),
            find_and_delete: taking == Taking::Remove,
            key,
        };
        let room = self.value_size().saturating_add(8).min(MESSAGE_BYTES);
        let found = self.client().ask_for(
            &request,
            room,
            |reply| answer!(reply, MapFindElement { value } => value.to_vec()),
        );
        found.map_err(|error| self.failed(error, "look up a key"))
    }

    /// Stores a value.
    ///
    /// # Errors
    /// The map is full, the key is there or is not, or the sizes do not fit.
    pub fn update(&self, key: &[u8], value: &[u8], update: Update) -> Result<(), Error> {
        self.check_key(key, "update")?;
        if value.len() != self.value_size() {
            let problem = format!(
                "the value has {} bytes, not {}",
                value.len(),
                self.value_size()
            );
            return Err(Error::input(format!("update map {}", self.name()), problem));
        }
        let request = Request::MapUpdateElement {
            handle: self.handle(),
            option: update as u32,
            data: &[key, value].concat(),
        };
        let told = self.client().tell(&request);
        told.map_err(|error| self.failed(error, "update a key"))
    }

    /// Stores a program in a map of programs.
    ///
    /// # Errors
    /// The program is of another type than those in the map, or the index is out of range.
    pub fn set_program(&self, key: &[u8], program: &Program) -> Result<(), Error> {
        self.set_handle(key, program.handle(), "store a program")
    }

    /// Stores a map in a map of maps.
    ///
    /// # Errors
    /// The map is not like the template, or the index is out of range.
    pub fn set_map(&self, key: &[u8], map: &Map) -> Result<(), Error> {
        self.set_handle(key, map.handle(), "store a map")
    }

    fn set_handle(&self, key: &[u8], value: Handle, doing: &str) -> Result<(), Error> {
        self.check_key(key, "update")?;
        let request = Request::MapUpdateElementWithHandle {
            map_handle: self.handle(),
            value_handle: value,
            option: Update::Any as u32,
            key,
        };
        let told = self.client().tell(&request);
        told.map_err(|error| self.failed(error, doing))
    }

    /// Removes a key.
    ///
    /// # Errors
    /// There is no such key.
    pub fn delete(&self, key: &[u8]) -> Result<(), Error> {
        self.check_key(key, "delete from")?;
        let request = Request::MapDeleteElement {
            handle: self.handle(),
            key,
        };
        let told = self.client().tell(&request);
        told.map_err(|error| self.failed(error, "delete a key"))
    }

    /// The key after another, or the first one; `None` at the end. A key that is not there any more
    /// counts as none.
    ///
    /// # Errors
    /// Maps without keys have none.
    pub fn next_key(&self, previous: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let request = Request::MapGetNextKey {
            handle: self.handle(),
            previous_key: previous.unwrap_or_default(),
        };
        let next = self.client().ask(
            &request,
            |reply| answer!(reply, MapGetNextKey { next_key } => next_key.to_vec()),
        );
        match next {
            Ok(key) => Ok(Some(key)),
            Err(error) if error.is(EbpfResult::NoMoreKeys) => Ok(None),
            Err(error) => Err(self.failed(error, "list keys")),
        }
    }

    /// All keys. Keys that others add or remove meanwhile may be there or not; a listing that is
    /// restarted by that ends after as many keys as the map can have.
    ///
    /// # Errors
    /// As [`Map::next_key`].
    pub fn keys(&self) -> Result<Vec<Vec<u8>>, Error> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        while let Some(key) = self.next_key(keys.last().map(Vec::as_slice))? {
            if !seen.insert(key.clone()) {
                break;
            }
            keys.push(key);
        }
        Ok(keys)
    }

    /// All keys and values, many with each message.
    ///
    /// # Errors
    /// Maps without keys have none.
    pub fn entries(&self) -> Result<Entries, Error> {
        self.all(Taking::Copy)
    }

    /// Takes all keys and values out.
    ///
    /// # Errors
    /// As [`Map::entries`].
    pub fn take_all(&self) -> Result<Entries, Error> {
        self.all(Taking::Remove)
    }

    fn all(&self, taking: Taking) -> Result<Entries, Error> {
        let mut entries: Entries = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        loop {
            let previous = match taking {
                Taking::Copy => entries.last().map(|(key, _)| key.as_slice()),
                Taking::Remove => None,
            };
            let batch = self.batch(previous, usize::MAX, taking)?;
            let before = entries.len();
            // A key that comes again means that the listing was restarted.
            let new = |(key, _): &(Vec<u8>, Vec<u8>)| {
                taking == Taking::Remove || seen.insert(key.clone())
            };
            entries.extend(batch.into_iter().filter(new));
            if entries.len() == before {
                return Ok(entries);
            }
        }
    }

    /// Keys and values after a key, as many as fit into a message and are wanted; none at the end.
    ///
    /// # Errors
    /// Maps without keys have none.
    pub fn next_entries(&self, after: Option<&[u8]>, most: usize) -> Result<Entries, Error> {
        self.batch(after, most, Taking::Copy)
    }

    /// The same, and takes them out.
    ///
    /// # Errors
    /// As [`Map::next_entries`].
    pub fn take_next(&self, after: Option<&[u8]>, most: usize) -> Result<Entries, Error> {
        self.batch(after, most, Taking::Remove)
    }

    fn batch(&self, after: Option<&[u8]>, most: usize, taking: Taking) -> Result<Entries, Error> {
        let (key, value) = (self.key_size(), self.value_size());
        let pair = key.saturating_add(value);
        if pair == 0 || most == 0 {
            return Ok(Vec::new());
        }
        let request = Request::MapGetNextKeyValueBatch {
            handle: self.handle(),
            find_and_delete: taking == Taking::Remove,
            previous_key: after.unwrap_or_default(),
        };
        let room = pair.saturating_mul(most).saturating_add(8);
        let reply = self.client().ask_for(
            &request,
            room.min(MESSAGE_BYTES),
            |reply| answer!(reply, MapGetNextKeyValueBatch { data } => data.to_vec()),
        );
        let data = match reply {
            Ok(data) => data,
            Err(error) if error.is(EbpfResult::NoMoreKeys) => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(error, "list entries")),
        };
        let entry = |pair: &[u8]| {
            let (key, value) = pair.split_at(key);
            (key.to_vec(), value.to_vec())
        };
        Ok(data.chunks_exact(pair).map(entry).collect())
    }

    /// Stores several values; gives how many were stored, which is less when one fails.
    ///
    /// # Errors
    /// The first one fails, or the sizes do not fit.
    pub fn update_batch<'e>(
        &self,
        entries: impl IntoIterator<Item = (&'e [u8], &'e [u8])>,
        update: Update,
    ) -> Result<usize, Error> {
        let mut elements = Vec::new();
        for (key, value) in entries {
            if key.len() != self.key_size() || value.len() != self.value_size() {
                let problem = "the sizes of a key or value do not fit";
                return Err(Error::input(format!("update map {}", self.name()), problem));
            }
            elements.push([key, value].concat());
        }
        self.in_batches(&elements, |data| {
            let request = Request::MapUpdateElementBatch {
                handle: self.handle(),
                option: update as u32,
                data,
            };
            self.client().ask(&request, |reply| {
                answer!(reply, MapUpdateElementBatch { count_of_elements_processed }
                    => count_of_elements_processed)
            })
        })
    }

    /// Removes several keys; gives how many were removed, which is less when one fails.
    ///
    /// # Errors
    /// The first one fails, or the sizes do not fit.
    pub fn delete_batch<'e>(
        &self,
        keys: impl IntoIterator<Item = &'e [u8]>,
    ) -> Result<usize, Error> {
        let keys: Vec<Vec<u8>> = keys.into_iter().map(<[u8]>::to_vec).collect();
        keys.iter()
            .try_for_each(|key| self.check_key(key, "delete from"))?;
        self.in_batches(&keys, |keys| {
            let request = Request::MapDeleteElementBatch {
                handle: self.handle(),
                keys,
            };
            self.client().ask(&request, |reply| {
                answer!(reply, MapDeleteElementBatch { count_of_elements_processed }
                    => count_of_elements_processed)
            })
        })
    }

    /// Sends elements of one size in messages that are as long as possible.
    fn in_batches(
        &self,
        elements: &[Vec<u8>],
        send: impl Fn(&[u8]) -> Result<u32, Error>,
    ) -> Result<usize, Error> {
        let size = elements.first().map_or(1, Vec::len).max(1);
        let most = ((MESSAGE_BYTES - BATCH_HEADER) / size).max(1);
        let mut done = 0;
        for batch in elements.chunks(most) {
            let count = match send(&batch.concat()) {
                Ok(count) => count as usize,
                Err(error) if done == 0 => return Err(self.failed(error, "change entries")),
                Err(_) => return Ok(done),
            };
            done += count;
            if count < batch.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Writes a record into a ring buffer, or into the ring of this processor of a perf event array.
    ///
    /// # Errors
    /// The ring is full, or the map has none.
    pub fn write_record(&self, data: &[u8]) -> Result<(), Error> {
        /// The processor that asks.
        const CURRENT: u64 = u32::MAX as u64;
        let kind = self.info.row().map(|row| row.kind);
        let request = Request::MapWriteData {
            map_handle: self.handle(),
            flags: match kind {
                Some(abi::MapKind::PerfEventArray) => CURRENT,
                _ => 0,
            },
            data,
        };
        let told = self.client().tell(&request);
        told.map_err(|error| self.failed(error, "write a record"))
    }

    /// Has an event set whenever a ring has records ([`crate::WaitEvent`]), `None` for none any more. A
    /// ring has one event: it replaces what was there. Ring buffers have ring 0, perf event arrays one
    /// for each processor.
    ///
    /// # Errors
    /// It is no event, or the map has no such ring.
    pub fn set_wait_handle(&self, index: u64, event: Option<Handle>) -> Result<(), Error> {
        let told = self.client().tell(&Request::MapSetWaitHandle {
            map_handle: self.handle(),
            wait_handle: event.unwrap_or(Handle::INVALID),
            index,
            flags: 0,
        });
        told.map_err(|error| self.failed(error, "set an event"))
    }

    fn check_key(&self, key: &[u8], doing: &str) -> Result<(), Error> {
        if key.len() == self.key_size() {
            return Ok(());
        }
        let problem = format!("the key has {} bytes, not {}", key.len(), self.key_size());
        Err(Error::input(
            format!("{doing} map {}", self.name()),
            problem,
        ))
    }

    pub(crate) fn failed(&self, error: Error, doing: &str) -> Error {
        error.while_doing(format!("{doing} (map {}, id {})", self.name(), self.id()))
    }
}

/// There is no such key or element.
fn is_missing(error: &Error) -> bool {
    use EbpfResult::{KeyNotFound, ObjectNotFound};
    matches!(error.cause(), Cause::Runtime(KeyNotFound | ObjectNotFound))
}
