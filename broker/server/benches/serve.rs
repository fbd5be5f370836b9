//! How fast the broker serves and how little it needs: the real binary, over TCP, beside a bare echo
//! server of the same frames. Prints one JSON line per figure.
//!
//! Fails on ratios and on the size of a session only; other aims are for two noisy cores, and stand
//! beside what was found.

#[path = "serve/echo.rs"]
mod echo;
#[path = "serve/exchange.rs"]
mod exchange;
#[path = "serve/figure.rs"]
mod figure;
#[path = "serve/guest.rs"]
mod guest;
#[path = "serve/process.rs"]
mod process;
#[path = "serve/record.rs"]
mod record;

use std::io;
use std::process::ExitCode;

use figure::{Aim, Figure};
use process::{BrokerProcess, Process};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;

const PIECES: usize = 64;
const TURNS: usize = 5;
const OTHERS: usize = 1_000;
const IDLE: usize = 10_000;
/// Descriptors for everything else but clients.
const SPARE: u64 = 100;

fn main() -> io::Result<ExitCode> {
    let most = raise_descriptor_limit()?;
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().skip(1).map(String::as_str).collect::<Vec<_>>()[..] {
        ["echo"] => {
            let runtime = Runtime::new()?;
            let echo = runtime.spawn(echo::serve());
            io::copy(&mut io::stdin(), &mut io::sink())?;
            echo.abort();
            Ok(ExitCode::SUCCESS)
        }
        ["hold", address, method, count] => {
            guest::hold(address, method, count.parse().map_err(io::Error::other)?)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => measure(most),
    }
}

fn measure(most: usize) -> io::Result<ExitCode> {
    let idle = IDLE.min(most);
    if idle < IDLE {
        eprintln!("no more than {idle} sessions: the hard limit of open descriptors is too low for {IDLE}");
    }
    let mut reached = size("an idle session", "list_allocations", idle);
    reached &= size("an idle session that holds a piece", "get", idle);
    reached &= speed()?;
    let end = {
        let broker = BrokerProcess::start(OTHERS);
        let _others = hold(broker.address(), "get", OTHERS);
        guest::end_until_next(broker.address())
    };
    reached &= Figure::new("end of a client until the next has its equipment, p99", end, "ms")
        .reaches(Aim::AtMost(10.0));
    Ok(if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn size(name: &'static str, method: &str, sessions: usize) -> bool {
    let broker = BrokerProcess::start(sessions);
    drop(hold(broker.address(), method, 1)); // what is made once for all sessions
    let before = broker.resident_kib();
    let _clients = hold(broker.address(), method, sessions - 1);
    let each = (broker.resident_kib() - before) / (sessions - 1) as f64;
    Figure::new(name, each, "KiB").reaches(Aim::NeverMore(24.0))
}

fn speed() -> io::Result<bool> {
    let broker = BrokerProcess::start(PIECES);
    let echo = Process::in_role(&["echo"]);
    let (broker, echo) = (broker.address(), echo.said());
    let runtime = Runtime::new()?;
    let trivial =
        |name, connections| runtime.block_on(exchange::trivial_calls(name, connections, broker, echo));
    let mut reached = trivial("trivial call, 1 connection", 1)?.reaches(Aim::OfYardstick(0.6));
    reached &= trivial("trivial call, 64 connections", 64)?.reaches(Aim::OfYardstick(0.5));
    reached &= cycles(broker, echo);
    let (gets, both) = guest::get_and_yield(broker, echo);
    both.into_iter().for_each(Figure::show);
    record::figures(gets)?.into_iter().for_each(Figure::show);
    Ok(reached)
}

/// Few clients and many, and the echo of each, in turns.
fn cycles(broker: &str, echo: &str) -> bool {
    let (mut one, mut eight, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let by_one = guest::cycles(1, broker);
        let by_eight = guest::cycles(8, broker);
        more.push((by_one, by_eight));
        one.push((guest::echo_cycles(1, echo), by_one));
        eight.push((guest::echo_cycles(8, echo), by_eight));
    }
    Figure::of_pairs("connect, get, disconnect, 8 clients", eight).show();
    let one = Figure::of_pairs("connect, get, disconnect, 1 client", one).reaches(Aim::AtLeast(3_000.0));
    let more = Figure::of_pairs("connect, get, disconnect, 8 clients to 1", more);
    more.reaches(Aim::OfYardstick(1.0)) && one
}

fn hold(address: &str, method: &str, count: usize) -> Process {
    let holder = Process::in_role(&["hold", address, method, &count.to_string()]);
    assert_eq!(holder.said(), count.to_string(), "every client got what it asked for");
    holder
}

/// How many descriptors there may be, beside the spare ones.
fn raise_descriptor_limit() -> io::Result<usize> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(limit.maximum.unwrap_or(u64::MAX).saturating_sub(SPARE) as usize)
}
