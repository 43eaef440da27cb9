//! `dnsflood`: sends UDP datagrams without data to a name server, at a steady rate.
//!
//! It shows what `droppacket` is for. It is no weapon: targets outside of loopback and the networks
//! that are set aside for tests and documentation (RFC 2544, RFC 5737, RFC 3849) need a flag, and the
//! source address is the sender's own. What is left out: everything but empty datagrams.

use clap::Parser;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Floods a name server with empty datagrams, to see it being protected.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Address of the server; loopback and test networks only
    target: IpAddr,
    /// Port of the server
    #[arg(long, default_value_t = 53)]
    port: u16,
    /// Datagrams per second
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: u32,
    /// Stop after so many seconds; without it: when interrupted
    #[arg(long)]
    seconds: Option<u64>,
    /// The target is mine, although it is not in a test network
    #[arg(long)]
    any_target: bool,
    /// Print no rates
    #[arg(short, long)]
    quiet: bool,
}

/// How often the datagrams that are due are sent.
const TICK: Duration = Duration::from_millis(1);

fn main() -> ExitCode {
    let args = Args::parse();
    if !args.any_target && !is_for_tests(args.target) {
        eprintln!(
            "dnsflood: {} is neither loopback nor in a network for tests (127.0.0.0/8, 192.0.2.0/24, \
             198.18.0.0/15, 198.51.100.0/24, 203.0.113.0/24, ::1, 2001:db8::/32).\n\
             Flood only what is yours; if it is, say so with --any-target.",
            args.target
        );
        return ExitCode::from(2);
    }
    match flood(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dnsflood: {}: {error}", args.target);
            ExitCode::FAILURE
        }
    }
}

/// Loopback, benchmarks (RFC 2544), documentation (RFC 5737, RFC 3849).
fn is_for_tests(target: IpAddr) -> bool {
    match target {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let is_benchmark = a == 198 && (b == 18 || b == 19);
            v4.is_loopback() || is_benchmark || v4.is_documentation() || (a, b, c) == (192, 0, 2)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.segments()[..2] == [0x2001, 0xdb8],
    }
}

fn flood(args: &Args) -> io::Result<()> {
    let any: SocketAddr = match args.target {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect((args.target, args.port))?;
    let start = Instant::now();
    let end = args
        .seconds
        .map(|seconds| start + Duration::from_secs(seconds));
    let mut meter = Meter::new(start);
    let mut due = 0;
    while end.is_none_or(|end| Instant::now() < end) {
        let wanted = start.elapsed().as_nanos() * u128::from(args.rate) / 1_000_000_000;
        // A sender that is late does not make up for it with a burst: it drops what it missed.
        let burst = (wanted - due).min(u128::from(args.rate) / 20 + 1);
        due = wanted;
        for _ in 0..burst {
            match send(&socket)? {
                Sent::Left => meter.sent += 1,
                Sent::Refused => meter.refused += 1,
            }
        }
        if !args.quiet {
            meter.print_each_second();
        }
        sleep(TICK);
    }
    Ok(())
}

/// What became of a datagram.
enum Sent {
    Left,
    Refused,
}

/// Sends one datagram. A full queue, and a server that said that nobody listens, are part of a flood.
fn send(socket: &UdpSocket) -> io::Result<Sent> {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, OutOfMemory, WouldBlock};
    match socket.send(&[]) {
        Ok(_) => Ok(Sent::Left),
        Err(error) => match error.kind() {
            ConnectionRefused | ConnectionReset | WouldBlock | OutOfMemory => Ok(Sent::Refused),
            _ => Err(error),
        },
    }
}

/// Counts what was sent in this second.
struct Meter {
    since: Instant,
    sent: u64,
    refused: u64,
}

impl Meter {
    fn new(since: Instant) -> Meter {
        Meter {
            since,
            sent: 0,
            refused: 0,
        }
    }

    fn print_each_second(&mut self) {
        let elapsed = self.since.elapsed();
        if elapsed < Duration::from_secs(1) {
            return;
        }
        let rate = self.sent as f64 / elapsed.as_secs_f64();
        match self.refused {
            0 => println!("{rate:.0} datagrams/s"),
            refused => println!("{rate:.0} datagrams/s, {refused} not accepted by the system"),
        }
        *self = Meter::new(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::is_for_tests;

    #[test]
    fn only_loopback_and_test_networks_are_targets() {
        let allowed = "127.0.0.1 127.9.9.9 192.0.2.1 198.18.0.2 198.19.255.255 198.51.100.7 \
                       203.0.113.250 ::1 2001:db8::1";
        for address in allowed.split_whitespace() {
            assert!(is_for_tests(address.parse().unwrap()), "{address}");
        }
        let refused = "8.8.8.8 10.0.0.1 192.168.1.1 192.0.3.1 198.20.0.1 198.17.0.1 0.0.0.0 \
                       224.0.0.1 255.255.255.255 :: fe80::1 2001:db9::1 ::ffff:127.0.0.1";
        for address in refused.split_whitespace() {
            assert!(!is_for_tests(address.parse().unwrap()), "{address}");
        }
    }
}
