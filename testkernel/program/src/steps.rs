//! Steps of one application: it uses the runtime as any other, through the client library.
//!
//! ```text
//! load FILE [runtime]     an object or a driver; with `runtime`, only the runtime verifies it
//! attach [NUMBER]         all programs that were loaded, to an interface or compartment
//! detach                  all of them
//! verdicts NAME CAPTURE   what a program says about each frame, by test runs
//! map NAME                entries of all maps of a name, key and value in hexadecimal digits
//! set NAME KEY VALUE      an entry
//! list                    what the runtime has
//! pin NAME PATH, unpin PATH
//! ask NAME                begins to wait for records of a ring buffer
//! record NAME BYTES       writes a record
//! read NAME               the records of a ring buffer, in place
//! short NAME              the same while each allocation of drivers fails once, in turn
//! plug                    a program that adds 5, at the hook of the sample extension
//! fire NUMBER             the event of the extension: the number afterwards, and each answer
//! cancel                  gives the waiting up
//! answer                  how the waiting ended
//! abandon FILE            makes the service of a driver and dies
//! hold                    stays until somebody ends the process
//! ```

use crate::device::Device;
use crate::frames;
use abi::ioctl::{Reply, Request};
use ebpfapi::{
    Answer, Client, Error, Link, Map, NewService, Object, OpenOptions, Program, RingBuffer, Run,
    Transport, Update, Waiting,
};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use testkernel::control;

/// How long an answer may take that has to come.
const ANSWER: Duration = Duration::from_secs(10);
/// Allocations that are made to fail; showing a ring needs fewer.
const MOST_ALLOCATIONS: u64 = 12;
/// Room for the answer of a query.
const ANSWER_BYTES: usize = 64;

/// What the application has.
struct Application {
    transport: Arc<dyn Transport>,
    client: Client,
    programs: Vec<Program>,
    maps: Vec<Map>,
    links: Vec<Link>,
    rings: Vec<RingBuffer>,
    waiting: Option<Box<dyn Waiting>>,
}

/// Does the steps, which `+` divides.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let transport = transport()?;
    let mut application = Application {
        client: Client::over(Arc::clone(&transport)),
        transport,
        programs: Vec::new(),
        maps: Vec::new(),
        links: Vec::new(),
        rings: Vec::new(),
        waiting: None,
    };
    for step in words.split(|word| *word == "+") {
        let text = application.step(step)?;
        print!("{text}");
        // Whoever waits for a line sees it.
        let flushed = std::io::stdout().flush();
        flushed.map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[cfg(windows)]
fn transport() -> Result<Arc<dyn Transport>, String> {
    let driver = ebpfapi::Driver::open();
    let driver = driver.map_err(|cause| text(Error::new("open the runtime's device", cause)));
    Ok(Arc::new(driver?))
}

/// Elsewhere there is no driver; the steps are the same over the runtime in this process.
#[cfg(not(windows))]
fn transport() -> Result<Arc<dyn Transport>, String> {
    let simulator = ebpfapi::Simulator::new();
    Ok(Arc::new(simulator.map_err(text)?))
}

fn text(error: Error) -> String {
    match error.report() {
        Some(report) => format!("{error}\n{report}"),
        None => error.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(digits: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{digits} are no bytes");
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let places = (0..digits.len()).step_by(2);
    places.map(|at| byte(at).ok_or_else(wrong)).collect()
}

/// What happens at the hook of the sample extension.
fn fire(number: u64) -> Result<String, String> {
    let device = Device::open(r"\\.\SampleExtension")?;
    let reply = device.control(sample_extension::CONTROL_CODE, &number.to_le_bytes())?;
    let mut words = reply.chunks_exact(8).map(|word| {
        let word = <[u8; 8]>::try_from(word).unwrap_or_default();
        u64::from_le_bytes(word)
    });
    let (number, count) = words.next().zip(words.next()).ok_or("too short")?;
    let mut said = format!("number {number}");
    for answer in words.take(count as usize) {
        let _ = write!(said, ", {} {}", answer as i32, answer >> 32);
    }
    Ok(said + "\n")
}

impl Application {
    fn step(&mut self, words: &[&str]) -> Result<String, String> {
        match *words {
            ["load", file] => self.load(file, &OpenOptions::default()),
            ["load", file, "runtime"] => self.load(
                file,
                &OpenOptions {
                    only_runtime_verifies: true,
                    ..OpenOptions::default()
                },
            ),
            ["attach"] => self.attach(None),
            ["attach", number] => self.attach(Some(crate::number(number)? as u32)),
            ["detach"] => self.detach(),
            ["verdicts", name, capture] => self.verdicts(name, Path::new(capture)),
            ["map", name] => self.entries(name),
            ["set", name, key, value] => self.set(name, &bytes(key)?, &bytes(value)?),
            ["list"] => self.list(),
            ["pin", name, path] => self.pin(name, path),
            ["unpin", path] => self
                .client
                .unpin(path)
                .map_err(text)
                .map(|()| String::new()),
            ["ask", name] => self.ask(name),
            ["read", name] => self.read(name),
            ["short", name] => self.read_when_short(name),
            ["record", name, record] => self.record(name, &bytes(record)?),
            ["plug"] => self.plug(),
            ["fire", number] => fire(crate::number(number)?),
            ["cancel"] => self.cancel(),
            ["answer"] => self.answer(),
            ["abandon", file] => self.abandon(Path::new(file)),
            ["hold"] => {
                println!("holding");
                let _ = std::io::stdout().flush();
                loop {
                    std::thread::park();
                }
            }
            _ => Err(format!("{words:?}: see the beginning of steps.rs")),
        }
    }

    fn load(&mut self, file: &str, options: &OpenOptions) -> Result<String, String> {
        let object = Object::open_with(file, options).map_err(text)?;
        let loaded = object.load(&self.client).map_err(text)?;
        let mut said = String::new();
        for program in loaded.programs() {
            let code = program.code_type().map_err(text)?;
            let _ = writeln!(said, "loaded {} {code:?}", program.name());
        }
        self.programs.extend_from_slice(loaded.programs());
        self.maps.extend(loaded.maps().map(|(_, map)| map.clone()));
        Ok(said)
    }

    /// What a crash in the middle of loading leaves: a service whose maker is gone.
    fn abandon(&self, file: &Path) -> Result<String, String> {
        let module_id = abi::Guid::from_u128(std::process::id().into());
        let service = NewService {
            name: &module_id.to_string(),
            file,
            module_id,
        };
        let made = self.transport.create_service(&service);
        made.map_err(|cause| cause.to_string())?;
        std::process::exit(0)
    }

    fn attach(&mut self, number: Option<u32>) -> Result<String, String> {
        for program in &self.programs {
            let link = match number {
                Some(number) => program.attach_to(number),
                None => program.attach(),
            };
            self.links.push(link.map_err(text)?);
        }
        Ok(format!("attached {}\n", self.programs.len()))
    }

    fn detach(&mut self) -> Result<String, String> {
        let links = std::mem::take(&mut self.links);
        links.iter().try_for_each(Link::detach).map_err(text)?;
        Ok(format!("detached {}\n", links.len()))
    }

    /// A program of this application, or of another.
    fn program(&self, name: &str) -> Result<Program, String> {
        if let Some(own) = self.programs.iter().find(|program| program.name() == name) {
            return Ok(own.clone());
        }
        for id in self.client.program_ids().map_err(text)? {
            let program = self.client.program_by_id(id).map_err(text)?;
            if program.name() == name {
                return Ok(program);
            }
        }
        Err(format!("there is no program {name}"))
    }

    /// The maps of a name, of this application or others.
    fn maps(&self, name: &str) -> Result<Vec<Map>, String> {
        let mut maps = Vec::new();
        for id in self.client.map_ids().map_err(text)? {
            let map = self.client.map_by_id(id).map_err(text)?;
            if map.name() == name {
                maps.push(map);
            }
        }
        Ok(maps)
    }

    fn map(&self, name: &str) -> Result<Map, String> {
        let first = self.maps(name)?.into_iter().next();
        first.ok_or_else(|| format!("there is no map {name}"))
    }

    fn verdicts(&self, name: &str, capture: &Path) -> Result<String, String> {
        let program = self.program(name)?;
        let mut said = format!("verdicts of {name}:");
        for frame in frames::capture(capture)? {
            let run = Run {
                data: &frame,
                ..Run::default()
            };
            let result = program.test_run(&run).map_err(text)?;
            let _ = write!(said, " {}", result.value);
        }
        Ok(said + "\n")
    }

    fn entries(&self, name: &str) -> Result<String, String> {
        let mut said = String::new();
        for map in self.maps(name)? {
            for (key, value) in map.entries().map_err(text)? {
                let _ = writeln!(said, "{} {}", hex(&key), hex(&value));
            }
        }
        Ok(said)
    }

    fn set(&self, name: &str, key: &[u8], value: &[u8]) -> Result<String, String> {
        let updated = self.map(name)?.update(key, value, Update::Any);
        updated.map_err(text).map(|()| String::new())
    }

    fn list(&self) -> Result<String, String> {
        let mut said = String::new();
        for id in self.client.program_ids().map_err(text)? {
            let info = self
                .client
                .program_by_id(id)
                .and_then(|program| program.info());
            let info = info.map_err(text)?;
            let _ = writeln!(said, "program {} {:?}", info.name, info.code);
        }
        for id in self.client.map_ids().map_err(text)? {
            let map = self.client.map_by_id(id).map_err(text)?;
            let _ = writeln!(said, "map {}", map.name());
        }
        for id in self.client.link_ids().map_err(text)? {
            let link = self.client.link_by_id(id).map_err(text)?;
            let interface = link.info().map_err(text)?.interface();
            let _ = writeln!(said, "link {interface:?}");
        }
        for pin in self.client.pins().map_err(text)? {
            let _ = writeln!(said, "pin {}", pin.path);
        }
        Ok(said)
    }

    fn pin(&self, name: &str, path: &str) -> Result<String, String> {
        let pinned = match self.program(name) {
            Ok(program) => program.pin(path),
            Err(_) => self.map(name)?.pin(path),
        };
        pinned.map_err(text).map(|()| String::new())
    }

    fn ask(&mut self, name: &str) -> Result<String, String> {
        let map = self.map(name)?;
        let request = Request::MapAsyncQuery {
            map_handle: map.handle(),
            index: 0,
            consumer_offset: 0,
        };
        let mut message = [0; 64];
        let length = request.encode(&mut message).map_err(|_| "too long")?;
        let sent = self.transport.send(&message[..length], ANSWER_BYTES);
        // The runtime may answer at once; only waiting is of interest here.
        let Answer::Later(waiting) = sent.map_err(|cause| cause.to_string())? else {
            return Err("there are records already".to_owned());
        };
        let ended = waiting.wait(Some(Duration::from_millis(50)));
        self.waiting = Some(waiting);
        // The handle stays open, or its file would take the request with it.
        self.maps.push(map);
        Ok(format!("waits: {}\n", ended.is_none()))
    }

    fn record(&self, name: &str, record: &[u8]) -> Result<String, String> {
        let written = self.map(name)?.write_record(record);
        written.map_err(text).map(|()| String::new())
    }

    /// Sends a request and reads its reply.
    fn request(&self, request: &Request<'_>) -> Result<Vec<u8>, String> {
        let mut message = [0; 256];
        let length = request.encode(&mut message).map_err(|_| "too long")?;
        let sent = self.transport.send(&message[..length], ANSWER_BYTES);
        match sent.map_err(|cause| cause.to_string())? {
            Answer::Done(reply) => Ok(reply),
            Answer::Later(_) => Err("it ends later".to_owned()),
        }
    }

    /// The type is none that the client library knows, so the messages are sent as they are. Handles
    /// stay until the application ends.
    fn plug(&self) -> Result<String, String> {
        /// Bytecode that the runtime verifies.
        const BYTECODE: u32 = 2;
        let created = self.request(&Request::CreateProgram {
            program_type: sample_extension::PROGRAM_TYPE,
            section_name_offset: 28,
            program_name_offset: 34,
            data: b"samplePlugged",
        })?;
        let Ok(Reply::CreateProgram { program_handle }) = Reply::decode(&created) else {
            return Err("no program".to_owned());
        };
        let text = format!("r2 = 5\ncall {}\nexit", sample_extension::HELPER);
        let code = isa::asm::assemble(&text).map_err(|error| error.to_string())?;
        let code = isa::encode::program(&code).map_err(|error| error.to_string())?;
        self.request(&Request::LoadCode {
            program_handle,
            code_type: BYTECODE,
            code: &code,
        })?;
        self.request(&Request::LinkProgram {
            program_handle,
            attach_type: sample_extension::ATTACH_TYPE,
            data: &[],
        })?;
        Ok("plugged\n".to_owned())
    }

    /// Reads what there is; the view stays as long as the application.
    fn read(&mut self, name: &str) -> Result<String, String> {
        let mut ring = RingBuffer::open(&self.map(name)?).map_err(text)?;
        let mut said = String::new();
        while ring.wait(Some(Duration::ZERO)).map_err(text)? {
            while let Some(record) = ring.read().map_err(text)? {
                let _ = writeln!(said, "record {}", hex(&record));
            }
        }
        self.rings.push(ring);
        Ok(said)
    }

    /// Opens the ring again and again until no allocation is left that can fail.
    fn read_when_short(&mut self, name: &str) -> Result<String, String> {
        let (mut refused, map) = (0, self.map(name)?);
        for after in 0..MOST_ALLOCATIONS {
            crate::ask(&control::Request::FailAllocation(after))?;
            let opened = RingBuffer::open(&map);
            // What did not fail yet fails here, for nobody.
            crate::ask(&control::Request::FailAllocation(u64::MAX >> 1))?;
            refused += u32::from(opened.is_err());
            if let Err(error) = opened {
                let error = text(error);
                let is_short = |words| error.contains(words);
                if !["EBPF_NO_MEMORY", "EBPF_OUT_OF_SPACE"]
                    .into_iter()
                    .any(is_short)
                {
                    return Err(error);
                }
            }
        }
        Ok(format!("refused {}\n", refused > 0))
    }

    fn cancel(&self) -> Result<String, String> {
        let waiting = self.waiting.as_ref().ok_or("nothing was asked")?;
        waiting.cancel();
        Ok(String::new())
    }

    fn answer(&mut self) -> Result<String, String> {
        let waiting = self.waiting.take().ok_or("nothing was asked")?;
        Ok(match waiting.wait(Some(ANSWER)) {
            None => "no answer\n".to_owned(),
            Some(Err(cause)) => format!("ended: {cause}\n"),
            Some(Ok(reply)) => match Reply::decode(&reply) {
                Ok(Reply::MapAsyncQuery { producer, .. }) => format!("records up to {producer}\n"),
                other => return Err(format!("{other:?}")),
            },
        })
    }
}
