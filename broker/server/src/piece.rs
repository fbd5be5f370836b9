//! One granted piece: a task that opens its unit, makes one call at a time, and closes it, whatever
//! happens in between.

use std::sync::Arc;

use ave_core::Granted;
use ave_profile::Refusal;
use ave_protocol::message::{Call, Reply};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::drivers::fence::Pass;
use crate::drivers::{Drivers, Unit};
use crate::limits::CALLS_WAITING_MAX;
use crate::usage::Usage;

/// A call on its way to a piece. Nobody waits for the answer any more if its receiver is gone.
pub(crate) struct PieceCall {
    /// Boxed, because a channel keeps room for 32 of these from the start.
    pub(crate) call: Box<Call>,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// A session's end of a piece.
pub(crate) struct Piece {
    pub(crate) calls: mpsc::Sender<PieceCall>,
    /// Cancel it to have the piece closed.
    pub(crate) close: CancellationToken,
    /// Cancelled when the hub has been told that the piece is closed.
    pub(crate) closed: CancellationToken,
    /// Why nobody drives it any more, although it was not to be closed yet.
    pub(crate) failed: Option<String>,
}

impl Piece {
    /// A piece, and the task that drives it, whose result is why the piece cannot be lent again.
    ///
    /// `stop` ends the call that is being made without closing the piece yet; `usage` hears of calls; `turns` are
    /// those of its session; `opened` hears how opening went.
    pub(crate) fn new(
        drivers: &Drivers,
        granted: Granted,
        stop: CancellationToken,
        usage: Arc<Usage>,
        turns: Arc<Semaphore>,
        opened: oneshot::Sender<Result<(), Refusal>>,
    ) -> (Piece, impl Future<Output = Result<(), String>> + Send + use<>) {
        let (calls, incoming) = mpsc::channel(CALLS_WAITING_MAX);
        let (close, closed) = (CancellationToken::new(), CancellationToken::new());
        let piece = Piece { calls, close, closed, failed: None };
        let close = piece.close.clone();
        let (driver, pass) = (drivers.of(&granted.item.kind), drivers.enter(&granted));
        let drive = async move {
            let opening = timeout(driver.open_limit(), driver.open(&granted)).await;
            let stuck = opening.is_err();
            let mut unit = opening.unwrap_or_else(|_| Err(Refusal::exception(NEVER_OPENED)));
            if let Ok(unit) = &mut unit {
                unit.take_turns(&turns);
            }
            let refused =
                unit.as_ref().map_or_else(|refusal| Some(refusal.clone()), |unit| unit.failed_to_open());
            let _ = opened.send(refused.map_or(Ok(()), Err));
            serve(&mut unit, &pass, incoming, &usage, &stop, &close).await;
            close.cancelled().await;
            match (unit, pass.check()) {
                (Ok(_), Err(over)) => Err(over.message), // it is not ours to close
                (Ok(unit), Ok(())) => {
                    timeout(driver.close_limit(), unit.close()).await.unwrap_or(Err(NEVER_CLOSED.to_owned()))
                }
                (Err(_), _) if stuck => Err(NEVER_OPENED.to_owned()),
                (Err(_), _) => Ok(()),
            }
        };
        (piece, drive)
    }
}

/// A unit, or why there is none: then that is the answer to every call.
type OpenUnit = Result<Box<dyn Unit>, Refusal>;

const NEVER_OPENED: &str = "it neither opened nor failed within its time limit";
const NEVER_CLOSED: &str = "it did not close within its time limit";

async fn serve(
    unit: &mut OpenUnit,
    pass: &Pass,
    mut incoming: mpsc::Receiver<PieceCall>,
    usage: &Usage,
    stop: &CancellationToken,
    close: &CancellationToken,
) {
    let over = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = close.cancelled() => {}
        }
    };
    let calls = async {
        while let Some(PieceCall { call, reply }) = incoming.recv().await {
            let in_use = usage.begin();
            let answer = answer(unit, pass, *call).await;
            drop(in_use); // before anybody knows that it is done
            let _ = reply.send(answer);
        }
    };
    tokio::select! {
        biased;
        () = over => {}
        () = calls => {}
    }
}

/// Makes one call, after the checks that come before it. (Specification 2.3, checks 7 to 11.)
async fn answer(unit: &mut OpenUnit, pass: &Pass, call: Call) -> Reply {
    let unit = match unit {
        Ok(unit) => unit,
        Err(refusal) => return Reply::Fault(refusal.clone().into()),
    };
    let Some(signature) = unit.methods().iter().find(|method| method.name() == call.method) else {
        let no_driver = unit.no_driver_for(&call.method).filter(|_| !call.method.starts_with('_'));
        return match no_driver {
            Some(refusal) => Reply::Fault(refusal.into()),
            None => Reply::Plain(format!("no such RPC: {}", call.method)),
        };
    };
    let method = call.method.clone();
    let bound = match call.bind(signature) {
        Ok(bound) => bound,
        Err(reply) => return reply,
    };
    if let Err(over) = pass.check() {
        return Reply::Fault(over.into());
    }
    match unit.call(&method, bound).await {
        Ok(value) => Reply::Result(value),
        Err(refusal) => Reply::Fault(refusal.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use ave_profile::{Identity, Map, Profile, Value};

    use super::*;
    use crate::drivers::fake::Fake;
    use crate::drivers::place::Sweep;

    fn granted(number: u64) -> Granted {
        let profile = Arc::new(Profile::default());
        let item = Identity::new("fake", "r1");
        Granted { item, known: profile.clone(), profile, again: false, at: None, number }
    }

    /// A piece that is open, and the task that drives it.
    async fn open(drivers: &Drivers, number: u64) -> (Piece, tokio::task::JoinHandle<Result<(), String>>) {
        let (opened, opening) = oneshot::channel();
        let turns = Arc::new(Semaphore::new(1));
        let (piece, drive) =
            Piece::new(drivers, granted(number), CancellationToken::new(), Arc::default(), turns, opened);
        let task = tokio::spawn(drive);
        opening.await.unwrap().unwrap();
        (piece, task)
    }

    async fn echo(piece: &Piece) -> Reply {
        let (reply, answer) = oneshot::channel();
        let arguments = serde_json::json!({"vargs": [], "kwargs": {}}).into();
        let (method, resource, params) = ("echo".to_owned(), Value::Null, arguments);
        let call = Call { method, resource, params, asynchronous: false, further: Map::new() };
        piece.calls.send(PieceCall { call: Box::new(call), reply }).await.ok().unwrap();
        answer.await.unwrap()
    }

    #[tokio::test]
    async fn a_late_command_of_an_older_grant_is_refused() {
        let fake = Fake::default();
        let drivers = Drivers::new(
            BTreeMap::from([("fake".into(), Arc::new(fake.clone()) as _)]),
            Sweep::new("/nowhere".as_ref()),
        );
        let (old, old_task) = open(&drivers, 17).await;
        assert!(matches!(echo(&old).await, Reply::Result(_)));
        let (new, new_task) = open(&drivers, 18).await;
        let Reply::Fault(fault) = echo(&old).await else { panic!("it was not refused") };
        let over = "grant 17 of fake:r1 is over: 18 is newer";
        assert_eq!(fault.message, over);
        old.close.cancel();
        assert_eq!(old_task.await.unwrap().unwrap_err(), over);
        assert!(matches!(echo(&new).await, Reply::Result(_)));
        new.close.cancel();
        new_task.await.unwrap().unwrap();
        assert_eq!(fake.story.told(), ["open r1", "open r1", "close r1"], "only the newest was closed");
    }
}
