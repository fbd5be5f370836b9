//! A relay board with eight relays: the slave side of a pseudo terminal stands in for its serial line, and a
//! responder behind it imitates the maker's firmware byte for byte (Specification 3.3).

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::retry_on_intr;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::sync::watch;

const ALL_ON: u8 = 0x64;
const ALL_OFF: u8 = 0x6e;
const IDENTIFY: u8 = 0x5a;
const STATES: u8 = 0x5b;
const SET_ALL: u8 = 0x5c;
const SUPPLY: u8 = 0x5d;

/// The relays of a board.
const RELAYS: u8 = 8;

/// A USB-RLY16L, and its firmware.
const IDENTITY: [u8; 2] = [15, 2];

/// The supply voltage, in tenths of a volt.
const SUPPLY_DV: u8 = 121;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64;

/// How the board answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With what is true.
    Truly,
    /// Not at all, though it obeys.
    Never,
    /// After this time.
    After(Duration),
    /// That every relay is in the other state.
    Falsely,
}

/// A relay board.
pub struct Board {
    inside: Arc<Inside>,
    line: Option<Line>,
}

struct Inside {
    relays: watch::Sender<u8>,
    received: Mutex<Vec<u8>>,
    answer: Mutex<Answer>,
}

/// Its serial line, while it is plugged in.
struct Line {
    tty: PathBuf,
    /// Keeps the line up while nobody has opened it.
    _slave: OwnedFd,
    /// Closing it stops the responder.
    stop: Option<PipeWriter>,
    responder: Option<JoinHandle<io::Result<()>>>,
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(responder) = self.responder.take() {
            let _ = responder.join();
        }
    }
}

impl Board {
    /// A board that is plugged in, all relays off.
    ///
    /// # Errors
    ///
    /// The system has no pseudo terminal left.
    pub fn new() -> io::Result<Board> {
        let (received, answer) = (Mutex::default(), Mutex::new(Answer::Truly));
        let inside = Inside { relays: watch::Sender::new(0), received, answer };
        let mut board = Board { inside: Arc::new(inside), line: None };
        board.plug()?;
        Ok(board)
    }

    /// Plugs it in, on another terminal than before. Its relays are off, as after every loss of power.
    ///
    /// # Errors
    ///
    /// The system has no pseudo terminal left.
    pub fn plug(&mut self) -> io::Result<()> {
        self.unplug();
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let tty = PathBuf::from(ptsname(&master, Vec::new())?.to_string_lossy().into_owned());
        let slave = rustix::fs::open(&tty, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut modes = tcgetattr(&slave)?;
        modes.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &modes)?;
        let (stopped, stop) = io::pipe()?;
        let inside = Arc::clone(&self.inside);
        let responder = thread::spawn(move || respond(&master, &stopped, &inside));
        self.line = Some(Line { tty, _slave: slave, stop: Some(stop), responder: Some(responder) });
        Ok(())
    }

    /// Pulls it out. Whoever has its terminal open sees the end of it.
    pub fn unplug(&mut self) {
        if self.line.take().is_some() {
            self.inside.relays.send_replace(0);
        }
    }

    /// Its terminal; nothing while it is unplugged.
    pub fn tty(&self) -> Option<&Path> {
        self.line.as_ref().map(|line| line.tty.as_path())
    }

    /// Its relays: bit n − 1 is set when relay n is on.
    pub fn relays(&self) -> u8 {
        *self.inside.relays.borrow()
    }

    /// The same, and every change of it.
    pub fn watch(&self) -> watch::Receiver<u8> {
        self.inside.relays.subscribe()
    }

    /// Every byte it has received since it was last asked.
    pub fn received(&self) -> Vec<u8> {
        std::mem::take(&mut *lock(&self.inside.received))
    }

    /// Has it answer differently from now on.
    pub fn answers(&self, answer: Answer) {
        *lock(&self.inside.answer) = answer;
    }
}

/// Obeys and answers until it is stopped.
fn respond(master: &OwnedFd, stopped: &PipeReader, inside: &Inside) -> io::Result<()> {
    let mut buffer = [0; READ_BYTES];
    let mut set_all = false;
    loop {
        let mut waiting =
            [stopped.as_fd(), master.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        retry_on_intr(|| poll(&mut waiting, None))?;
        if !waiting[0].revents().is_empty() {
            return Ok(());
        }
        let count = rustix::io::read(master, &mut buffer)?;
        for &byte in &buffer[..count] {
            lock(&inside.received).push(byte);
            if std::mem::take(&mut set_all) {
                inside.relays.send_replace(byte);
                continue;
            }
            let answer: &[u8] = match byte {
                SET_ALL => {
                    set_all = true;
                    &[]
                }
                STATES => &[*inside.relays.borrow()],
                IDENTIFY => &IDENTITY,
                SUPPLY => &[SUPPLY_DV],
                order => {
                    inside.relays.send_modify(|relays| obey(order, relays));
                    &[]
                }
            };
            if !answer.is_empty() {
                tell(master, stopped, inside, answer)?;
            }
        }
    }
}

fn obey(order: u8, relays: &mut u8) {
    match order {
        ALL_ON => *relays = 0xff,
        ALL_OFF => *relays = 0,
        on if (ALL_ON + 1..=ALL_ON + RELAYS).contains(&on) => *relays |= 1 << (on - ALL_ON - 1),
        off if (ALL_OFF + 1..=ALL_OFF + RELAYS).contains(&off) => *relays &= !(1 << (off - ALL_OFF - 1)),
        _ => {} // what it does not know it leaves out
    }
}

fn tell(master: &OwnedFd, stopped: &PipeReader, inside: &Inside, answer: &[u8]) -> io::Result<()> {
    let how = *lock(&inside.answer);
    let mut answer = answer.to_vec();
    match how {
        Answer::Truly => {}
        Answer::Never => return Ok(()),
        Answer::After(time) => wait(time, stopped)?,
        Answer::Falsely => answer.iter_mut().for_each(|byte| *byte = !*byte),
    }
    rustix::io::write(master, &answer)?; // at most two bytes: never in part
    Ok(())
}

/// Waits, unless the board is stopped.
fn wait(time: Duration, stopped: &PipeReader) -> io::Result<()> {
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    poll(&mut [PollFd::new(stopped, PollFlags::IN)], Some(&time))?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    fn exchange(line: &mut File, order: &[u8]) -> u8 {
        line.write_all(order).unwrap();
        let mut answer = [0];
        line.read_exact(&mut answer).unwrap();
        answer[0]
    }

    fn open(board: &Board) -> File {
        File::options().read(true).write(true).open(board.tty().unwrap()).unwrap()
    }

    #[test]
    fn orders_are_obeyed_and_states_told() {
        let board = Board::new().unwrap();
        let mut line = open(&board);
        assert_eq!(exchange(&mut line, &[0x67, 0x5b]), 0b0000_0100);
        assert_eq!(exchange(&mut line, &[0x6c, 0x71, 0x5b]), 0b1000_0000);
        assert_eq!(exchange(&mut line, &[0x65, 0x5b]), 0b1000_0001);
        assert_eq!(board.received(), [0x67, 0x5b, 0x6c, 0x71, 0x5b, 0x65, 0x5b]);
        assert_eq!(exchange(&mut line, &[0x5c, 0x5b, 0x5b]), 0x5b);
        assert_eq!(exchange(&mut line, &[0x64, 0x5b]), 0xff);
        assert_eq!(exchange(&mut line, &[0x6e, 0x5b]), 0);
        assert_eq!(exchange(&mut line, &[0x5a]), 15);
        board.answers(Answer::Falsely);
        assert_eq!(exchange(&mut line, &[0x5d]), 2); // the firmware is told first
        assert_eq!(exchange(&mut line, &[0x5b]), !121);
        assert_eq!(board.relays(), 0);
    }

    #[test]
    fn an_unplugged_board_ends_its_line() {
        let mut board = Board::new().unwrap();
        let mut line = open(&board);
        assert_eq!(exchange(&mut line, &[0x64, 0x5b]), 0xff);
        board.unplug();
        assert!(matches!(line.read(&mut [0]), Ok(0) | Err(_)));
        assert_eq!((board.tty(), board.relays()), (None, 0));
        board.plug().unwrap();
        assert_eq!(exchange(&mut open(&board), &[0x5b]), 0);
    }
}
