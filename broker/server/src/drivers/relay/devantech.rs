//! What a Devantech board understands: one byte for each switch, one that asks how all relays stand. Knows
//! bytes, and nothing of groups, names or clients.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::config::devantech::Port;

/// How long a board may take to do what it is told and to say how its relays stand. It takes milliseconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// After this long without a word a board has said all it had to say. It takes milliseconds.
const QUIET: Duration = Duration::from_millis(100);

/// How much is listened to before that.
const LEFT_OVER_MAX: usize = 64;

/// `ON + n` switches relay n on.
const ON: u8 = 0x64;
/// `OFF + n` switches relay n off.
const OFF: u8 = 0x6E;
/// Asks for one byte, in which bit n - 1 is set if relay n is on.
const STATES: u8 = 0x5B;

/// Why a board is of no use: a sentence about it, without a subject.
#[derive(Debug, thiserror::Error)]
pub(super) enum BoardFault {
    #[error("does not answer within {} s", ANSWER_LIMIT.as_secs())]
    Silent,
    #[error("says what nobody has asked for")]
    Restless,
    #[error("cannot be talked to: {0}")]
    Line(#[from] io::Error),
    #[error("says that relay {} is {} after it was switched {}", .port.number(), on_off(!*.wanted), on_off(*.wanted))]
    Disobedient { port: Port, wanted: bool },
}

/// A board at the end of a serial line.
pub(super) struct Devantech<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Devantech<S> {
    pub(super) fn new(line: S) -> Devantech<S> {
        Devantech(line)
    }

    /// Switches relays, and makes sure that the board agrees.
    ///
    /// # Errors
    /// If it does not, within its time limit. Then nobody knows what it will answer next: its line has to be
    /// opened anew.
    pub(super) async fn switch(&mut self, relays: &[(Port, bool)]) -> Result<(), BoardFault> {
        let mut bytes: Vec<u8> = relays.iter().map(|(port, on)| command(*port, *on)).collect();
        bytes.push(STATES);
        let states = timeout(ANSWER_LIMIT, self.ask(&bytes)).await.map_err(|_| BoardFault::Silent)??;
        match relays.iter().find(|(port, on)| is_on(states, *port) != *on) {
            Some(&(port, wanted)) => Err(BoardFault::Disobedient { port, wanted }),
            None => Ok(()),
        }
    }

    /// Listens to what somebody else had asked for, until there is nothing more.
    ///
    /// # Errors
    /// If the line ends, or what comes does not.
    pub(super) async fn calm(&mut self) -> Result<(), BoardFault> {
        for _ in 0..LEFT_OVER_MAX {
            match timeout(QUIET, self.0.read_u8()).await {
                Ok(byte) => drop(byte?),
                Err(_) => return Ok(()),
            }
        }
        Err(BoardFault::Restless)
    }

    async fn ask(&mut self, bytes: &[u8]) -> io::Result<u8> {
        self.0.write_all(bytes).await?;
        self.0.flush().await?;
        self.0.read_u8().await
    }
}

fn command(port: Port, on: bool) -> u8 {
    port.number() + if on { ON } else { OFF }
}

fn is_on(states: u8, port: Port) -> bool {
    states & (1 << (port.number() - 1)) != 0
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    /// What is sent to a board that answers with `states`, and what comes of it.
    async fn exchange(relays: &[(Port, bool)], states: u8) -> (Vec<u8>, Result<(), String>) {
        let (ours, mut theirs) = duplex(64);
        theirs.write_u8(states).await.unwrap();
        let mut board = Devantech::new(ours);
        let outcome = board.switch(relays).await.map_err(|fault| fault.to_string());
        drop(board);
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        (sent, outcome)
    }

    fn port(number: u8) -> Port {
        Port::all().find(|port| port.number() == number).unwrap()
    }

    #[tokio::test]
    async fn r3_each_relay_has_its_bytes_and_its_bit() {
        let mut seen = 0;
        for port in Port::all() {
            let n = port.number();
            let bit = 1 << (n - 1);
            assert_eq!(exchange(&[(port, true)], bit).await, (vec![0x64 + n, 0x5B], Ok(())));
            assert_eq!(exchange(&[(port, false)], !bit).await, (vec![0x6E + n, 0x5B], Ok(())));
            seen += 1;
        }
        assert_eq!(seen, 8);
    }

    #[tokio::test]
    async fn r3_several_are_switched_in_one_go() {
        let relays = [(port(3), true), (port(1), false), (port(8), true)];
        assert_eq!(exchange(&relays, 0b1000_0100).await, (vec![0x67, 0x6F, 0x6C, 0x5B], Ok(())));
    }

    #[tokio::test]
    async fn a_board_that_did_not_switch_is_caught() {
        let (_, outcome) = exchange(&[(port(1), true), (port(2), true)], 0b01).await;
        assert_eq!(outcome.unwrap_err(), "says that relay 2 is off after it was switched on");
        let (_, outcome) = exchange(&[(port(7), false)], 0xFF).await;
        assert_eq!(outcome.unwrap_err(), "says that relay 7 is on after it was switched off");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_board_is_given_up() {
        let (ours, _theirs) = duplex(64);
        let fault = Devantech::new(ours).switch(&[(port(1), true)]).await.unwrap_err();
        assert_eq!(fault.to_string(), "does not answer within 1 s");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_said_to_somebody_else_is_not_listened_to() {
        let (ours, mut theirs) = duplex(64);
        theirs.write_all(&[1, 2]).await.unwrap();
        let mut board = Devantech::new(ours);
        board.calm().await.unwrap();
        theirs.write_all(&[0b1]).await.unwrap();
        board.switch(&[(port(1), true)]).await.unwrap();
        theirs.write_all(&[0; 64]).await.unwrap();
        let fault = board.calm().await.unwrap_err();
        assert_eq!(fault.to_string(), "says what nobody has asked for");
    }

    #[tokio::test]
    async fn a_line_that_ends_is_given_up() {
        let (ours, theirs) = duplex(64);
        drop(theirs);
        let fault = Devantech::new(ours).switch(&[(port(1), true)]).await.unwrap_err();
        assert!(fault.to_string().starts_with("cannot be talked to: "), "{fault}");
    }
}
