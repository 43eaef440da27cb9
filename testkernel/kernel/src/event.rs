//! Socket events: one question to one layer, with the values that a test gives.

use crate::irql;
use crate::machine::{Machine, violation};
use crate::raw::classify::{Subject, classify};
use crate::raw::fwps::{Redirect, flow_deleted};
use crate::wire::{Reader, Writer};
use std::sync::Arc;
use wdk::fwp::{
    IncomingMetadata, IncomingValues, METADATA_COMPARTMENT_ID, METADATA_FLOW, METADATA_PROCESS_ID,
    METADATA_PROCESS_PATH, TYPE_BYTE_ARRAY16, TYPE_BYTE_BLOB, TYPE_UINT8, TYPE_UINT16, TYPE_UINT32,
    TYPE_UINT64, Value, layer,
};

/// Most values of a layer.
const FIELDS: u16 = 64;
/// Bytes of a `SOCKADDR_STORAGE`.
const ADDRESS_BYTES: usize = 128;
/// Where the remote address stands in a connect request, and how long the request is.
const REMOTE_AT: usize = ADDRESS_BYTES;
const REQUEST_BYTES: usize = 312;

/// A value of a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Field {
    /// 8 bits.
    U8(u8),
    /// 16 bits.
    U16(u16),
    /// 32 bits.
    U32(u32),
    /// 64 bits.
    U64(u64),
    /// An address of IPv6.
    Bytes16([u8; 16]),
    /// Any bytes.
    Blob(Vec<u8>),
}

/// A question to a layer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Event {
    /// Number of the layer.
    pub layer: u16,
    /// Values by field number; the others are empty.
    pub values: Vec<(u16, Field)>,
    /// Process, compartment, flow; 0 where unknown.
    pub process: u64,
    /// Routing compartment; 0 where unknown.
    pub compartment: u32,
    /// The flow; 0 where there is none.
    pub flow: u64,
    /// Path of the program; empty where unknown.
    pub path: Vec<u8>,
    /// At redirect layers, local and remote address as `SOCKADDR`.
    pub request: Option<(Vec<u8>, Vec<u8>)>,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// Whether it is refused.
    pub is_blocked: bool,
    /// Whether others have no say.
    pub is_hard: bool,
    /// The remote address, where a callout changed it.
    pub remote: Option<Vec<u8>>,
}

/// Memory that values point at; it stays where it is while the lists grow.
#[derive(Default)]
struct Store {
    words: Vec<Box<[u64]>>,
    bytes: Vec<Vec<u8>>,
}

fn address<T: ?Sized>(value: &T) -> u64 {
    std::ptr::from_ref(value).cast::<u8>().expose_provenance() as u64
}

impl Store {
    fn words(&mut self, words: &[u64]) -> u64 {
        let words: Box<[u64]> = words.into();
        let at = address(&*words);
        self.words.push(words);
        at
    }

    /// A `FWP_BYTE_BLOB`: length and address.
    fn blob(&mut self, bytes: &[u8]) -> u64 {
        let bytes = bytes.to_vec();
        let blob = [bytes.len() as u64, address(&bytes[..])];
        self.bytes.push(bytes);
        self.words(&blob)
    }

    fn value(&mut self, field: &Field) -> Value {
        let (kind, value) = match field {
            Field::U8(value) => (TYPE_UINT8, u64::from(*value)),
            Field::U16(value) => (TYPE_UINT16, u64::from(*value)),
            Field::U32(value) => (TYPE_UINT32, u64::from(*value)),
            Field::U64(value) => (TYPE_UINT64, self.words(&[*value])),
            Field::Bytes16(bytes) => {
                let words = bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|word| u64::from_le_bytes(*word));
                (TYPE_BYTE_ARRAY16, self.words(&words.collect::<Vec<u64>>()))
            }
            Field::Blob(bytes) => (TYPE_BYTE_BLOB, self.blob(bytes)),
        };
        Value {
            kind,
            reserved: 0,
            value,
        }
    }
}

/// Asks.
#[must_use]
pub fn ask(machine: &Arc<Machine>, event: &Event) -> Answer {
    let mut store = Store::default();
    let count = event.values.iter().map(|(at, _)| at + 1).max().unwrap_or(0);
    let mut values = vec![Value::default(); usize::from(count)];
    for (at, field) in &event.values {
        values[usize::from(*at)] = store.value(field);
    }
    let incoming = IncomingValues {
        layer: event.layer,
        reserved: 0,
        count: u32::from(count),
        values: address(&values[..]),
    };
    let metadata = metadata(event, &mut store);
    let mut request = Box::new([0u64; REQUEST_BYTES / 8]);
    fill_request(&mut request, event);
    let at = (&raw mut *request).expose_provenance() as u64;
    let mut redirect = Redirect {
        request: at,
        handles: 0,
        applied: 0,
    };
    let context = (&raw mut redirect).expose_provenance() as u64;
    let subject = Subject {
        values: &incoming,
        metadata: &metadata,
        data: 0,
        context: if event.request.is_some() { context } else { 0 },
        level: level(event.layer),
    };
    if event.flow != 0 && is_flow(event.layer) {
        machine.engine.flows.begin(event.flow);
    }
    let plan = machine.engine.plan(event.layer);
    let verdict = machine.enter(|| classify(&plan, &subject));
    if redirect.handles != 0 {
        machine.enter(|| violation(|| "a classify handle is not released".to_owned()));
    }
    Answer {
        is_blocked: verdict.is_blocked,
        is_hard: verdict.is_hard,
        remote: (redirect.applied != 0).then(|| remote(&request)),
    }
}

/// Ends a flow: callouts with contexts are told.
pub fn end_flow(machine: &Arc<Machine>, flow: u64) {
    machine.enter(|| {
        for ((layer, callout), context) in machine.engine.flows.end(flow) {
            flow_deleted(layer, callout, context);
        }
    });
}

fn is_flow(of: u16) -> bool {
    [layer::AleFlowEstablishedV4, layer::AleFlowEstablishedV6].contains(&of)
}

/// Flows are reported by the packet that makes them; the rest by the thread that calls.
fn level(of: u16) -> u8 {
    if is_flow(of) {
        irql::DISPATCH
    } else {
        irql::PASSIVE
    }
}

fn metadata(event: &Event, store: &mut Store) -> IncomingMetadata {
    let mut metadata = IncomingMetadata {
        flow: event.flow,
        process_id: event.process,
        compartment_id: event.compartment,
        ..IncomingMetadata::default()
    };
    let mut known = |is_known: bool, bit: u32| metadata.present |= if is_known { bit } else { 0 };
    known(event.flow != 0, METADATA_FLOW);
    known(event.process != 0, METADATA_PROCESS_ID);
    known(event.compartment != 0, METADATA_COMPARTMENT_ID);
    known(!event.path.is_empty(), METADATA_PROCESS_PATH);
    if !event.path.is_empty() {
        metadata.process_path = store.blob(&event.path);
    }
    metadata
}

fn fill_request(request: &mut [u64; REQUEST_BYTES / 8], event: &Event) {
    let Some((local, remote)) = &event.request else {
        return;
    };
    let mut bytes = [0; REQUEST_BYTES];
    for (at, address) in [(0, local), (REMOTE_AT, remote)] {
        let len = address.len().min(ADDRESS_BYTES);
        bytes[at..at + len].copy_from_slice(&address[..len]);
    }
    for (word, bytes) in request.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
}

fn remote(request: &[u64; REQUEST_BYTES / 8]) -> Vec<u8> {
    let words = &request[REMOTE_AT / 8..REMOTE_AT / 8 + ADDRESS_BYTES / 8];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

impl Event {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.number(u64::from(self.layer)).number(self.process);
        writer
            .number(u64::from(self.compartment))
            .number(self.flow)
            .bytes(&self.path);
        writer.number(u64::from(self.request.is_some()));
        if let Some((local, remote)) = &self.request {
            writer.bytes(local).bytes(remote);
        }
        writer.number(self.values.len() as u64);
        for (at, field) in &self.values {
            let (kind, bytes) = match field {
                Field::U8(value) => (1, value.to_le_bytes().to_vec()),
                Field::U16(value) => (2, value.to_le_bytes().to_vec()),
                Field::U32(value) => (3, value.to_le_bytes().to_vec()),
                Field::U64(value) => (4, value.to_le_bytes().to_vec()),
                Field::Bytes16(bytes) => (5, bytes.to_vec()),
                Field::Blob(bytes) => (6, bytes.clone()),
            };
            writer.number(u64::from(*at)).number(kind).bytes(&bytes);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Event> {
        let mut event = Event {
            layer: reader.small()?,
            process: reader.number()?,
            compartment: reader.small()?,
            flow: reader.number()?,
            path: reader.bytes()?.to_vec(),
            ..Event::default()
        };
        if reader.number()? != 0 {
            event.request = Some((reader.bytes()?.to_vec(), reader.bytes()?.to_vec()));
        }
        event.values = reader.list(|reader| {
            let at = reader.small().filter(|at| *at < FIELDS)?;
            let kind = reader.number()?;
            let bytes = reader.bytes()?;
            let field = match kind {
                1 => Field::U8(u8::from_le_bytes(bytes.try_into().ok()?)),
                2 => Field::U16(u16::from_le_bytes(bytes.try_into().ok()?)),
                3 => Field::U32(u32::from_le_bytes(bytes.try_into().ok()?)),
                4 => Field::U64(u64::from_le_bytes(bytes.try_into().ok()?)),
                5 => Field::Bytes16(bytes.try_into().ok()?),
                6 => Field::Blob(bytes.to_vec()),
                _ => return None,
            };
            Some((at, field))
        })?;
        Some(event)
    }
}

impl Answer {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer
            .number(u64::from(self.is_blocked))
            .number(u64::from(self.is_hard));
        writer.number(u64::from(self.remote.is_some()));
        if let Some(remote) = &self.remote {
            writer.bytes(remote);
        }
        writer.0
    }

    /// From the reply to a request.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Answer> {
        let mut reader = Reader(bytes);
        let (is_blocked, is_hard) = (reader.number()? != 0, reader.number()? != 0);
        let remote = match reader.number()? {
            0 => None,
            _ => Some(reader.bytes()?.to_vec()),
        };
        Some(Answer {
            is_blocked,
            is_hard,
            remote,
        })
    }
}
