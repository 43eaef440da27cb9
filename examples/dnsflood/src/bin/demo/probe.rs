//! A client of the name server: asks one name again and again, and says how long the answer took.
//!
//! It is this program again, in the namespace of the client. The message is as RFC 1035 has it.

use super::process::Running;
use std::io::{self, Write as _};
use std::net::UdpSocket;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The name that is asked for; the server knows it.
pub(crate) const NAME: &str = "example.test";
/// Time between questions; an answer that takes longer has come too late.
const STEP: Duration = Duration::from_millis(200);

/// What became of a question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) at: Duration,
    pub(crate) answered: Option<Duration>,
}

/// Reads what the client says, in a thread of its own.
pub(crate) fn listen(client: &mut Running, start: Instant) -> JoinHandle<Vec<Question>> {
    let output = client.take_output();
    thread::spawn(move || {
        let mut questions = Vec::new();
        let lines = output.into_iter().flat_map(io::BufRead::lines);
        for line in lines.map_while(Result::ok) {
            let answered = line.parse().ok().map(Duration::from_micros);
            let at = start.elapsed();
            questions.push(Question { at, answered });
        }
        questions
    })
}

/// The client: a line for each question, microseconds or `lost`. It ends when nobody listens.
pub(crate) fn ask(server: &str) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((server, 53))?;
    let mut number = 0_u16;
    loop {
        let start = Instant::now();
        number = number.wrapping_add(1);
        let answered = socket
            .send(&question(number))
            .and_then(|_| answer(&socket, number, start));
        let line = match answered {
            Ok(()) => start.elapsed().as_micros().to_string(),
            Err(_) => "lost".to_owned(),
        };
        writeln!(io::stdout(), "{line}")?;
        thread::sleep(STEP.saturating_sub(start.elapsed()));
    }
}

/// Waits for the answer to a question.
fn answer(socket: &UdpSocket, number: u16, start: Instant) -> io::Result<()> {
    let mut buffer = [0; 512];
    loop {
        let left = STEP.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.recv(&mut buffer)?;
        if is_answer(&buffer[..length], number) {
            return Ok(());
        }
    }
}

/// Asks for the IPv4 address of the name.
fn question(number: u16) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    // Recursion desired; one question.
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in NAME.split('.') {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    // End of the name, type A, class IN.
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// Whether a message answers a question without an error and with at least one record.
fn is_answer(message: &[u8], number: u16) -> bool {
    let [a, b, flags, code, _, _, many, few, ..] = message else {
        return false;
    };
    let is_response = flags & 0x80 != 0 && code & 0xf == 0;
    u16::from_be_bytes([*a, *b]) == number && is_response && (*many, *few) != (0, 0)
}

#[cfg(test)]
mod tests {
    use super::{is_answer, question};

    #[test]
    fn a_question_is_not_its_answer() {
        let mut message = question(0x1234);
        assert_eq!(message[12..26], *b"\x07example\x04test\x00");
        assert!(!is_answer(&message, 0x1234));
        message[2] |= 0x80;
        assert!(!is_answer(&message, 0x1234), "no record");
        message[7] = 1;
        assert!(is_answer(&message, 0x1234));
        assert!(!is_answer(&message, 0x1235));
        message[3] |= 3;
        assert!(!is_answer(&message, 0x1234), "no such name");
        assert!(!is_answer(&message[..7], 0x1234));
    }
}
